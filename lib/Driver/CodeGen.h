//===- CodeGen.h - LLVM IR to machine code ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LLVM's optimiser and code generator, for one module or for its parts.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_CODEGEN_H
#define PQUANT_LIB_DRIVER_CODEGEN_H

#include "pquant/Support/LLVM.h"

namespace llvm {
class Module;
class TargetMachine;
class raw_pwrite_stream;
} // namespace llvm

namespace pquant {

/// Optimises at -O3 for the CPU that each function names.
void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine);

/// Runs the optimisation pipeline for kernels of a GPU.
void optimizeKernels(llvm::Module &module, llvm::TargetMachine &machine);

/// Writes an object, or assembly.
LogicalResult emitCode(llvm::Module &module, llvm::TargetMachine &machine,
                       llvm::raw_pwrite_stream &os, bool assembly);

/// Splits the module, optimises the parts on all cores and writes one object
/// each. What the objects hold depends on the number of parts alone.
LogicalResult emitParts(llvm::Module &module, StringRef triple,
                        ArrayRef<llvm::raw_pwrite_stream *> parts);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_CODEGEN_H
