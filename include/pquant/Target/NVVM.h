//===- NVVM.h - GPUs that run PTX -------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Chips and kernels of NVIDIA GPUs (docs/GPU.md).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_NVVM_H
#define PQUANT_TARGET_NVVM_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/LLVM.h"

namespace pquant::nvvm {

/// What kernels may use beyond the least chip.
inline constexpr llvm::StringLiteral kBitMma = "b1-mma", kByteMma = "s8-mma",
                                     kFloatMma = "tf32-mma",
                                     kByteWgmma = "s8-wgmma",
                                     kDependentLaunch = "dependent-launch";

/// The function that ranks logits (`pquant-nvvm-rank-logits`).
inline constexpr llvm::StringLiteral kRankLogitsName = "pquant_rank_logits";

/// The GPU of a chip ("sm_80", "sm_90a"; empty: sm_80, whose code runs on all
/// later ones). Fails with a diagnostic at `loc` for another name.
FailureOr<GPUAttr> makeGPU(Location loc, StringRef chip);

} // namespace pquant::nvvm

#endif // PQUANT_TARGET_NVVM_H
