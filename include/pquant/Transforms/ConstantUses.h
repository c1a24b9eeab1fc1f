//===- ConstantUses.h - Freeing constants that were replaced ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights are replaced by joined or packed ones; the old bytes must go as soon
// as nothing refers to them, or a compile would hold every weight twice.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_CONSTANTUSES_H
#define PQUANT_TRANSFORMS_CONSTANTUSES_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// Erases the op behind each of `values` when it has no effect and no use left,
/// then frees the blobs of those constants that no op under `root` holds any
/// more, in whatever shape.
void releaseDeadConstants(Operation *root, ArrayRef<Value> values);

} // namespace pquant

#endif // PQUANT_TRANSFORMS_CONSTANTUSES_H
