//===- main.cpp - Measure a compiled model --------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Runtime/RunMain.h"

int main(int argc, char **argv) {
  return pquant_bench_library_main(argc, argv);
}
