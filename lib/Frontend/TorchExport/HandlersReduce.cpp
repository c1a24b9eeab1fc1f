//===- HandlersReduce.cpp - Reductions, order, running sums ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static Value maximum(ScalarOps &o, Value x, Value y) { return o.max(x, y); }
static Value minimum(ScalarOps &o, Value x, Value y) { return o.min(x, y); }
static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(y, x); }
static Value either(ScalarOps &o, Value x, Value y) {
  return arith::OrIOp::create(o.b, o.loc, x, y);
}
static Value both(ScalarOps &o, Value x, Value y) {
  return arith::AndIOp::create(o.b, o.loc, x, y);
}

/// The input in the element type of the result, where sums are computed.
static Tensor getInput(NodeContext &ctx) {
  return ctx.b.castElements(ctx.getTensor("self"), ctx.getResultType());
}

/// Folds `function` over the axes of argument `dim`, all when it is missing.
static LogicalResult reduceWith(NodeContext &ctx, Tensor input, TypedAttr init,
                                Value (*function)(ScalarOps &, Value, Value)) {
  return ctx.setResult(
      ctx.b.reduce(input, ctx.getAxes("dim", input->getRank()),
                   ctx.getBool("keepdim", false), input->element, init,
                   [&](OpBuilder &b, Location loc, ValueRange args) {
                     ScalarOps o(b, loc, input->element);
                     return function(o, args[0], args[1]);
                   }));
}

static LogicalResult importSum(NodeContext &ctx) {
  Tensor input = getInput(ctx);
  return ctx.setResult(sumOver(ctx.b, input,
                               ctx.getAxes("dim", input->getRank()),
                               ctx.getBool("keepdim", false)));
}

static LogicalResult importMean(NodeContext &ctx) {
  Tensor input = getInput(ctx);
  if (failed(ctx.requireFloat(input)))
    return failure();
  SmallVector<int64_t> axes = ctx.getAxes("dim", input->getRank());
  Tensor sum = sumOver(ctx.b, input, axes, ctx.getBool("keepdim", false));
  return ctx.setResult(divideByCount(ctx.b, sum, *input, axes));
}

static LogicalResult importProd(NodeContext &ctx) {
  Tensor input = getInput(ctx);
  return reduceWith(
      ctx, input, ctx.b.getBuilder().getOneAttr(input->element.type), multiply);
}

template <bool isMax>
static LogicalResult importExtreme(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  return reduceWith(ctx, input,
                    getExtreme(ctx.b.getBuilder(), input->element, isMax),
                    isMax ? maximum : minimum);
}

template <bool isAny>
static LogicalResult importTruth(NodeContext &ctx) {
  ElementType truth{ctx.b.getBuilder().getI1Type()};
  Tensor input = ctx.b.castElements(ctx.getTensor("self"), truth);
  return reduceWith(ctx, input, ctx.b.getBuilder().getBoolAttr(!isAny),
                    isAny ? either : both);
}

/// Mean of the squared distance from the mean, over count - correction.
static LogicalResult importVariance(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  double correction = ctx.getDouble("correction", 1);
  SmallVector<int64_t> axes = ctx.getAxes("dim", input->getRank());
  auto subtract = [](ScalarOps &o, Value x, Value y) { return o.sub(x, y); };
  Tensor mean =
      divideByCount(ctx.b, sumOver(ctx.b, input, axes, true), *input, axes);
  Tensor centered = *mapElements(ctx.b, input, mean, subtract);
  Tensor squares = *mapElements(ctx.b, centered, centered, multiply);
  Tensor sum = sumOver(ctx.b, squares, axes, ctx.getBool("keepdim", false));
  SizeExpr count(1);
  for (int64_t axis : axes)
    count = count * input->sizes[axis];
  FailureOr<Tensor> divisor =
      mapElements(ctx.b, ctx.b.makeSizeScalar(count, input->element),
                  ctx.b.makeScalar(input->element, correction), subtract);
  if (failed(divisor))
    return failure();
  return ctx.setResult(
      mapElements(ctx.b, sum, *divisor,
                  [](ScalarOps &o, Value x, Value y) { return o.div(x, y); }));
}

/// The Euclidean norm.
static LogicalResult importNorm(NodeContext &ctx) {
  Tensor input = getInput(ctx);
  if (failed(ctx.requireFloat(input)))
    return failure();
  if (ctx.getDouble("ord", 2) != 2)
    return ctx.error() << "expected the norm of order 2";
  Tensor squares = *mapElements(ctx.b, input, input, multiply);
  Tensor sum = sumOver(ctx.b, squares, ctx.getAxes("dim", input->getRank()),
                       ctx.getBool("keepdim", false));
  return ctx.setResult(
      mapElements(ctx.b, sum, [](ScalarOps &o, Value x) { return o.sqrt(x); }));
}

//===----------------------------------------------------------------------===//
// Extremes with their indices, order, running sums
//===----------------------------------------------------------------------===//

/// With the dropped axis back as 1, where it is asked for.
static FailureOr<Tensor> keepAxis(NodeContext &ctx, Tensor reduced,
                                  Tensor input, int64_t axis) {
  if (!ctx.getBool("keepdim", false) || input->getRank() == 0)
    return reduced;
  SizeList sizes = input->sizes;
  sizes[axis] = SizeExpr(1);
  return ctx.b.reshape(reduced, sizes);
}

