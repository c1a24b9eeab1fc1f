//===- ARM.h - The AArch64 target -------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Instruction-set levels and kernels of AArch64 (64-bit ARM, little-endian).
// 32-bit ARM and microcontrollers are not supported.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_ARM_H
#define PQUANT_TARGET_ARM_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Conversion/PQKernelToVector.h"
#include "pquant/Support/LLVM.h"

namespace pquant::arm {

/// The levels that one artifact holds by default, weakest first: `generic` and
/// `neon` (both Armv8.0), `dotprod`, `i8mm`.
SmallVector<LevelAttr> getLevels(MLIRContext *context);

/// The target of a triple with all levels or, when `only` is not empty, with
/// the level of that name or of that CPU alone ("cortex-a76"). Fails with a
/// diagnostic at `loc` when `only` is neither.
FailureOr<TargetAttr> makeARMTarget(Location loc, StringRef triple,
                                    StringRef only = {});

/// The NEON kernels, best first, followed by the generic ones.
SmallVector<KernelRow> getKernels();

} // namespace pquant::arm

#endif // PQUANT_TARGET_ARM_H
