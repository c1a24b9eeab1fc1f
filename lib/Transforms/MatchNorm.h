//===- MatchNorm.h - RMS norm, written out ---------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHNORM_H
#define PQUANT_LIB_TRANSFORMS_MATCHNORM_H

#include "pquant/Transforms/TensorExpr.h"

namespace pquant {

/// x * (1 / sqrt(mean of x^2 over the last dimension + eps)) * weight.
struct RMSNormMatch {
  /// float32 [.., K] and [K].
  Value input, weight;
  float eps;
};

/// Recognises RMS norm by its last product.
std::optional<RMSNormMatch> matchRMSNorm(mlir::linalg::GenericOp op);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHNORM_H
