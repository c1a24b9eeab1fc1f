//===- MatchRouting.cpp - What a top-1 router is made of ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   p = softmax(x W);  index = argmax(p);  probability = max(p)
//
// TopK with k = 1 is written by frontends as ranks, of which one is 0; the
// scatter of a mask as a nest of loops.
//
//===----------------------------------------------------------------------===//

#include "MatchRouting.h"
#include "LoopNest.h"
#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The s of a search for the largest element over the last dimension of s, the
/// first of equal ones; its results are the element and its index.
static std::optional<TensorExpr> matchSearch(const TensorExpr &expr,
                                             unsigned result) {
  auto op = expr.value.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumResults() != 2 || expr.value != op.getResult(result) ||
      op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1 ||
      !op.getIndexingMapsArray().front().isIdentity())
    return std::nullopt;
  unsigned last = op.getNumLoops() - 1;
  if (op.getIndexingMapsArray()[1 + result] !=
      op.getIndexingMapsArray().front().dropResult(last))
    return std::nullopt;
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

std::optional<TensorExpr> pquant::matchArgMax(const TensorExpr &expr) {
  return matchSearch(expr, 1);
}

std::optional<TensorExpr> pquant::matchMaximum(const TensorExpr &expr) {
  std::optional<TensorExpr> row = matchSearch(expr, 0);
  return row ? row : matchMaxReduction(expr);
}

/// Whether `value` is `a > b`, or an earlier `a == b`, as a number.
static bool isComesFirst(Value value, Value a, Value b, Value isEarlier) {
  auto extend = value.getDefiningOp<arith::ExtUIOp>();
  auto either = extend ? extend.getIn().getDefiningOp<arith::OrIOp>() : nullptr;
  auto better =
      either ? either.getLhs().getDefiningOp<arith::CmpFOp>() : nullptr;
  auto tie = either ? either.getRhs().getDefiningOp<arith::AndIOp>() : nullptr;
  auto equal = tie ? tie.getRhs().getDefiningOp<arith::CmpFOp>() : nullptr;
  return better && equal && tie.getLhs() == isEarlier &&
         better.getPredicate() == arith::CmpFPredicate::OGT &&
         equal.getPredicate() == arith::CmpFPredicate::OEQ &&
         better.getLhs() == a && better.getRhs() == b && equal.getLhs() == a &&
         equal.getRhs() == b;
}

std::optional<TensorExpr> pquant::matchRank(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  auto op = root.value.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getNumReductionLoops() != 1 ||
      op.getDpsInputs()[0] != op.getDpsInputs()[1])
    return std::nullopt;
  // The element itself, the others of its row, and the result like itself.
  unsigned rank = root.dims.size();
  MLIRContext *context = op.getContext();
  AffineMap self =
      AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank);
  SmallVector<AffineExpr> exprs(self.getResults());
  exprs.back() = getAffineDimExpr(rank, context);
  AffineMap other = AffineMap::get(rank + 1, 0, exprs, context);
  Block *body = op.getBody();
  auto sum =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  bool isCount =
      sum && sum.getLhs() == body->getArgument(2) &&
      llvm::equal(op.getIndexingMapsArray(), ArrayRef{self, other, self});
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!isCount || !fill || !isConstantIntValue(fill.getInputs()[0], 0))
    return std::nullopt;
  for (auto earlier : body->getOps<arith::CmpIOp>()) {
    auto j = earlier.getLhs().getDefiningOp<linalg::IndexOp>();
    auto i = earlier.getRhs().getDefiningOp<linalg::IndexOp>();
    if (j && i && j.getDim() == rank && i.getDim() == rank - 1 &&
        earlier.getPredicate() == arith::CmpIPredicate::slt &&
        isComesFirst(sum.getRhs(), body->getArgument(1), body->getArgument(0),
                     earlier))
      return TensorExpr{op.getDpsInputs()[0], root.dims};
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

/// Whether the dimensions are the leading ones of the space.
static bool isRowOf(ArrayRef<int64_t> dims) {
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim != static_cast<int64_t>(i) && dim != TensorExpr::unitDim)
      return false;
  return true;
}

bool RouterFinder::isProbabilities(const TensorExpr &row) {
  TensorExpr root = row.normalized();
  auto op = root.value.getDefiningOp<linalg::SoftmaxOp>();
  if (!op || !isRowOf(ArrayRef(root.dims).drop_back()) ||
      op.getDimension() + 1 != static_cast<uint64_t>(root.dims.size()))
    return false;
  if (router)
    return op == router->probabilities;
  auto product = op.getInput().getDefiningOp<linalg::GenericOp>();
  auto linear =
      product ? matchLinear(constants, product) : std::optional<LinearMatch>();
  if (!linear || route)
    return false;
  router = Router{linear->activation, linear->weight, linear->rows,
                  linear->columns, op};
  return true;
}

bool RouterFinder::isRouted(const TensorExpr &result) {
  TensorExpr root = result.normalized();
  auto op = root.value.getDefiningOp<RouteOp>();
  if (!op || router || (route && op != route) || !isRowOf(root.dims))
    return false;
  route = op;
  return true;
}

int64_t RouterFinder::getExperts() const {
  if (route)
    return RouteOp(route).getWeight().getType().getDimSize(0);
  return router ? router->experts : 0;
}

//===----------------------------------------------------------------------===//
// Scatters
//===----------------------------------------------------------------------===//

/// The size of a dimension of a filled tensor.
static std::optional<OpFoldResult> getFilledSize(Value tensor, int64_t dim) {
  auto fill = tensor.getDefiningOp<linalg::FillOp>();
  auto empty =
      fill ? fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>() : nullptr;
  return empty ? std::optional(empty.getMixedSizes()[dim]) : std::nullopt;
}

/// Whether the loop runs over [0, size).
static bool runsOver(scf::ForOp loop, OpFoldResult size) {
  return isConstantIntValue(loop.getLowerBound(), 0) &&
         isConstantIntValue(loop.getStep(), 1) &&
         isEqualConstantIntOrValue(loop.getUpperBound(), size);
}

std::optional<ScatterMatch> pquant::matchScatter(scf::ForOp outer) {
  SmallVector<scf::ForOp> nest = getLoopNest(outer);
  if (nest.empty())
    return std::nullopt;
  scf::ForOp inner = nest.back();
  auto insert = inner.getYieldedValues()[0].getDefiningOp<tensor::InsertOp>();
  if (!insert || insert.getDest() != inner.getRegionIterArg(0))
    return std::nullopt;
  ScatterMatch match{outer.getInitArgs()[0], insert.getScalar(), {}, {}, -1};
  OpFoldResult one = Builder(outer.getContext()).getIndexAttr(1);
  auto indices = insert.getIndices();
  for (scf::ForOp loop : nest) {
    Value variable = loop.getInductionVar();
    int64_t dim = llvm::find(indices, variable) - indices.begin();
    bool isRow = dim < static_cast<int64_t>(indices.size());
    // Every row is written, once.
    auto size = isRow ? getFilledSize(match.init, dim) : std::optional(one);
    if (!size || !runsOver(loop, *size))
      return std::nullopt;
    match.loops.push_back({variable, isRow ? dim : TensorExpr::unitDim});
  }
  for (size_t i = 0; i < indices.size(); ++i) {
    auto isIndex = [&](auto loop) { return loop.first == indices[i]; };
    if (llvm::any_of(match.loops, isIndex))
      continue;
    if (match.axis >= 0)
      return std::nullopt;
    match.axis = i;
    match.index = indices[i];
  }
  return match.axis < 0 ? std::nullopt : std::optional(match);
}
