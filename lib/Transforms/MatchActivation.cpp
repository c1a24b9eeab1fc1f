//===- MatchActivation.cpp - AbsMax quantisation of rows in float ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The quantiser is matched from its result back to the row, on TensorExprs:
//
//   y = x + (d - x)                      optional (straight-through residue)
//   d = c / g | c * (1 / g) | c * step   or c itself: the step comes later
//   c = min(max(r, lo), 127)             either order, before or after r
//   r = roundeven(v)
//   v = x * g | x / step                 the three formulas of #quantizer
//   m = max(a, eps) | a + eps,  a = max_k |x[k]|
//
// Only the arithmetic that feeds the rounding must be one of the three formulas
// to the last bit; the step that dequantises may be any of the forms that are
// equal up to its own rounding.
//
//===----------------------------------------------------------------------===//

#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

namespace {
/// Matches one quantiser; every function fills in a part of the result.
class ActivationMatcher {
public:
  ActivationMatcher(int64_t rank, Mismatch &mismatch)
      : rank(rank), mismatch(mismatch) {}

  bool match(const TensorExpr &root);

  TensorExpr x;
  RowScale scale;
  bool isDequantized = true;
  Guard guard = Guard::Max;
  float eps = 0;
  int64_t qmin = -128;

private:
  bool matchDequantized(const TensorExpr &expr);
  bool matchRounding(const TensorExpr &expr);
  bool matchClamp(const TensorExpr &expr, TensorExpr &inner);
  bool matchScaled(const TensorExpr &expr);
  bool matchGain(const TensorExpr &g);
  bool matchStep(const TensorExpr &d);
  bool matchGuard(const TensorExpr &m);
  bool matchAbsMax(const TensorExpr &a);
  bool fail(const char *reason) {
    mismatch.reason = reason;
    return false;
  }

  int64_t rank;
  Mismatch &mismatch;
};
} // namespace

static bool isConstant(const TensorExpr &expr, float number) {
  return expr.getFloatConstant() == number;
}

/// `OpTy(a, number)`, in either order: the other operand.
template <typename OpTy>
static std::optional<TensorExpr> matchWithConstant(const TensorExpr &expr,
                                                   float number) {
  std::optional<TensorExpr> other;
  matchCommutative<OpTy>(expr, [&](auto &a, auto &b) {
    if (!isConstant(b, number))
      return false;
    other = a;
    return true;
  });
  return other;
}

/// `number / b`.
static std::optional<TensorExpr> matchConstantOver(const TensorExpr &expr,
                                                   float number) {
  auto quotient = matchExpr<arith::DivFOp>(expr);
  if (!quotient || !isConstant((*quotient)[0], number))
    return std::nullopt;
  return (*quotient)[1];
}

/// `a / number`.
static std::optional<TensorExpr> matchOverConstant(const TensorExpr &expr,
                                                   float number) {
  auto quotient = matchExpr<arith::DivFOp>(expr);
  if (!quotient || !isConstant((*quotient)[1], number))
    return std::nullopt;
  return (*quotient)[0];
}

/// Whether the expression is a zero point of 0, cast or not.
static bool isZero(TensorExpr expr) {
  while (true) {
    expr = expr.normalized();
    Operation *op = expr.value.getDefiningOp();
    if (!isa_and_nonnull<arith::ExtSIOp, arith::ExtUIOp, arith::SIToFPOp,
                         arith::UIToFPOp>(op))
      return matchPattern(expr.value, m_Zero()) ||
             matchPattern(expr.value, m_AnyZeroFloat());
    expr = {op->getOperand(0), expr.dims};
  }
}

/// The integers before a zero point of 0 is subtracted, if one is.
static TensorExpr skipZeroPoint(TensorExpr expr) {
  while (true) {
    if (auto wide = matchExpr<arith::ExtSIOp>(expr))
      expr = (*wide)[0];
    else if (auto moved = matchExpr<arith::SubIOp>(expr);
             moved && isZero((*moved)[1]))
      expr = (*moved)[0];
    else
      return expr;
  }
}

bool ActivationMatcher::match(const TensorExpr &root) {
  mismatch.reason = "activations are not quantised";
  bool isResidue = matchCommutative<arith::AddFOp>(
      root, [&](const TensorExpr &input, const TensorExpr &rest) {
        auto difference = matchExpr<arith::SubFOp>(rest);
        return difference && isSameExpr(input, (*difference)[1]) &&
               matchDequantized((*difference)[0]) && isSameExpr(x, input);
      });
  if (isResidue || matchDequantized(root))
    return true;
  isDequantized = false;
  return matchRounding(root);
}

/// d = c / g | c * (1 / g) | c * step
bool ActivationMatcher::matchDequantized(const TensorExpr &expr) {
  if (auto quotient = matchExpr<arith::DivFOp>(expr)) {
    if (!matchRounding((*quotient)[0]))
      return false;
    return scale.isGain((*quotient)[1]) ||
           fail("activations are dequantised by another scale than they were "
                "quantised with");
  }
  return matchCommutative<arith::MulFOp>(expr, [&](auto &c, auto &step) {
    if (!matchRounding(c))
      return false;
    return scale.isStep(step) ||
           fail("activations are dequantised by another scale than they were "
                "quantised with");
  });
}

