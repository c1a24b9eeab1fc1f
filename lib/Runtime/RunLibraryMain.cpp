//===- RunLibraryMain.cpp - The main functions that load a library --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Apart from RunMain.cpp and BenchMain.cpp, see pquant/Runtime/RunMain.h.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"
#include "RunModel.h"

#include "pquant/Runtime/RunMain.h"

#include <cstdio>

using namespace pquant;

int pquant_run_library_main(int argc, char **argv) {
  Options options;
  Parsed parsed = parseOptions(argc, argv, /*takesLibrary=*/true, options);
  if (parsed != Parsed::Run)
    return parsed == Parsed::Help ? 0 : 2;
  PQuantModel *model;
  if (pquant_open_library(options.library, options.symbol, &model) !=
      PQUANT_OK) {
    fprintf(stderr, "%s: error: %s\n", options.program, pquant_last_error());
    return 1;
  }
  int code = runModel(options, model);
  pquant_close(model);
  return code;
}

int pquant_bench_library_main(int argc, char **argv) {
  return benchMain(
      argc, argv, /*takesLibrary=*/true, nullptr,
      [](void *, const BenchOptions &options, PQuantModel **model) {
        return pquant_open_library(options.library, options.symbol, model);
      });
}
