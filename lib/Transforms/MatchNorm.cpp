//===- MatchNorm.cpp - RMS norm, written out ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// y = (x * r) * w, r = 1 / sqrt(sum(x * x) / K + eps), the factors in any
// order; x * x also as x to the power of 2, 1 / sqrt also as rsqrt or a power.
//
//===----------------------------------------------------------------------===//

#include "MatchNorm.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The m of 1 / sqrt(m).
static std::optional<TensorExpr> matchReciprocalRoot(const TensorExpr &expr) {
  if (auto root = matchExpr<math::RsqrtOp>(expr))
    return (*root)[0];
  if (auto power = matchExpr<math::PowFOp>(expr))
    if ((*power)[1].getFloatConstant() == -0.5f)
      return (*power)[0];
  auto quotient = matchExpr<arith::DivFOp>(expr);
  if (!quotient || (*quotient)[0].getFloatConstant() != 1.0f)
    return std::nullopt;
  auto root = matchExpr<math::SqrtOp>((*quotient)[1]);
  return root ? std::optional((*root)[0]) : std::nullopt;
}

/// The x of x * x or x^2.
static std::optional<TensorExpr> matchSquare(const TensorExpr &expr) {
  if (auto power = matchExpr<math::PowFOp>(expr))
    return (*power)[1].getFloatConstant() == 2.0f ? std::optional((*power)[0])
                                                  : std::nullopt;
  auto product = matchExpr<arith::MulFOp>(expr);
  if (!product || !isSameExpr((*product)[0], (*product)[1]))
    return std::nullopt;
  return (*product)[0];
}

/// Whether `reduced` is `expr` with its last dimension reduced.
static bool isReducedOverLast(const TensorExpr &reduced, const TensorExpr &expr,
                              int64_t last) {
  TensorExpr a = reduced.normalized(), b = expr.normalized();
  if (a.value != b.value || a.dims.size() != b.dims.size())
    return false;
  for (auto [x, y] : llvm::zip_equal(a.dims, b.dims))
    if (x != (y == last ? TensorExpr::reducedDim : y))
      return false;
  return llvm::is_contained(b.dims, last);
}

/// The eps of `1 / sqrt(mean(x^2) + eps)`.
static std::optional<float> matchFactor(const TensorExpr &factor,
                                        const TensorExpr &x, int64_t last,
                                        int64_t columns) {
  std::optional<TensorExpr> sum = matchReciprocalRoot(factor);
  std::optional<float> eps;
  if (!sum)
    return std::nullopt;
  matchCommutative<arith::AddFOp>(
      *sum, [&](const TensorExpr &mean, const TensorExpr &number) {
        std::optional<float> constant = number.getFloatConstant();
        auto quotient = matchExpr<arith::DivFOp>(mean);
        if (!constant || !quotient ||
            (*quotient)[1].getFloatConstant() != static_cast<float>(columns))
          return false;
        std::optional<TensorExpr> squares = matchSumReduction((*quotient)[0]);
        std::optional<TensorExpr> base =
            squares ? matchSquare(*squares) : std::nullopt;
        if (!base || !isReducedOverLast(*base, x, last))
          return false;
        eps = *constant;
        return true;
      });
  return eps;
}

std::optional<RMSNormMatch> pquant::matchRMSNorm(linalg::GenericOp op) {
  if (!isElementwise(op) || op.getNumResults() != 1)
    return std::nullopt;
  auto type = cast<RankedTensorType>(op.getResultTypes()[0]);
  int64_t last = type.getRank() - 1;
  if (last < 0 || type.isDynamicDim(last) || type.getDimSize(last) == 1 ||
      !type.getElementType().isF32())
    return std::nullopt;
  std::optional<RMSNormMatch> result;
  matchCommutative<arith::MulFOp>(
      TensorExpr::identity(op.getResult(0)),
      [&](const TensorExpr &scaled, const TensorExpr &weight) {
        std::optional<TensorExpr> vector = weight.asTensor();
        if (!vector || vector->dims.size() != 1 || vector->dims[0] != last)
          return false;
        return matchCommutative<arith::MulFOp>(
            scaled, [&](const TensorExpr &x, const TensorExpr &factor) {
              Value input = x.asIdentityTensor(type.getRank());
              std::optional<float> eps =
                  input ? matchFactor(factor, x, last, type.getDimSize(last))
                        : std::nullopt;
              if (!eps)
                return false;
              result = RMSNormMatch{input, vector->value, *eps};
              return true;
            });
      });
  return result;
}
