//===- ConstantData.h - Stored bytes as constants ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_CONSTANTDATA_H
#define PQUANT_FRONTEND_CONSTANTDATA_H

#include "pquant/Frontend/TensorBuilder.h"
#include "pquant/Frontend/TensorBytes.h"

namespace pquant {

/// A constant with these contents, little-endian and as many as the type needs;
/// truth values are one byte each.
Tensor makeStoredConstant(TensorBuilder &b, mlir::RankedTensorType type,
                          ElementType element, llvm::StringRef name,
                          TensorBytes data);

} // namespace pquant

#endif // PQUANT_FRONTEND_CONSTANTDATA_H
