//===- HandlersIndexing.cpp - Gather, Slice, Range, Trilu, OneHot ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Data-dependent reads are `tensor.extract` inside a `linalg.generic` whose
// input is the index tensor. Negative indices count from the end.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

static LogicalResult requireIndices(NodeContext &ctx, size_t i) {
  if (ctx.getInput(i)->element.isInteger())
    return success();
  return ctx.error() << "expected integer input " << i << ", but got "
                     << getNumPyName(ctx.getInput(i)->element);
}

//===----------------------------------------------------------------------===//
// Gather, GatherElements, GatherND
//===----------------------------------------------------------------------===//

static LogicalResult importGather(NodeContext &ctx) {
  Tensor data = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, data->getRank());
  if (failed(axis) || failed(requireIndices(ctx, 1)))
    return failure();
  return ctx.setResult(gather(ctx.b, data, ctx.getInput(1), *axis));
}

static LogicalResult importGatherElements(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  int64_t rank = data->getRank();
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, rank);
  if (failed(axis) || failed(requireIndices(ctx, 1)) ||
      failed(ctx.requireRank(1, rank)))
    return failure();
  ctx.setOutput(0, gatherElements(ctx.b, data, indices, *axis));
  return success();
}

static LogicalResult importGatherND(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  int64_t batch = ctx.getInt("batch_dims", 0);
  if (failed(requireIndices(ctx, 1)) || failed(ctx.requireMinRank(1, 1)))
    return failure();
  int64_t indexRank = indices->getRank();
  std::optional<int64_t> depth = indices->sizes.back().getConstant();
  if (!depth || batch < 0 || batch >= indexRank || *depth < 1 ||
      batch + *depth > data->getRank())
    return ctx.error() << "expected index tuples of static size that fit rank "
                       << data->getRank();
  SizeList sizes(indices->sizes.begin(), indices->sizes.end() - 1);
  sizes.append(data->sizes.begin() + batch + *depth, data->sizes.end());
  int64_t rank = sizes.size();
  Value source = ctx.b.getValue(data), tuples = ctx.b.getValue(indices);
  SmallVector<Value> bounds, components;
  Compose c(ctx.b);
  for (int64_t i = 0; i < *depth; ++i) {
    if (isa_and_present<BlockArgument>(indices->value))
      assertInRange(ctx.b, c.slice(indices, indexRank - 1, i, i + 1),
                    data->sizes[batch + i], /*allowsNegative=*/true);
    bounds.push_back(ctx.b.getIndexValue(data->sizes[batch + i]));
    components.push_back(ctx.b.getIndexConstant(i));
  }
  ctx.setOutput(
      0, ctx.b.parallel(
             data->element, sizes, {}, {},
             [&](OpBuilder &b, Location loc, ValueRange) {
               SmallVector<Value> tuple, at;
               appendIndices(b, loc, 0, indexRank - 1, tuple);
               at.assign(tuple.begin(), tuple.begin() + batch);
               for (int64_t i = 0; i < *depth; ++i) {
                 SmallVector<Value> position = tuple;
                 position.push_back(components[i]);
                 Value index =
                     tensor::ExtractOp::create(b, loc, tuples, position);
                 at.push_back(ctx.b.wrapIndex(b, loc, index, bounds[i]));
               }
               appendIndices(b, loc, indexRank - 1, rank, at);
               return tensor::ExtractOp::create(b, loc, source, at).getResult();
             }));
  return success();
}

//===----------------------------------------------------------------------===//
// Slice
//===----------------------------------------------------------------------===//

/// Reads backwards along the axes of negative stride.
static Tensor reverseSlice(NodeContext &ctx, ArrayRef<SizeExpr> offsets,
                           const SizeList &sizes, ArrayRef<int64_t> strides) {
  Tensor input = ctx.getInput(0);
  Value source = ctx.b.getValue(input);
  SmallVector<Value> starts, steps;
  for (auto [offset, stride] : llvm::zip_equal(offsets, strides)) {
    starts.push_back(ctx.b.getIndexValue(offset));
    steps.push_back(ctx.b.getIndexConstant(stride));
  }
  return ctx.b.parallel(
      input->element, sizes, {}, {},
      [&](OpBuilder &b, Location loc, ValueRange) {
        SmallVector<Value> at;
        appendIndices(b, loc, 0, sizes.size(), at);
        for (auto [i, position] : llvm::enumerate(at)) {
          Value distance = arith::MulIOp::create(b, loc, position, steps[i]);
          position = arith::AddIOp::create(b, loc, starts[i], distance);
        }
        return tensor::ExtractOp::create(b, loc, source, at).getResult();
      });
}