/// min(max(v, lo), hi) in any order of operands and of the two bounds.
bool ActivationMatcher::matchClamp(const TensorExpr &expr, TensorExpr &inner) {
  TensorExpr current = expr;
  bool hasLow = false, hasHigh = false;
  for (int i = 0; i < 2; ++i) {
    auto acceptBound = [&](bool &seen, bool isLow) {
      return [&, isLow](const TensorExpr &v, const TensorExpr &bound) {
        std::optional<float> number = bound.getFloatConstant();
        if (seen || !number)
          return false;
        if (isLow ? (*number != -128 && *number != -127) : *number != 127)
          return fail("activations are not clamped to [-128, 127] or "
                      "[-127, 127]");
        seen = true;
        if (isLow)
          qmin = static_cast<int64_t>(*number);
        current = v;
        return true;
      };
    };
    TensorExpr before = current;
    if (matchCommutative<arith::MaximumFOp>(before,
                                            acceptBound(hasLow, true)) ||
        matchCommutative<arith::MinimumFOp>(before,
                                            acceptBound(hasHigh, false)) ||
        matchCommutative<arith::MaxNumFOp>(before, acceptBound(hasLow, true)) ||
        matchCommutative<arith::MinNumFOp>(before, acceptBound(hasHigh, false)))
      continue;
    break;
  }
  inner = current;
  return hasLow && hasHigh;
}

/// r = roundeven(v) with a clamp around or inside, perhaps stored as integers.
bool ActivationMatcher::matchRounding(const TensorExpr &expr) {
  TensorExpr current = expr;
  if (auto number = matchExpr<arith::SIToFPOp>(current))
    if (auto integer = matchExpr<arith::FPToSIOp>(skipZeroPoint((*number)[0])))
      current = (*integer)[0];
  TensorExpr inner;
  bool isClamped = matchClamp(current, inner);
  if (isClamped)
    current = inner;
  if (auto moved = matchExpr<arith::AddFOp>(current);
      moved && isZero((*moved)[1]))
    current = (*moved)[0];
  auto rounded = matchExpr<math::RoundEvenOp>(current);
  if (!rounded)
    return false;
  mismatch.isQuantizer = true;
  current = (*rounded)[0];
  if (!isClamped) {
    isClamped = matchClamp(current, inner);
    if (isClamped)
      current = inner;
  }
  if (!isClamped)
    return fail("activations are rounded without a clamp to [-128, 127]");
  return matchScaled(current);
}

/// v = x * g | x / d
bool ActivationMatcher::matchScaled(const TensorExpr &expr) {
  mismatch.reason = "the arithmetic before the rounding of activations is none "
                    "of x * (1 / max * 127), x * (127 / max), x / (max / 127)";
  auto acceptRow = [&](const TensorExpr &row, const TensorExpr &factor) {
    Value tensor = row.asIdentityTensor(rank);
    if (!tensor || factor.normalized().dependsOn(rank - 1))
      return false;
    x = row;
    scale.factor = factor;
    return true;
  };
  if (auto quotient = matchExpr<arith::DivFOp>(expr)) {
    if (!acceptRow((*quotient)[0], (*quotient)[1]))
      return false;
    scale.formula = Formula::Div;
    return matchStep(scale.factor);
  }
  return matchCommutative<arith::MulFOp>(expr, [&](auto &a, auto &b) {
    return acceptRow(a, b) && matchGain(scale.factor);
  });
}

/// g = (1 / m) * 127 | 127 / m
bool ActivationMatcher::matchGain(const TensorExpr &g) {
  if (auto inverse = matchWithConstant<arith::MulFOp>(g, 127))
    if (auto maximum = matchConstantOver(*inverse, 1)) {
      scale.formula = Formula::MulRecip;
      return matchGuard(*maximum);
    }
  if (auto maximum = matchConstantOver(g, 127)) {
    scale.formula = Formula::MulDiv;
    return matchGuard(*maximum);
  }
  return false;
}

/// d = m / 127
bool ActivationMatcher::matchStep(const TensorExpr &d) {
  auto maximum = matchOverConstant(d, 127);
  return maximum && matchGuard(*maximum);
}

/// m = max(a, eps) | a + eps
bool ActivationMatcher::matchGuard(const TensorExpr &expr) {
  scale.maximum = expr;
  auto accept = [&](const TensorExpr &a, const TensorExpr &bound) {
    std::optional<float> number = bound.getFloatConstant();
    if (!number || !(*number >= 0) || std::isinf(*number))
      return false;
    eps = *number;
    return matchAbsMax(a);
  };
  guard = Guard::Max;
  if (matchCommutative<arith::MaximumFOp>(expr, accept) ||
      matchCommutative<arith::MaxNumFOp>(expr, accept))
    return true;
  guard = Guard::Add;
  if (matchCommutative<arith::AddFOp>(expr, accept))
    return true;
  if (matchMaxReduction(expr))
    return fail("the activations' maximum is not guarded against zero");
  return false;
}

