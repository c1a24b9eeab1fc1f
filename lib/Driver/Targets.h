//===- Targets.h - The targets a compile can be for -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From what the command line calls a target to its room in Target/ and its code
// generator. A new architecture is one row here.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_TARGETS_H
#define PQUANT_LIB_DRIVER_TARGETS_H

#include "pquant/Conversion/PQKernelToVector.h"
#include "pquant/Driver/Compiler.h"
#include <memory>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace pquant {

/// Sets `options.triple` (and, for `host`, the CPU) from `options.target`.
/// Reports a target that is not supported.
LogicalResult resolveTarget(CompilerOptions &options);

/// The target of the resolved options: all levels, or the one asked for, each
/// with `options.features`. Reports unknown levels, CPUs and features.
FailureOr<TargetAttr> makeTarget(MLIRContext *context,
                                 const CompilerOptions &options);

/// The kernels of a target, best first.
SmallVector<KernelRow> getKernels(TargetAttr target);

/// The code generator of a triple, for the baseline of its architecture.
std::unique_ptr<llvm::TargetMachine> createTargetMachine(StringRef triple);

/// The code generator of a GPU's kernels.
std::unique_ptr<llvm::TargetMachine> createGPUMachine(GPUAttr gpu);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_TARGETS_H
