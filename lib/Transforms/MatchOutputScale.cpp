//===- MatchOutputScale.cpp - Factors that follow a matrix product --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Models that keep integers apart from their scales multiply integers first:
//
//   y = (q W) * (step * s) | (q W) / (gain * S) | ((q W) / gain) * s ..
//
// step and gain being those of the rows of q, s and S constants of the weights.
//
//===----------------------------------------------------------------------===//

#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

std::optional<std::vector<float>>
pquant::evaluateVector(ConstantEvaluator &evaluator, const TensorExpr &expr,
                       int64_t dim, int64_t count) {
  if (std::optional<float> number = expr.getFloatConstant())
    return std::vector<float>{*number};
  std::optional<TensorExpr> tensor = expr.asTensor();
  if (!tensor || !evaluator.canEvaluate(tensor->value) ||
      llvm::any_of(tensor->dims, [&](int64_t followed) {
        return followed != dim && followed != TensorExpr::unitDim;
      }))
    return std::nullopt;
  FailureOr<std::vector<float>> values = evaluator.getFloats(tensor->value);
  int64_t expected = llvm::is_contained(tensor->dims, dim) ? count : 1;
  if (failed(values) || static_cast<int64_t>(values->size()) != expected)
    return std::nullopt;
  return std::move(*values);
}

namespace {
/// Takes a factor of the result apart.
class FactorCollector {
public:
  FactorCollector(ConstantEvaluator &evaluator, const RowScale *step,
                  int64_t columnDim, OutputScale &result)
      : evaluator(evaluator), step(step), columnDim(columnDim), result(result) {
  }

  /// False when there is something else in it; `result` is of no use then.
  bool collect(const TensorExpr &expr, bool isDivisor);

private:
  bool collectConstant(const TensorExpr &expr, bool isDivisor);

  ConstantEvaluator &evaluator;
  const RowScale *step;
  int64_t columnDim;
  OutputScale &result;
};
} // namespace

bool FactorCollector::collect(const TensorExpr &expr, bool isDivisor) {
  if (step && !result.hasStep &&
      (isDivisor ? step->isGain(expr) : step->isStep(expr)))
    return result.hasStep = true;
  if (collectConstant(expr, isDivisor))
    return true;
  if (auto product = matchExpr<arith::MulFOp>(expr))
    return collect((*product)[0], isDivisor) &&
           collect((*product)[1], isDivisor);
  if (auto quotient = matchExpr<arith::DivFOp>(expr))
    return collect((*quotient)[0], isDivisor) &&
           collect((*quotient)[1], !isDivisor);
  return false;
}

/// One number, or one for each column of the result.
bool FactorCollector::collectConstant(const TensorExpr &expr, bool isDivisor) {
  auto shape = cast<RankedTensorType>(result.result.getType()).getShape();
  auto values = evaluateVector(evaluator, expr, columnDim, shape[columnDim]);
  if (!values)
    return false;
  for (float &value : *values) {
    if (isDivisor)
      value = 1 / value;
    if (!std::isfinite(value))
      return false;
  }
  multiplyScales(result.factors, *values);
  return true;
}

/// The scaled result of the one op that uses `scale.result`.
static std::optional<OutputScale> followUse(ConstantEvaluator &evaluator,
                                            const OutputScale &scale,
                                            const RowScale *step) {
  Value product = scale.result;
  auto user = dyn_cast<linalg::GenericOp>(*product.user_begin());
  if (!user || user.getNumResults() != 1 || !isElementwise(user) ||
      user.getResult(0).getType() != product.getType())
    return std::nullopt;
  int64_t rank = cast<RankedTensorType>(product.getType()).getRank();
  std::optional<OutputScale> next;
  auto accept = [&](const TensorExpr &value, const TensorExpr &factor,
                    bool isDivisor) {
    if (value.asIdentityTensor(rank) != product)
      return false;
    OutputScale attempt = scale;
    if (!FactorCollector(evaluator, step, rank - 1, attempt)
             .collect(factor, isDivisor))
      return false;
    next = std::move(attempt);
    next->result = user.getResult(0);
    return true;
  };
  TensorExpr root = TensorExpr::identity(user.getResult(0));
  if (auto quotient = matchExpr<arith::DivFOp>(root))
    accept((*quotient)[0], (*quotient)[1], true);
  else
    matchCommutative<arith::MulFOp>(
        root, [&](auto &a, auto &b) { return accept(a, b, false); });
  return next;
}

OutputScale pquant::matchOutputScale(ConstantEvaluator &evaluator,
                                     Value product, const RowScale *step) {
  OutputScale scale{product};
  while (scale.result.hasOneUse()) {
    std::optional<OutputScale> next = followUse(evaluator, scale, step);
    if (!next)
      break;
    scale = std::move(*next);
  }
  return scale;
}