/// a = max over the last dimension of |x|
bool ActivationMatcher::matchAbsMax(const TensorExpr &a) {
  std::optional<TensorExpr> reduced = matchMaxReduction(a);
  auto absolute = reduced ? matchExpr<math::AbsFOp>(*reduced) : std::nullopt;
  if (!absolute)
    return false;
  TensorExpr inner = (*absolute)[0].normalized();
  // The row itself, with its last dimension reduced.
  TensorExpr row = x.normalized();
  if (inner.value != row.value || inner.dims.size() != row.dims.size())
    return fail("the activations' maximum is that of another tensor");
  for (auto [have, want] : llvm::zip_equal(inner.dims, row.dims))
    if (have != (want == rank - 1 ? TensorExpr::reducedDim : want))
      return fail("the activations' maximum is not over the last dimension");
  return true;
}

bool RowScale::isGain(const TensorExpr &expr) const {
  bool isFactor = isSameExpr(expr, factor);
  if (formula != Formula::Div && isFactor)
    return true;
  if (auto step = matchConstantOver(expr, 1))
    return isStep(*step);
  auto maximum = matchConstantOver(expr, 127);
  if (!maximum)
    if (auto inverse = matchWithConstant<arith::MulFOp>(expr, 127))
      maximum = matchConstantOver(*inverse, 1);
  return maximum && isSameExpr(*maximum, this->maximum);
}

bool RowScale::isStep(const TensorExpr &expr) const {
  if (formula == Formula::Div && isSameExpr(expr, factor))
    return true;
  if (auto gain = matchConstantOver(expr, 1))
    return isSameExpr(*gain, factor) && formula != Formula::Div;
  auto maximum = matchOverConstant(expr, 127);
  return maximum && isSameExpr(*maximum, this->maximum);
}

//===----------------------------------------------------------------------===//
// Other quantisers
//===----------------------------------------------------------------------===//

/// Why the quantiser that QuantizeLinear and DequantizeLinear are is none of
/// those above: (clamp(round(x / step) + zero) - zero) * step. Null when the
/// expression is no such thing.
static const char *explainOtherQuantizer(const TensorExpr &root) {
  auto product = matchExpr<arith::MulFOp>(root);
  if (!product)
    return nullptr;
  TensorExpr expr = (*product)[0].normalized();
  if (!isa_and_nonnull<arith::SIToFPOp, arith::UIToFPOp>(
          expr.value.getDefiningOp()))
    return nullptr;
  bool isMoved = false;
  while (Operation *op = expr.value.getDefiningOp()) {
    if (isa<math::RoundEvenOp>(op)) {
      if (isMoved)
        return "activations are quantised to unsigned integers or with a zero "
               "point";
      TensorExpr step = (*product)[1].normalized();
      if (step.value.getDefiningOp<arith::ConstantOp>())
        return "activations are quantised with a fixed scale";
      return step.isInvariant()
                 ? "activations are quantised with one scale for several rows"
                 : nullptr;
    }
    isMoved |= isa<arith::FPToUIOp, arith::UIToFPOp>(op);
    if (isa<arith::AddFOp, arith::SubIOp>(op))
      isMoved |= !isZero({op->getOperand(1), expr.dims});
    else if (!isa<arith::SIToFPOp, arith::UIToFPOp, arith::ExtSIOp,
                  arith::ExtUIOp, arith::FPToSIOp, arith::FPToUIOp,
                  arith::MaximumFOp, arith::MinimumFOp>(op))
      return nullptr;
    expr = TensorExpr{op->getOperand(0), expr.dims}.normalized();
  }
  return nullptr;
}

std::optional<ActivationMatch> pquant::matchActivation(Value tensor,
                                                       Mismatch &mismatch) {
  auto type = cast<RankedTensorType>(tensor.getType());
  mismatch.reason = "activations are not quantised";
  if (type.getRank() == 0 || !type.getElementType().isF32())
    return std::nullopt;
  ActivationMatcher matcher(type.getRank(), mismatch);
  if (!matcher.match(TensorExpr::identity(tensor))) {
    if (const char *reason =
            explainOtherQuantizer(TensorExpr::identity(tensor))) {
      mismatch.reason = reason;
      mismatch.isQuantizer = true;
    }
    return std::nullopt;
  }
  MLIRContext *context = tensor.getContext();
  auto quantizer = QuantizerAttr::get(context, matcher.scale.formula,
                                      llvm::APFloat(matcher.eps), matcher.guard,
                                      matcher.qmin, 127);
  return ActivationMatch{matcher.x.asIdentityTensor(type.getRank()), quantizer,
                         matcher.scale, matcher.isDequantized};
}
