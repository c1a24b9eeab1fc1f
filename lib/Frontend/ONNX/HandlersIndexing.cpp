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

/// Loop indices [begin, end) as values.
static void appendIndices(OpBuilder &b, Location loc, int64_t begin,
                          int64_t end, SmallVectorImpl<Value> &indices) {
  for (int64_t i = begin; i < end; ++i)
    indices.push_back(linalg::IndexOp::create(b, loc, i));
}

//===----------------------------------------------------------------------===//
// Gather, GatherElements, GatherND
//===----------------------------------------------------------------------===//

/// Whether known indices are in range.
static LogicalResult checkIndices(NodeContext &ctx, ArrayRef<int64_t> indices,
                                  const SizeExpr &size) {
  std::optional<int64_t> bound = size.getConstant();
  for (int64_t index : indices)
    if (bound && (index < -*bound || index >= *bound))
      return ctx.error() << "expected indices in [" << -*bound << ", "
                         << *bound - 1 << "], but got " << index;
  return success();
}

/// Indices that the caller of the model chooses, token ids above all, are
/// checked at run time before anything is read with them.
static void assertInRange(NodeContext &ctx, Tensor indices,
                          const SizeExpr &size) {
  if (isa_and_present<BlockArgument>(indices->value))
    Compose(ctx.b).assertInRange(indices, size, /*allowsNegative=*/true);
}

/// One known index: a slice without the dimension.
static LogicalResult gatherSlice(NodeContext &ctx, int64_t axis,
                                 int64_t index) {
  Tensor data = ctx.getInput(0);
  SizeList offsets(data->getRank(), SizeExpr(0)), sizes = data->sizes;
  offsets[axis] =
      index < 0 ? data->sizes[axis] + SizeExpr(index) : SizeExpr(index);
  sizes[axis] = SizeExpr(1);
  Tensor slice = ctx.b.slice(data, offsets, sizes,
                             SmallVector<int64_t>(data->getRank(), 1));
  sizes.erase(sizes.begin() + axis);
  return ctx.setResult(ctx.b.reshape(slice, sizes));
}

static LogicalResult importGather(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  FailureOr<int64_t> axisOr = ctx.getAxis("axis", 0, data->getRank());
  if (failed(axisOr) || failed(requireIndices(ctx, 1)))
    return failure();
  int64_t axis = *axisOr, indexRank = indices->getRank();
  std::optional<SmallVector<int64_t>> known = ctx.b.getConstantInts(indices);
  if (known) {
    if (failed(checkIndices(ctx, *known, data->sizes[axis])))
      return failure();
    if (data->elements && data->getRank() == 1) {
      SizeList elements;
      int64_t count = data->elements->size();
      for (int64_t index : *known)
        elements.push_back(
            (*data->elements)[index < 0 ? index + count : index]);
      ctx.setOutput(
          0, ctx.b.makeElements(data->element, indices->sizes, elements));
      return success();
    }
    if (indexRank == 0 && data->sizes[axis].getConstant())
      return gatherSlice(ctx, axis, known->front());
  }
  assertInRange(ctx, indices, data->sizes[axis]);
  SizeList sizes(data->sizes.begin(), data->sizes.begin() + axis);
  sizes.append(indices->sizes.begin(), indices->sizes.end());
  sizes.append(data->sizes.begin() + axis + 1, data->sizes.end());
  int64_t rank = sizes.size();
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < indexRank; ++i)
    exprs.push_back(ctx.b.getBuilder().getAffineDimExpr(axis + i));
  AffineMap map =
      AffineMap::get(rank, 0, exprs, ctx.b.getBuilder().getContext());
  Value source = ctx.b.getValue(data);
  Value size = ctx.b.getIndexValue(data->sizes[axis]);
  ctx.setOutput(
      0, ctx.b.parallel(
             data->element, sizes, indices, map,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> at;
               appendIndices(b, loc, 0, axis, at);
               at.push_back(ctx.b.wrapIndex(b, loc, args[0], size));
               appendIndices(b, loc, axis + indexRank, rank, at);
               return tensor::ExtractOp::create(b, loc, source, at).getResult();
             }));
  return success();
}

