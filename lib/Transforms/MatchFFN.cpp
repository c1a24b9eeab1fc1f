//===- MatchFFN.cpp - Feed-forward layers of raised linears ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From the down projection back to the input that gate and up share. The
// activation functions are recognised in the forms that exporters write:
//
//   silu   v * (1 / (1 + exp(-v)))
//   gelu   v * 0.5 * (1 + erf(v / sqrt(2))), factors in any order
//   relu   max(v, 0)
//   relu2  relu(v) * relu(v), relu(v) ^ 2
//
//===----------------------------------------------------------------------===//

#include "MatchFFN.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

static bool isNumber(const TensorExpr &expr, float number) {
  std::optional<float> constant = expr.getFloatConstant();
  return constant && std::fabs(*constant - number) <= 1e-6f * number;
}

//===----------------------------------------------------------------------===//
// Activation functions
//===----------------------------------------------------------------------===//

/// The v of 1 / (1 + exp(-v)).
static std::optional<TensorExpr> matchSigmoid(const TensorExpr &expr) {
  auto quotient = matchExpr<arith::DivFOp>(expr);
  if (!quotient || !isNumber((*quotient)[0], 1))
    return std::nullopt;
  std::optional<TensorExpr> result;
  matchCommutative<arith::AddFOp>((*quotient)[1], [&](auto &e, auto &one) {
    auto exponential = matchExpr<math::ExpOp>(e);
    auto negated = exponential ? matchExpr<arith::NegFOp>((*exponential)[0])
                               : std::nullopt;
    if (!negated || !isNumber(one, 1))
      return false;
    result = (*negated)[0];
    return true;
  });
  return result;
}

static std::optional<TensorExpr> matchSilu(const TensorExpr &expr) {
  std::optional<TensorExpr> result;
  matchCommutative<arith::MulFOp>(expr, [&](auto &v, auto &factor) {
    std::optional<TensorExpr> inner = matchSigmoid(factor);
    if (!inner || !isSameExpr(*inner, v))
      return false;
    result = v;
    return true;
  });
  return result;
}

static std::optional<TensorExpr> matchRelu(const TensorExpr &expr) {
  std::optional<TensorExpr> result;
  auto accept = [&](const TensorExpr &v, const TensorExpr &zero) {
    if (zero.getFloatConstant() != 0.f)
      return false;
    result = v;
    return true;
  };
  if (!matchCommutative<arith::MaximumFOp>(expr, accept))
    matchCommutative<arith::MaxNumFOp>(expr, accept);
  return result;
}

static std::optional<TensorExpr> matchRelu2(const TensorExpr &expr) {
  if (auto power = matchExpr<math::PowFOp>(expr))
    return isNumber((*power)[1], 2) ? matchRelu((*power)[0]) : std::nullopt;
  auto product = matchExpr<arith::MulFOp>(expr);
  if (!product || !isSameExpr((*product)[0], (*product)[1]))
    return std::nullopt;
  return matchRelu((*product)[0]);
}

static void collectFactors(const TensorExpr &expr,
                           SmallVectorImpl<TensorExpr> &factors) {
  auto product = matchExpr<arith::MulFOp>(expr);
  if (!product || factors.size() > 4) {
    factors.push_back(expr);
    return;
  }
  collectFactors((*product)[0], factors);
  collectFactors((*product)[1], factors);
}

/// The v of 1 + erf(v / sqrt(2)).
static std::optional<TensorExpr> matchErfPlusOne(const TensorExpr &expr) {
  std::optional<TensorExpr> result;
  matchCommutative<arith::AddFOp>(expr, [&](auto &e, auto &one) {
    auto erf = matchExpr<math::ErfOp>(e);
    if (!erf || !isNumber(one, 1))
      return false;
    if (auto quotient = matchExpr<arith::DivFOp>((*erf)[0]))
      if (isNumber((*quotient)[1], std::sqrt(2.f)))
        result = (*quotient)[0];
    matchCommutative<arith::MulFOp>((*erf)[0], [&](auto &v, auto &factor) {
      if (!isNumber(factor, std::sqrt(0.5f)))
        return false;
      result = v;
      return true;
    });
    return result.has_value();
  });
  return result;
}

