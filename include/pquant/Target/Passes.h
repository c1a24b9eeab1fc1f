//===- Passes.h - Passes of the Target rooms --------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_PASSES_H
#define PQUANT_TARGET_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace pquant {
#define GEN_PASS_DECL
#include "pquant/Target/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

#endif // PQUANT_TARGET_PASSES_H