template <bool isMax>
static LogicalResult importExtremeAndIndex(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  // Two loops, which are what recognition knows.
  int64_t axis = ctx.getAxis("dim", input->getRank());
  Tensor indices = findExtreme(ctx.b, input, axis, isMax).second;
  Tensor values = ctx.b.reduce(
      input, axis, /*keepDims=*/false, input->element,
      getExtreme(ctx.b.getBuilder(), input->element, isMax),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, input->element);
        return isMax ? o.max(args[0], args[1]) : o.min(args[0], args[1]);
      });
  return failure(failed(ctx.setResult(keepAxis(ctx, values, input, axis), 0)) ||
                 failed(ctx.setResult(keepAxis(ctx, indices, input, axis), 1)));
}

template <bool isMax>
static LogicalResult importArgExtreme(NodeContext &ctx) {
  FailureOr<Tensor> input = ctx.getTensor("self");
  // Without an axis the index counts all elements.
  if (!ctx.has("dim"))
    input = ctx.b.reshape(*input, {ctx.b.product((*input)->sizes)});
  if (failed(input) || failed(ctx.requireRank(*input, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", (*input)->getRank(), 0);
  Tensor indices = findExtreme(ctx.b, *input, axis, isMax).second;
  return ctx.setResult(ctx.has("dim") ? keepAxis(ctx, indices, *input, axis)
                                      : FailureOr<Tensor>(indices));
}

static LogicalResult importTopK(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", input->getRank(), -1);
  int64_t count = ctx.getInt("k");
  std::optional<int64_t> size = input->sizes[axis].getConstant();
  if (count < 0 || (size && count > *size))
    return ctx.error() << "expected k of at most the axis' size, but got "
                       << count;
  auto [values, indices] = findBest(ctx.b, input, axis, SizeExpr(count),
                                    ctx.getBool("largest", true));
  (void)ctx.setResult(values, 0);
  return ctx.setResult(indices, 1);
}

/// Equal elements stay in order.
static LogicalResult importSort(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", input->getRank(), -1);
  auto [values, indices] = findBest(ctx.b, input, axis, input->sizes[axis],
                                    ctx.getBool("descending", false));
  if (ctx.getNode().target == "aten.argsort.default")
    return ctx.setResult(indices);
  (void)ctx.setResult(values, 0);
  return ctx.setResult(indices, 1);
}

static LogicalResult importCumSum(NodeContext &ctx) {
  Tensor input = getInput(ctx);
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  return ctx.setResult(
      sumCumulatively(ctx.b, input, ctx.getAxis("dim", input->getRank())));
}

/// How many elements lie in each of equal intervals of [min, max].
static LogicalResult importHistogram(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  int64_t bins = ctx.getInt("bins", 100);
  double low = ctx.getDouble("min", 0), high = ctx.getDouble("max", 0);
  if (failed(ctx.requireFloat(input)))
    return failure();
  if (bins < 1 || !(low < high))
    return ctx.error() << "expected at least one interval, and a smallest "
                          "value below the largest";
  FailureOr<Tensor> flat = ctx.b.reshape(input, {ctx.b.product(input->sizes)});
  if (failed(flat))
    return failure();
  OpBuilder &builder = ctx.b.getBuilder();
  ElementType element = input->element;
  Tensor isInside = ctx.b.parallel(
      element, {SizeExpr(bins), (*flat)->sizes[0]}, *flat,
      AffineMap::get(2, 0, builder.getAffineDimExpr(1)),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value x = args[0], least = o.constant(low), most = o.constant(high);
        Value place = o.div(o.mul(o.sub(x, least), o.constant(bins)),
                            o.constant(high - low));
        place =
            o.min(math::FloorOp::create(b, loc, place), o.constant(bins - 1));
        Value bin = linalg::IndexOp::create(b, loc, 0);
        bin = arith::IndexCastOp::create(b, loc, b.getI64Type(), bin);
        bin = arith::SIToFPOp::create(b, loc, element.type, bin);
        Value isIn = both(o, o.lessOrEqual(least, x), o.lessOrEqual(x, most));
        isIn = both(o, isIn, o.equal(place, bin));
        return o.select(isIn, o.constant(1), o.constant(0));
      });
  return ctx.setResult(sumOver(ctx.b, isInside, {1}, /*keepDims=*/false));
}

ArrayRef<HandlerRow> pt2::getReduceHandlers() {
  static const HandlerRow rows[] = {
      {"aten.all.default", "self", importTruth<false>},
      {"aten.all.dim", "self", importTruth<false>},
      {"aten.amax.default", "self", importExtreme<true>},
      {"aten.amin.default", "self", importExtreme<false>},
      {"aten.any.default", "self", importTruth<true>},
      {"aten.any.dim", "self", importTruth<true>},
      {"aten.argmax.default", "self", importArgExtreme<true>},
      {"aten.argmin.default", "self", importArgExtreme<false>},
      {"aten.argsort.default", "self", importSort},
      {"aten.cumsum.default", "self", importCumSum},
      {"aten.histc.default", "self", importHistogram, "min < max"},
      {"aten.linalg_vector_norm.default", "self", importNorm, "order 2"},
      {"aten.max.default", "self", importExtreme<true>},
      {"aten.max.dim", "self", importExtremeAndIndex<true>},
      {"aten.mean.default", "self", importMean},
      {"aten.mean.dim", "self", importMean},
      {"aten.min.default", "self", importExtreme<false>},
      {"aten.min.dim", "self", importExtremeAndIndex<false>},
      {"aten.prod.default", "self", importProd},
      {"aten.prod.dim_int", "self", importProd},
      {"aten.sort.default", "self", importSort},
      {"aten.sort.stable", "self", importSort},
      {"aten.sum.default", "self", importSum},
      {"aten.sum.dim_IntList", "self", importSum},
      {"aten.topk.default", "self", importTopK, "constant k"},
      {"aten.var.correction", "self", importVariance},
  };
  return rows;
}
