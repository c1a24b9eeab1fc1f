//===- Passes.h - Passes from pquant to pquant ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Constructors, options and registration of the passes of this room.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_PASSES_H
#define PQUANT_TRANSFORMS_PASSES_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/LLVM.h"

#include "mlir/Pass/Pass.h"

namespace pquant {

/// What `--pquant-raise` does with a zero sign of a 1-bit weight.
enum class SignZero { Error, Plus, Minus };

/// What the caches of `prefill` and `decode` hold.
enum class CacheType { F32, F16, I8 };

#define GEN_PASS_DECL
#include "pquant/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "pquant/Transforms/Passes.h.inc"

} // namespace pquant

#endif // PQUANT_TRANSFORMS_PASSES_H
