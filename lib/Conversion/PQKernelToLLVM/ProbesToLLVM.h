//===- ProbesToLLVM.h - pqk.probe to runtime calls --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of --pquant-convert-pqkernel-to-llvm that concerns profiles.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_PROBESTOLLVM_H
#define PQUANT_LIB_CONVERSION_PROBESTOLLVM_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// Replaces every pqk.probe by a call of pquant_rt_probe.
void lowerProbes(ModuleOp module);

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_PROBESTOLLVM_H
