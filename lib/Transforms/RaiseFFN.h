//===- RaiseFFN.h - Decoupled feed-forward layers --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of `--pquant-raise` that runs once the linears are raised.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_RAISEFFN_H
#define PQUANT_LIB_TRANSFORMS_RAISEFFN_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// Replaces sums of a 1-bit and an INT8 feed-forward layer, routed or not, by
/// `pquant.decoupled_ffn`, and what routes them by `pquant.route`. A sum that
/// comes near gets a remark that says what is in the way.
void raiseFeedForward(ModuleOp module);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_RAISEFFN_H
