//===- HandlersReduce.cpp - Reductions, ArgMax, CumSum, TopK --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reductions run over a filled tensor without the reduced dimensions; kept ones
// are added afterwards by `tensor.expand_shape`.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

/// What a reduction does: `before` on each element, `combine`, `after` on each
/// result.
struct Reduction {
  Value (*combine)(ScalarOps &, Value, Value);
  enum { Zero, One, Smallest, Largest } init;
  Value (*before)(ScalarOps &, Value) = nullptr;
  Value (*after)(ScalarOps &, Value) = nullptr;
  bool isMean = false;
};

static TypedAttr getInit(NodeContext &ctx, const Reduction &reduction,
                         ElementType element) {
  OpBuilder &b = ctx.b.getBuilder();
  if (reduction.init == Reduction::Zero)
    return b.getZeroAttr(element.type);
  if (reduction.init == Reduction::One)
    return b.getOneAttr(element.type);
  return getExtreme(b, element, reduction.init == Reduction::Smallest);
}

template <typename Function>
static FailureOr<Tensor> map(NodeContext &ctx, Tensor input,
                             Function function) {
  return ctx.b.elementwise(input->element, input,
                           [&](OpBuilder &b, Location loc, ValueRange args) {
                             ScalarOps o(b, loc, input->element);
                             return function(o, args[0]);
                           });
}

/// The sum or product of a shape vector's elements.
static Tensor foldReduction(NodeContext &ctx, const Reduction &reduction,
                            bool keepDims) {
  Tensor input = ctx.getInput(0);
  bool isProduct = reduction.init == Reduction::One;
  if (!input->elements || input->getRank() != 1 || reduction.before ||
      reduction.after || reduction.isMean || !input->element.isInteger() ||
      (!isProduct && reduction.init != Reduction::Zero))
    return nullptr;
  SizeExpr result(isProduct ? 1 : 0);
  for (const SizeExpr &element : *input->elements)
    result = isProduct ? result * element : result + element;
  SizeList sizes(keepDims ? 1 : 0, SizeExpr(1));
  return ctx.b.makeElements(input->element, sizes, {result});
}

static LogicalResult importReduction(NodeContext &ctx,
                                     const Reduction &reduction) {
  Tensor input = ctx.getInput(0);
  ElementType element = input->element;
  bool isOrder = reduction.init == Reduction::Smallest ||
                 reduction.init == Reduction::Largest;
  if (element.isBool() && !isOrder)
    return ctx.error() << "expected numbers, but got bool";
  if (reduction.after && failed(ctx.requireFloat(0)))
    return failure();
  auto given = ctx.getAxes(1, input->getRank());
  if (failed(given))
    return failure();
  SmallVector<int64_t> axes = given->value_or(SmallVector<int64_t>());
  if (axes.empty()) {
    if (ctx.getInt("noop_with_empty_axes", 0)) {
      ctx.setOutput(0, input);
      return success();
    }
    axes = llvm::to_vector(llvm::seq<int64_t>(0, input->getRank()));
  }
  bool keepDims = ctx.getInt("keepdims", 1);
  if (Tensor folded = foldReduction(ctx, reduction, keepDims)) {
    ctx.setOutput(0, folded);
    return success();
  }
  Tensor result = ctx.b.reduce(
      input, axes, keepDims, element, getInit(ctx, reduction, element),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value value = reduction.before ? reduction.before(o, args[0]) : args[0];
        return reduction.combine(o, value, args[1]);
      });
  FailureOr<Tensor> finished = result;
  if (reduction.isMean)
    finished = divideByCount(ctx.b, result, *input, axes);
  if (reduction.after)
    finished = map(ctx, result, reduction.after);
  return ctx.setResult(finished);
}

static Value add(ScalarOps &o, Value x, Value y) { return o.add(y, x); }
static Value mul(ScalarOps &o, Value x, Value y) { return o.mul(y, x); }
static Value maximum(ScalarOps &o, Value x, Value y) { return o.max(x, y); }
static Value minimum(ScalarOps &o, Value x, Value y) { return o.min(x, y); }
static Value absolute(ScalarOps &o, Value x) { return o.abs(x); }
static Value square(ScalarOps &o, Value x) { return o.mul(x, x); }
static Value squareRoot(ScalarOps &o, Value x) { return o.sqrt(x); }
static Value logarithm(ScalarOps &o, Value x) { return o.log(x); }

