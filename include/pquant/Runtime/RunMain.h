//===- RunMain.h - The command line of a compiled model --------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What pquant-run and an executable made by `pquant-compile --emit=exe` share:
// flags, npz files, comparison, timing (docs/Runtime.md); and pquant-bench
// (docs/Benchmarks.md).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_RUNMAIN_H
#define PQUANT_RUNTIME_RUNMAIN_H

#include "pquant/Runtime/ModelDescriptor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The main function of an executable that holds `embedded`. Returns the exit
/// code: 0, 1 for an error, a failed comparison or a failed self-test, 2 for
/// wrong usage.
int pquant_run_main(int argc, char **argv,
                    const PQuantModelDescriptor *embedded);

/// The main function of pquant-run: the same flags after the path of a shared
/// library. Apart from pquant_run_main so that a static executable does not
/// link dlopen.
int pquant_run_library_main(int argc, char **argv);

/// The same for pquant-bench; an executable becomes one when its first argument
/// is --bench.
int pquant_bench_main(int argc, char **argv,
                      const PQuantModelDescriptor *embedded);
int pquant_bench_library_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif // PQUANT_RUNTIME_RUNMAIN_H
