//===- ModuleText.h - Modules as text ---------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What --compile-to and --dump-phases write. Both report what fails.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_MODULETEXT_H
#define PQUANT_LIB_DRIVER_MODULETEXT_H

#include "pquant/Pipelines/Pipelines.h"

namespace pquant {

/// Prints the module to a file, or to the standard output for "-". Without its
/// weights it cannot be read back.
LogicalResult printModule(ModuleOp module, StringRef output, bool elideWeights);

/// Writes the module without weights, with locations, to `directory`, which is
/// made if missing, as `<number>-<phase>.mlir`.
LogicalResult dumpModule(ModuleOp module, Phase phase, StringRef directory);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_MODULETEXT_H