static std::optional<TensorExpr> matchGelu(const TensorExpr &expr) {
  SmallVector<TensorExpr> factors;
  collectFactors(expr, factors);
  if (factors.size() != 3)
    return std::nullopt;
  std::optional<TensorExpr> inner, v;
  bool hasHalf = false;
  for (const TensorExpr &factor : factors) {
    if (std::optional<TensorExpr> match = matchErfPlusOne(factor))
      inner = match;
    else if (isNumber(factor, 0.5))
      hasHalf = true;
    else
      v = factor;
  }
  return hasHalf && inner && v && isSameExpr(*inner, *v) ? v : std::nullopt;
}

static std::optional<std::pair<Activation, TensorExpr>>
matchFunction(const TensorExpr &expr) {
  if (auto v = matchSilu(expr))
    return std::make_pair(Activation::SiLU, *v);
  if (auto v = matchGelu(expr))
    return std::make_pair(Activation::GELU, *v);
  if (auto v = matchRelu2(expr))
    return std::make_pair(Activation::ReLU2, *v);
  if (auto v = matchRelu(expr))
    return std::make_pair(Activation::ReLU, *v);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

/// The linear whose result this is, element by element.
static Operation *getLinear(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  Operation *op = root.value.getDefiningOp();
  if (!isa_and_nonnull<BinaryLinearOp, Int8LinearOp>(op))
    return nullptr;
  for (auto [i, dim] : llvm::enumerate(root.dims))
    if (dim != static_cast<int64_t>(i) && dim != TensorExpr::unitDim)
      return nullptr;
  return op;
}

/// Whether the linear has one plane (or INT8 weights), one scale, no offset.
static bool isPlain(Operation *op) {
  if (auto binary = dyn_cast<BinaryLinearOp>(op))
    return binary.getPlanes().size() == 1 && !binary.getOffset() &&
           cast<RankedTensorType>(binary.getScales()[0].getType())
                   .getNumElements() == 1;
  return cast<Int8LinearOp>(op).getWeightScale().getType().getNumElements() ==
         1;
}

/// The quantisation that a linear reads.
static QuantizeOp getQuantize(Operation *linear) {
  auto quantize = linear->getOperand(0).getDefiningOp<QuantizeOp>();
  return quantize && linear->getOperand(1) == quantize.getScale() ? quantize
                                                                  : nullptr;
}

/// Fills in gate, up and the activation of `hidden`.
static bool matchHidden(const TensorExpr &hidden, FeedForward &ffn) {
  bool isGated = matchCommutative<arith::MulFOp>(
      hidden, [&](const TensorExpr &activated, const TensorExpr &up) {
        auto function = matchFunction(activated);
        ffn.up = getLinear(up);
        ffn.gate = function ? getLinear(function->second) : nullptr;
        if (function)
          ffn.activation = function->first;
        return ffn.gate && ffn.up;
      });
  if (isGated)
    return true;
  auto function = matchFunction(hidden);
  if (!function)
    return false;
  ffn.gate = nullptr;
  ffn.activation = function->first;
  ffn.up = getLinear(function->second);
  return ffn.up != nullptr;
}

std::optional<FeedForward> pquant::matchFeedForward(const TensorExpr &result,
                                                    std::string &reason) {
  FeedForward ffn;
  ffn.down = getLinear(result);
  QuantizeOp hidden = ffn.down ? getQuantize(ffn.down) : nullptr;
  if (!hidden)
    return std::nullopt;
  ffn.isInt8 = isa<Int8LinearOp>(ffn.down);
  if (!matchHidden(TensorExpr::identity(hidden.getInput()), ffn))
    return std::nullopt;
  SmallVector<Operation *, 3> linears{ffn.down, ffn.up};
  if (ffn.gate)
    linears.push_back(ffn.gate);
  for (Operation *linear : linears) {
    if (isa<Int8LinearOp>(linear) != ffn.isInt8) {
      reason = "a branch mixes 1-bit and INT8 linears";
      return std::nullopt;
    }
    if (!isPlain(linear)) {
      reason = "a linear of a branch has more than one scale or plane";
      return std::nullopt;
    }
  }
  QuantizeOp input = getQuantize(ffn.up);
  if (!input || (ffn.gate && getQuantize(ffn.gate) != input)) {
    reason = "gate and up read different activations";
    return std::nullopt;
  }
  if (input.getQuantizer() != hidden.getQuantizer()) {
    reason = "the hidden vector is quantised in another way than the input";
    return std::nullopt;
  }
  ffn.input = input.getInput();
  ffn.quantizer = input.getQuantizer();
  return ffn;
}