static LogicalResult importReduceSum(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero});
}
static LogicalResult importReduceMean(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero, nullptr, nullptr, true});
}
static LogicalResult importReduceProd(NodeContext &ctx) {
  return importReduction(ctx, {mul, Reduction::One});
}
static LogicalResult importReduceMax(NodeContext &ctx) {
  return importReduction(ctx, {maximum, Reduction::Smallest});
}
static LogicalResult importReduceMin(NodeContext &ctx) {
  return importReduction(ctx, {minimum, Reduction::Largest});
}
static LogicalResult importReduceL1(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero, absolute});
}
static LogicalResult importReduceL2(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero, square, squareRoot});
}
static LogicalResult importReduceSumSquare(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero, square});
}
static LogicalResult importReduceLogSum(NodeContext &ctx) {
  return importReduction(ctx, {add, Reduction::Zero, nullptr, logarithm});
}

/// max + log(sum(exp(x - max)))
static LogicalResult importReduceLogSumExp(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  auto given = ctx.getAxes(1, rank);
  if (failed(given) || failed(ctx.requireFloat(0)))
    return failure();
  SmallVector<int64_t> axes = given->value_or(SmallVector<int64_t>());
  if (axes.empty() && ctx.getInt("noop_with_empty_axes", 0)) {
    ctx.setOutput(0, input);
    return success();
  }
  if (axes.empty())
    axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  Compose c(ctx.b);
  // Rows of minus infinity, or with infinity, would give NaN.
  Tensor top = c.map(c.largest(input, axes), [](ScalarOps &o, Value x) {
    Value isFinite =
        o.less(o.abs(x), o.constant(std::numeric_limits<double>::infinity()));
    return o.select(isFinite, x, o.constant(0));
  });
  Tensor sum = c.sum(
      c.map(c.sub(input, top), [](ScalarOps &o, Value x) { return o.exp(x); }),
      axes);
  Tensor result =
      c.add(c.map(sum, [](ScalarOps &o, Value x) { return o.log(x); }), top);
  if (!ctx.getInt("keepdims", 1)) {
    SizeList sizes;
    for (int64_t i = 0; i < rank; ++i)
      if (!llvm::is_contained(axes, i))
        sizes.push_back(input->sizes[i]);
    result = c.reshape(result, sizes);
  }
  ctx.setOutput(0, result);
  return success(result);
}

//===----------------------------------------------------------------------===//
// ArgMax, ArgMin
//===----------------------------------------------------------------------===//

template <bool isMax>
static LogicalResult importArgExtreme(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, input->getRank());
  if (failed(axis))
    return failure();
  Tensor where = findExtreme(ctx.b, input, *axis, isMax,
                             ctx.getInt("select_last_index", 0))
                     .second;
  if (!ctx.getInt("keepdims", 1)) {
    ctx.setOutput(0, where);
    return success();
  }
  SizeList sizes = input->sizes;
  sizes[*axis] = SizeExpr(1);
  return ctx.setResult(ctx.b.reshape(where, sizes));
}

//===----------------------------------------------------------------------===//
// CumSum
//===----------------------------------------------------------------------===//

static LogicalResult importCumSum(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  FailureOr<SmallVector<int64_t>> axes = ctx.getConstantInts(1);
  if (failed(axes))
    return failure();
  if (axes->size() != 1)
    return ctx.error() << "expected one axis, but got " << axes->size();
  FailureOr<int64_t> axis = ctx.normalizeAxis(axes->front(), rank);
  if (failed(axis))
    return failure();
  ctx.setOutput(0,
                sumCumulatively(ctx.b, input, *axis, ctx.getInt("exclusive", 0),
                                ctx.getInt("reverse", 0)));
  return success();
}

ArrayRef<HandlerRow> pquant::getReduceHandlers() {
  static const HandlerRow rows[] = {
      {"", "ArgMax", 13, 1, 1, 1, importArgExtreme<true>},
      {"", "ArgMin", 13, 1, 1, 1, importArgExtreme<false>},
      {"", "CumSum", 13, 2, 2, 1, importCumSum, "constant axis"},
      {"", "ReduceL1", 13, 1, 2, 1, importReduceL1, "constant axes"},
      {"", "ReduceL2", 13, 1, 2, 1, importReduceL2, "constant axes"},
      {"", "ReduceLogSum", 13, 1, 2, 1, importReduceLogSum, "constant axes"},
      {"", "ReduceLogSumExp", 13, 1, 2, 1, importReduceLogSumExp,
       "constant axes"},
      {"", "ReduceMax", 13, 1, 2, 1, importReduceMax, "constant axes"},
      {"", "ReduceMean", 13, 1, 2, 1, importReduceMean, "constant axes"},
      {"", "ReduceMin", 13, 1, 2, 1, importReduceMin, "constant axes"},
      {"", "ReduceProd", 13, 1, 2, 1, importReduceProd, "constant axes"},
      {"", "ReduceSum", 13, 1, 2, 1, importReduceSum, "constant axes"},
      {"", "ReduceSumSquare", 13, 1, 2, 1, importReduceSumSquare,
       "constant axes"},
  };
  return rows;
}
