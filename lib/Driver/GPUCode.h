//===- GPUCode.h - Kernels of a GPU as PTX ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_GPUCODE_H
#define PQUANT_LIB_DRIVER_GPUCODE_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// What an artifact holds for the GPU.
struct GPUCode {
  std::string chip;
  std::string ptx;
  std::string image;                ///< machine code for the chip; may be empty
  std::vector<std::string> kernels; ///< by number
  bool canOverlap = false;          ///< they wait for those before them

  bool isEmpty() const { return ptx.empty(); }
};

/// Takes the kernels out of a module of phase `kernels` and compiles them. With
/// `assembler` (a ptxas; empty for none) also to machine code, or if absent by
/// the one on the path where it can.
FailureOr<GPUCode> takeGPUCode(ModuleOp module, GPUAttr gpu,
                               const std::optional<std::string> &assembler);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_GPUCODE_H
