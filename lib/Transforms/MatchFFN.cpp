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

namespace {
/// A linear, and the point of the space that its result is read at.
struct LinearRead {
  Operation *op = nullptr;
  SmallVector<int64_t, 4> dims;
};

/// Matches one layer; every function fills in a part of the result.
class FeedForwardMatcher {
public:
  FeedForwardMatcher(GetExpertFn getExpert, std::string &reason)
      : getExpert(getExpert), reason(reason) {}

  bool match(const TensorExpr &result);

  FeedForward ffn;

private:
  LinearRead getLinear(const TensorExpr &expr);
  bool takesOneExpert(ExpertLinearOp op, ArrayRef<int64_t> dims);
  bool matchHidden(const TensorExpr &hidden);
  bool checkLinears();
  bool fail(const char *why) {
    reason = why;
    return false;
  }

  GetExpertFn getExpert;
  std::string &reason;
  LinearRead gate, up, down;
  std::optional<int64_t> expert;
};
} // namespace

/// Whether all rows of the result take the same expert, that of the other
/// linears, and dimensions but those of the experts are the space's.
bool FeedForwardMatcher::takesOneExpert(ExpertLinearOp op,
                                        ArrayRef<int64_t> dims) {
  int64_t next = 0;
  for (int64_t dim : dims) {
    if (dim < 0)
      continue;
    if (dim < next)
      return false;
    next = dim + 1;
  }
  std::optional<int64_t> number =
      getExpert ? getExpert({op.getIndex(),
                             SmallVector<int64_t, 4>(dims.drop_back())})
                : std::nullopt;
  if (!number || (expert && expert != number))
    return false;
  expert = number;
  return true;
}

/// The linear whose result this is, element by element.
LinearRead FeedForwardMatcher::getLinear(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  Operation *op = root.value.getDefiningOp();
  if (auto stacked = dyn_cast_or_null<ExpertLinearOp>(op))
    return takesOneExpert(stacked, root.dims) ? LinearRead{op, root.dims}
                                              : LinearRead();
  if (!isa_and_nonnull<BinaryLinearOp, Int8LinearOp>(op))
    return {};
  for (auto [i, dim] : llvm::enumerate(root.dims))
    if (dim != static_cast<int64_t>(i) && dim != TensorExpr::unitDim)
      return {};
  return {op, root.dims};
}

/// Whether the linear has one plane (or INT8 weights), no offset, and one scale
/// for a matrix.
static bool isPlain(Operation *op) {
  if (auto binary = dyn_cast<BinaryLinearOp>(op))
    return binary.getPlanes().size() == 1 && !binary.getOffset() &&
           cast<RankedTensorType>(binary.getScales()[0].getType())
                   .getNumElements() == 1;
  if (auto stacked = dyn_cast<ExpertLinearOp>(op))
    return stacked.getWeightScale().getType().getDimSize(1) == 1;
  return cast<Int8LinearOp>(op).getWeightScale().getType().getNumElements() ==
         1;
}

namespace {
/// The rows that a quantisation reads.
struct QuantizeRead {
  QuantizeOp op;
  TensorExpr input;
};
} // namespace

/// What a linear reads.
static QuantizeRead getQuantize(const LinearRead &linear) {
  TensorExpr values{linear.op->getOperand(0), linear.dims};
  TensorExpr scale{linear.op->getOperand(1), linear.dims};
  scale.dims.pop_back();
  values = values.normalized();
  scale = scale.normalized();
  auto op = values.value.getDefiningOp<QuantizeOp>();
  if (!op || scale.value != op.getScale() ||
      ArrayRef(values.dims).drop_back() != ArrayRef(scale.dims))
    return {};
  return {op, {op.getInput(), values.dims}};
}

/// Fills in gate, up and the activation of `hidden`.
bool FeedForwardMatcher::matchHidden(const TensorExpr &hidden) {
  bool isGated = matchCommutative<arith::MulFOp>(
      hidden, [&](const TensorExpr &activated, const TensorExpr &other) {
        auto function = matchFunction(activated);
        up = getLinear(other);
        gate = function ? getLinear(function->second) : LinearRead();
        if (function)
          ffn.activation = function->first;
        return gate.op && up.op;
      });
  if (isGated)
    return true;
  auto function = matchFunction(hidden);
  if (!function)
    return false;
  gate = LinearRead();
  ffn.activation = function->first;
  up = getLinear(function->second);
  return up.op != nullptr;
}

/// Whether the linears are of one kind.
bool FeedForwardMatcher::checkLinears() {
  for (Operation *linear : {ffn.down, ffn.up, ffn.gate}) {
    if (!linear)
      continue;
    if (linear->getName() != ffn.down->getName())
      return fail("a branch mixes 1-bit and INT8 linears");
    if (!isPlain(linear))
      return fail("a linear of a branch has more than one scale or plane");
  }
  return true;
}

bool FeedForwardMatcher::match(const TensorExpr &result) {
  down = getLinear(result);
  QuantizeRead hidden = down.op ? getQuantize(down) : QuantizeRead();
  if (!hidden.op || !matchHidden(hidden.input))
    return false;
  ffn.isInt8 = !isa<BinaryLinearOp>(down.op);
  ffn.gate = gate.op;
  ffn.up = up.op;
  ffn.down = down.op;
  ffn.expert = expert.value_or(0);
  if (!checkLinears())
    return false;
  QuantizeRead read = getQuantize(up);
  QuantizeRead other = gate.op ? getQuantize(gate) : read;
  if (!read.op || read.op != other.op || read.input.dims != other.input.dims)
    return fail("gate and up read different activations");
  if (read.op.getQuantizer() != hidden.op.getQuantizer())
    return fail("the hidden vector is quantised in another way than the input");
  ffn.input = read.input;
  ffn.quantizer = read.op.getQuantizer();
  return true;
}

std::optional<FeedForward> pquant::matchFeedForward(const TensorExpr &result,
                                                    std::string &reason,
                                                    GetExpertFn getExpert) {
  FeedForwardMatcher matcher(getExpert, reason);
  return matcher.match(result) ? std::optional(matcher.ffn) : std::nullopt;
}
