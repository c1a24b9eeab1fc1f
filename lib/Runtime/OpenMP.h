//===- OpenMP.h - Fork and join ---------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All that the runtime asks of OpenMP. OpenMP.cpp is compiled by GCC, see
// lib/Runtime/CMakeLists.txt and docs/Runtime.md.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_OPENMP_H
#define PQUANT_RUNTIME_OPENMP_H

namespace pquant {

/// Calls `body(context, thread, team)` once on each thread of a team of at most
/// `threads`, and waits for all.
void forkJoin(void (*body)(void *context, int thread, int team), void *context,
              int threads);

/// OMP_NUM_THREADS, else the CPUs that this process may use.
int defaultThreads();

} // namespace pquant

#endif // PQUANT_RUNTIME_OPENMP_H