static LogicalResult importGatherElements(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  int64_t rank = data->getRank();
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, rank);
  if (failed(axis) || failed(requireIndices(ctx, 1)) ||
      failed(ctx.requireRank(1, rank)))
    return failure();
  assertInRange(ctx, indices, data->sizes[*axis]);
  Value source = ctx.b.getValue(data);
  Value size = ctx.b.getIndexValue(data->sizes[*axis]);
  AffineMap map = ctx.b.getBuilder().getMultiDimIdentityMap(rank);
  ctx.setOutput(
      0, ctx.b.parallel(
             data->element, indices->sizes, indices, map,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> at;
               appendIndices(b, loc, 0, rank, at);
               at[*axis] = ctx.b.wrapIndex(b, loc, args[0], size);
               return tensor::ExtractOp::create(b, loc, source, at).getResult();
             }));
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
      c.assertInRange(c.slice(indices, indexRank - 1, i, i + 1),
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

/// A slice bound: negative ones count from the end, and all are clamped to
/// [low, high].
static SizeExpr clampBound(NodeContext &ctx, SizeExpr bound,
                           const SizeExpr &size, const SizeExpr &low,
                           const SizeExpr &high) {
  if (std::optional<int64_t> constant = bound.getConstant()) {
    // Exporters write "to the end" as a number that no size reaches.
    if (*constant >= INT32_MAX)
      return high;
    if (*constant <= INT32_MIN)
      return low;
    if (*constant < 0)
      bound = bound + size;
  } else if (!ctx.b.isNonNegative(bound)) {
    OpBuilder &b = ctx.b.getBuilder();
    Value wrapped =
        ctx.b.wrapIndex(b, ctx.b.getLoc(), ctx.b.getIndexValue(bound),
                        ctx.b.getIndexValue(size));
    bound = ctx.b.atomFor(wrapped, /*isNonNegative=*/false);
  }
  return ctx.b.minimum(ctx.b.maximum(bound, low), high);
}

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
    SizeExpr start = clampBound(ctx, (*starts)[i], size, SizeExpr(0), high);
    SizeExpr end = clampBound(ctx, (*ends)[i], size, low, high);
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
  Tensor start = ctx.getInput(0), delta = ctx.getInput(2);
  if (element.isInteger() && start->elements && delta->elements &&
      length->getConstant() &&
      *length->getConstant() <= TensorBuilder::maxInlineElements) {
    SizeList elements;
    for (int64_t i = 0; i < *length->getConstant(); ++i)
      elements.push_back(start->elements->front() +
                         delta->elements->front() * SizeExpr(i));
    ctx.setOutput(0, ctx.b.makeElements(element, {*length}, elements));
    return success();
  }
  AffineMap scalar = AffineMap::get(1, 0, ctx.b.getBuilder().getContext());
  ctx.setOutput(0, ctx.b.parallel(
                       element, {*length}, {start, delta}, {scalar, scalar},
                       [&](OpBuilder &b, Location loc, ValueRange args) {
                         ScalarOps o(b, loc, element);
                         Value i = linalg::IndexOp::create(b, loc, 0);
                         Type integer =
                             element.isFloat() ? b.getI64Type() : element.type;
                         i = arith::IndexCastOp::create(b, loc, integer, i);
                         if (element.isFloat())
                           i = arith::SIToFPOp::create(b, loc, element.type, i);
                         return o.add(args[0], o.mul(i, args[1]));
                       }));
  return success();
}

/// upper: keeps column - row >= k; lower: keeps column - row <= k.
static LogicalResult importTrilu(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
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
  Value k = ctx.b.getIndexValue(diagonal);
  AffineMap map = ctx.b.getBuilder().getMultiDimIdentityMap(rank);
  ctx.setOutput(
      0, ctx.b.parallel(
             input->element, input->sizes, input, map,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               Value row = linalg::IndexOp::create(b, loc, rank - 2);
               Value column = linalg::IndexOp::create(b, loc, rank - 1);
               Value distance = arith::SubIOp::create(b, loc, column, row);
               Value keep =
                   arith::CmpIOp::create(b, loc,
                                         isUpper ? arith::CmpIPredicate::sge
                                                 : arith::CmpIPredicate::sle,
                                         distance, k);
               Value zero = arith::ConstantOp::create(
                   b, loc, b.getZeroAttr(input->element.type));
               return arith::SelectOp::create(b, loc, keep, args[0], zero)
                   .getResult();
             }));
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