static LogicalResult importSlice(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  FailureOr<SizeList> starts = ctx.getElements(1), ends = ctx.getElements(2);
  if (failed(starts) || failed(ends))
    return failure();
  SmallVector<int64_t> axes, steps(starts->size(), 1);
  if (ctx.getInput(3)) {
    FailureOr<SmallVector<int64_t>> given = ctx.getConstantInts(3);
    if (failed(given))
      return failure();
    axes = *given;
  } else {
    axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size()));
  }
  if (ctx.getInput(4)) {
    FailureOr<SmallVector<int64_t>> given = ctx.getConstantInts(4);
    if (failed(given))
      return failure();
    steps = *given;
  }
  if (starts->size() != ends->size() || axes.size() != starts->size() ||
      steps.size() != starts->size())
    return ctx.error() << "expected starts, ends, axes and steps of equal size";
  if (failed(ctx.normalizeAxes(axes, rank)))
    return failure();

  SizeList offsets(rank, SizeExpr(0)), sizes = input->sizes;
  SmallVector<int64_t> strides(rank, 1);
  for (auto [i, givenAxis] : llvm::enumerate(axes)) {
    int64_t axis = givenAxis < 0 ? givenAxis + rank : givenAxis;
    int64_t step = steps[i];
    if (step == 0 || step <= INT32_MIN)
      return ctx.error() << "expected steps other than 0, but got " << step;
    const SizeExpr &size = input->sizes[axis];
    bool reverse = step < 0;
    SizeExpr low(reverse ? -1 : 0), high = reverse ? size - SizeExpr(1) : size;
    SizeExpr start = clampBound(ctx.b, (*starts)[i], size, SizeExpr(0), high);
    SizeExpr end = clampBound(ctx.b, (*ends)[i], size, low, high);
    SizeExpr span = ctx.b.maximum(reverse ? start - end : end - start, 0);
    offsets[axis] = start;
    sizes[axis] = ctx.b.divide(span, std::abs(step), /*up=*/true);
    strides[axis] = step;
  }
  bool isKnown = input->elements && rank == 1 && sizes[0].getConstant() &&
                 offsets[0].getConstant();
  bool isReverse = llvm::any_of(strides, [](int64_t s) { return s < 0; });
  ctx.setOutput(0, isReverse && !isKnown
                       ? reverseSlice(ctx, offsets, sizes, strides)
                       : ctx.b.slice(input, offsets, sizes, strides));
  return success();
}

//===----------------------------------------------------------------------===//
// Range, Trilu, OneHot
//===----------------------------------------------------------------------===//

/// max(0, ceil((limit - start) / delta)), at compile time where possible.
static FailureOr<SizeExpr> getRangeLength(NodeContext &ctx) {
  auto integer = [&](size_t i) {
    if (ctx.getInput(i)->element.isInteger())
      ctx.b.getElements(ctx.getInput(i));
    return ctx.b.getIntegerScalar(ctx.getInput(i));
  };
  std::optional<SizeExpr> start = integer(0), limit = integer(1),
                          delta = integer(2);
  if (start && limit && delta && delta->getConstant()) {
    int64_t step = *delta->getConstant();
    if (step == 0 || step < -INT32_MAX)
      return ctx.error() << "expected a delta other than 0, but got " << step;
    SizeExpr span = step > 0 ? *limit - *start : *start - *limit;
    return ctx.b.divide(ctx.b.maximum(span, 0), std::abs(step), /*up=*/true);
  }
  OpBuilder &b = ctx.b.getBuilder();
  Location loc = ctx.b.getLoc();
  SmallVector<Value> numbers;
  for (Tensor input : ctx.getInputs()) {
    Tensor number = ctx.b.castElements(input, {b.getF64Type()});
    numbers.push_back(
        tensor::ExtractOp::create(b, loc, ctx.b.getValue(number), {}));
  }
  ScalarOps o(b, loc, {b.getF64Type()});
  Value count = o.ceil(o.div(o.sub(numbers[1], numbers[0]), numbers[2]));
  Value length = arith::FPToSIOp::create(b, loc, b.getI64Type(),
                                         o.max(count, o.constant(0)));
  return ctx.b.atomFor(
      arith::IndexCastOp::create(b, loc, b.getIndexType(), length),
      /*isNonNegative=*/true);
}

