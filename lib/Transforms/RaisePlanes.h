//===- RaisePlanes.h - Sums of 1-bit linears --------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step of raising, apart from the linears themselves.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_RAISEPLANES_H
#define PQUANT_LIB_TRANSFORMS_RAISEPLANES_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// Makes one linear of those that read the same rows and are added up.
void joinPlanes(ModuleOp module);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_RAISEPLANES_H
