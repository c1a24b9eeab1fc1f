//===- OpenMP.cpp - Fork and join -----------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// GCC turns the pragma into GOMP_parallel, which libgomp.so.1, libgomp.a and
// LLVM's libomp all define; Clang would call libomp alone, of which Debian has
// no static library.
//
//===----------------------------------------------------------------------===//

#include "OpenMP.h"

#include <omp.h>

void pquant::forkJoin(void (*body)(void *context, int thread, int team),
                      void *context, int threads) {
#pragma omp parallel num_threads(threads)
  body(context, omp_get_thread_num(), omp_get_num_threads());
}

int pquant::defaultThreads() { return omp_get_max_threads(); }
