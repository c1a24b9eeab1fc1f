//===- X86.h - The x86-64 target --------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Instruction-set levels and kernels of x86-64.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_X86_H
#define PQUANT_TARGET_X86_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Conversion/PQKernelToVector.h"
#include "pquant/Support/LLVM.h"

namespace pquant::x86 {

/// The levels that one artifact holds by default, weakest first: `generic`
/// (x86-64-v2), `avx2`, `avx512`, `avx512vbmi`, `amx`.
SmallVector<LevelAttr> getLevels(MLIRContext *context);

/// The target of a triple with all levels or, when `only` is not empty, with
/// the level of that name or of that CPU alone ("skylake-avx512"). Fails with a
/// diagnostic at `loc` when `only` is neither.
FailureOr<TargetAttr> makeX86Target(Location loc, StringRef triple,
                                    StringRef only = {});

/// The x86 kernels, best first, followed by the generic ones.
SmallVector<KernelRow> getKernels();

} // namespace pquant::x86

#endif // PQUANT_TARGET_X86_H
