//===- TensorTypes.h - Types of tensors -------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_SUPPORT_TENSORTYPES_H
#define PQUANT_SUPPORT_TENSORTYPES_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// The type of a value that is a ranked tensor.
inline RankedTensorType typeOf(Value value) {
  return mlir::cast<RankedTensorType>(value.getType());
}

} // namespace pquant

#endif // PQUANT_SUPPORT_TENSORTYPES_H
