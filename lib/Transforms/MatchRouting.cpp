//===- MatchRouting.cpp - Experts that are evaluated, then chosen ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters evaluate all experts, stack the results along a new dimension and
// gather by the index of the largest probability:
//
//   p = softmax(x W);  e = argmax(p);  y = stack(y_0, .., y_E-1)[.., e, ..]
//
//===----------------------------------------------------------------------===//

#include "MatchFFN.h"
#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The tensor element that an index of `tensor.extract` comes from, through the
/// conversion to `index` and the wrapping of negative numbers.
static TensorExpr stripIndex(TensorExpr expr) {
  while (true) {
    expr = expr.normalized();
    if (auto cast = expr.value.getDefiningOp<arith::IndexCastOp>()) {
      expr.value = cast.getIn();
      continue;
    }
    auto select = expr.value.getDefiningOp<arith::SelectOp>();
    auto compare =
        select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : nullptr;
    if (!compare || compare.getPredicate() != arith::CmpIPredicate::slt ||
        compare.getLhs() != select.getFalseValue() ||
        getConstantIntValue(compare.getRhs()) != 0)
      return expr;
    expr.value = select.getFalseValue();
  }
}

/// The s of `argmax over the last dimension of s`, first of equal ones.
static std::optional<TensorExpr> matchArgMax(const TensorExpr &expr) {
  auto op = expr.value.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumResults() != 2 || expr.value != op.getResult(1) ||
      op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1 ||
      !op.getIndexingMapsArray().front().isIdentity())
    return std::nullopt;
  unsigned last = op.getNumLoops() - 1;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  Block *body = op.getBody();
  auto yield = body->getTerminator();
  auto best = yield->getOperand(0).getDefiningOp<arith::SelectOp>();
  auto where = yield->getOperand(1).getDefiningOp<arith::SelectOp>();
  if (reductions[0] != last || !best || !where ||
      best.getCondition() != where.getCondition())
    return std::nullopt;
  auto compare = best.getCondition().getDefiningOp<arith::CmpFOp>();
  auto position = where.getTrueValue().getDefiningOp<arith::IndexCastOp>();
  auto loop =
      position ? position.getIn().getDefiningOp<linalg::IndexOp>() : nullptr;
  Value in = body->getArgument(0), maximum = body->getArgument(1);
  bool isFirstLargest = compare &&
                        compare.getPredicate() == arith::CmpFPredicate::OGT &&
                        compare.getLhs() == in && compare.getRhs() == maximum;
  if (!isFirstLargest || !loop || loop.getDim() != last ||
      best.getTrueValue() != in || best.getFalseValue() != maximum ||
      where.getFalseValue() != body->getArgument(2))
    return std::nullopt;
  TensorExpr source{op.getDpsInputs()[0], expr.dims};
  source.dims.push_back(TensorExpr::reducedDim);
  return source;
}

/// Whether the expression is element (row, reduced) of rows of `rank` - 1 dims.
static bool isRowOf(const TensorExpr &expr) {
  for (auto [i, dim] : llvm::enumerate(expr.dims)) {
    bool isLast = i + 1 == expr.dims.size();
    if (isLast ? dim != TensorExpr::reducedDim
               : dim != static_cast<int64_t>(i) && dim != TensorExpr::unitDim)
      return false;
  }
  return true;
}

static linalg::SoftmaxOp getSoftmax(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  auto softmax = root.value.getDefiningOp<linalg::SoftmaxOp>();
  if (!softmax || !isRowOf(root) ||
      static_cast<int64_t>(softmax.getDimension()) !=
          softmax.getInputOperandType().getRank() - 1)
    return nullptr;
  return softmax;
}

bool pquant::isTopProbability(const TensorExpr &expr, Value softmax) {
  std::optional<TensorExpr> row = matchMaxReduction(expr);
  linalg::SoftmaxOp op = row ? getSoftmax(*row) : nullptr;
  return op && op->getResult(0) == softmax;
}

static std::optional<Router> matchRouter(ConstantEvaluator &evaluator,
                                         linalg::SoftmaxOp softmax) {
  auto product = softmax.getInput().getDefiningOp<linalg::GenericOp>();
  auto linear =
      product ? matchLinear(evaluator, product) : std::optional<LinearMatch>();
  if (!linear)
    return std::nullopt;
  return Router{linear->activation, linear->weight, linear->rows,
                linear->columns, product.getLoc()};
}

/// The stacked values of `extract`, as seen from the gather's space.
static std::optional<SmallVector<TensorExpr>>
getStacked(tensor::ConcatOp concat, int64_t axis, ArrayRef<int64_t> dims) {
  SmallVector<TensorExpr> values;
  for (Value input : concat.getInputs()) {
    auto type = cast<RankedTensorType>(input.getType());
    if (type.getDimSize(axis) != 1)
      return std::nullopt;
    TensorExpr value{input, SmallVector<int64_t, 4>(dims)};
    value.dims[axis] = TensorExpr::unitDim;
    values.push_back(value);
  }
  return values;
}

std::optional<RoutedChoice>
pquant::matchRoutedChoice(ConstantEvaluator &evaluator, const TensorExpr &expr,
                          std::string &reason) {
  TensorExpr root = expr.normalized();
  auto extract = root.value.getDefiningOp<tensor::ExtractOp>();
  auto concat =
      extract ? extract.getTensor().getDefiningOp<tensor::ConcatOp>() : nullptr;
  if (!concat)
    return std::nullopt;
  int64_t axis = concat.getDim();
  // Where the other dimensions of the stack come from.
  SmallVector<int64_t> dims;
  for (auto [i, index] : llvm::enumerate(extract.getIndices())) {
    auto loop = index.getDefiningOp<linalg::IndexOp>();
    if (static_cast<int64_t>(i) == axis) {
      dims.push_back(TensorExpr::unitDim);
      continue;
    }
    if (!loop)
      return std::nullopt;
    dims.push_back(root.dims[loop.getDim()]);
  }
  auto experts = getStacked(concat, axis, dims);
  TensorExpr index = stripIndex({extract.getIndices()[axis], root.dims});
  std::optional<TensorExpr> probabilities = matchArgMax(index);
  if (!experts || !probabilities) {
    reason = "the gathered index is not that of a largest probability";
    return std::nullopt;
  }
  linalg::SoftmaxOp softmax = getSoftmax(*probabilities);
  std::optional<Router> router =
      softmax ? matchRouter(evaluator, softmax) : std::nullopt;
  if (!router) {
    reason = "the index is not that of the softmax of a linear";
    return std::nullopt;
  }
  if (router->experts != static_cast<int64_t>(experts->size())) {
    reason = "the router knows " + std::to_string(router->experts) +
             " experts, but " + std::to_string(experts->size()) +
             " are evaluated";
    return std::nullopt;
  }
  return RoutedChoice{std::move(*experts), *router, softmax->getResult(0)};
}