static LogicalResult importRange(NodeContext &ctx) {
  ElementType element = ctx.getInput(0)->element;
  for (size_t i : {0, 1, 2})
    if (failed(ctx.requireSameType(0, i)) || failed(ctx.requireRank(i, 0)))
      return failure();
  if (element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  FailureOr<SizeExpr> length = getRangeLength(ctx);
  if (failed(length))
    return failure();
  ctx.setOutput(0, makeRange(ctx.b, ctx.getInput(0), ctx.getInput(2), *length));
  return success();
}

static LogicalResult importTrilu(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  if (failed(ctx.requireMinRank(0, 2)))
    return failure();
  bool isUpper = ctx.getInt("upper", 1);
  SizeExpr diagonal(0);
  if (ctx.getInput(1)) {
    FailureOr<SizeList> elements = ctx.getElements(1);
    if (failed(elements))
      return failure();
    if (elements->size() != 1)
      return ctx.error() << "expected k to be one number";
    diagonal = elements->front();
  }
  ctx.setOutput(0, keepTriangle(ctx.b, input, diagonal, isUpper));
  return success();
}

static LogicalResult importOneHot(NodeContext &ctx) {
  Tensor indices = ctx.getInput(0), values = ctx.getInput(2);
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, indices->getRank() + 1);
  if (failed(axis) || failed(ctx.requireRank(2, 1)))
    return failure();
  OpBuilder &builder = ctx.b.getBuilder();
  // Depth and indices may be of any numeric type.
  Tensor depth = ctx.b.castElements(ctx.getInput(1), {builder.getI64Type()});
  indices = ctx.b.castElements(indices, {builder.getI64Type()});
  ctx.b.getElements(depth);
  std::optional<SizeExpr> size = ctx.b.getIntegerScalar(depth);
  if (!size)
    return ctx.error() << "expected a depth of one integer";
  SizeList sizes = indices->sizes;
  sizes.insert(sizes.begin() + *axis, *size);
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < static_cast<int64_t>(sizes.size()); ++i)
    if (i != *axis)
      exprs.push_back(builder.getAffineDimExpr(i));
  MLIRContext *context = builder.getContext();
  auto element = [&](int64_t i) {
    return AffineMap::get(sizes.size(), 0, builder.getAffineConstantExpr(i));
  };
  Value bound = ctx.b.getIndexValue(*size);
  ctx.setOutput(
      0, ctx.b.parallel(
             values->element, sizes, {indices, values, values},
             {AffineMap::get(sizes.size(), 0, exprs, context), element(0),
              element(1)},
             [&](OpBuilder &b, Location loc, ValueRange args) {
               Value index = ctx.b.wrapIndex(b, loc, args[0], bound);
               Value position = linalg::IndexOp::create(b, loc, *axis);
               Value isHot = arith::CmpIOp::create(
                   b, loc, arith::CmpIPredicate::eq, index, position);
               return arith::SelectOp::create(b, loc, isHot, args[2], args[1])
                   .getResult();
             }));
  return success();
}

ArrayRef<HandlerRow> pquant::getIndexingHandlers() {
  static const HandlerRow rows[] = {
      {"", "Gather", 13, 2, 2, 1, importGather},
      {"", "GatherElements", 13, 2, 2, 1, importGatherElements},
      {"", "GatherND", 13, 2, 2, 1, importGatherND},
      {"", "OneHot", 13, 3, 3, 1, importOneHot},
      {"", "Range", 13, 3, 3, 1, importRange},
      {"", "Slice", 13, 3, 5, 1, importSlice, "constant axes and steps"},
      {"", "Trilu", 14, 1, 2, 1, importTrilu},
  };
  return rows;
}
