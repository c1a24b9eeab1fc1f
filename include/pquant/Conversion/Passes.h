//===- Passes.h - Lowerings between dialects --------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Constructors, options and registration of the passes of this room.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_PASSES_H
#define PQUANT_CONVERSION_PASSES_H

#include "pquant/Support/LLVM.h"

#include "mlir/Pass/Pass.h"

namespace pquant {

#define GEN_PASS_DECL
#include "pquant/Conversion/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "pquant/Conversion/Passes.h.inc"

} // namespace pquant

#endif // PQUANT_CONVERSION_PASSES_H
