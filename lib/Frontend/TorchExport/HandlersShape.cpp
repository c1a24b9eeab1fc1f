//===- HandlersShape.cpp - Joining, repeating, padding --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "Views.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

/// The tensors of a list, in the result's element type; all have one rank.
static FailureOr<SmallVector<Tensor>> getJoined(NodeContext &ctx) {
  SmallVector<Tensor> tensors = ctx.getTensors("tensors");
  if (tensors.empty() || llvm::is_contained(tensors, nullptr))
    return ctx.error() << "expected one tensor or more";
  ElementType type = ctx.getResultType();
  for (Tensor &tensor : tensors)
    tensor = ctx.b.castElements(tensor, type);
  return tensors;
}

static FailureOr<Tensor> join(NodeContext &ctx, ArrayRef<Tensor> tensors,
                              int64_t axis) {
  for (Tensor tensor : tensors)
    if (tensor->getRank() != tensors.front()->getRank())
      return ctx.error() << "expected tensors of one rank, but got "
                         << tensors.front()->getRank() << " and "
                         << tensor->getRank();
  return ctx.b.concat(tensors, axis);
}

static LogicalResult importCat(NodeContext &ctx) {
  FailureOr<SmallVector<Tensor>> tensors = getJoined(ctx);
  if (failed(tensors))
    return failure();
  // PyTorch still skips empty vectors among tensors of any rank.
  auto isEmpty = [](Tensor tensor) {
    return tensor->getRank() == 1 && tensor->sizes[0].isConstant(0);
  };
  SmallVector<Tensor> parts;
  for (Tensor tensor : *tensors)
    if (!isEmpty(tensor))
      parts.push_back(tensor);
  if (parts.empty())
    return ctx.setResult(tensors->front());
  if (failed(ctx.requireRank(parts.front(), 1, INT64_MAX)))
    return failure();
  return ctx.setResult(
      join(ctx, parts, ctx.getAxis("dim", parts.front()->getRank(), 0)));
}

static LogicalResult importStack(NodeContext &ctx) {
  FailureOr<SmallVector<Tensor>> tensors = getJoined(ctx);
  if (failed(tensors))
    return failure();
  int64_t axis = ctx.getAxis("dim", tensors->front()->getRank() + 1, 0);
  for (Tensor &tensor : *tensors) {
    SizeList sizes = tensor->sizes;
    sizes.insert(sizes.begin() + std::min<size_t>(axis, sizes.size()),
                 SizeExpr(1));
    FailureOr<Tensor> added = ctx.b.reshape(tensor, sizes);
    if (failed(added))
      return failure();
    tensor = *added;
  }
  return ctx.setResult(join(ctx, *tensors, axis));
}

/// [a, b] -> [r0, a, r1, b] -> [r0 * a, r1 * b]; `inside` puts the repeats
/// after their dimension.
static LogicalResult repeat(NodeContext &ctx, Tensor input,
                            ArrayRef<SizeExpr> repeats, bool inside) {
  if (failed(requireSizes(ctx, repeats)))
    return failure();
  SizeList loops, sizes;
  SmallVector<AffineExpr> exprs;
  for (auto [size, count] : llvm::zip_equal(input->sizes, repeats)) {
    loops.push_back(inside ? size : count);
    loops.push_back(inside ? count : size);
    exprs.push_back(
        ctx.b.getBuilder().getAffineDimExpr(loops.size() - (inside ? 2 : 1)));
    sizes.push_back(count * size);
  }
  if (sizes == input->sizes)
    return ctx.setResult(input);
  AffineMap map =
      AffineMap::get(loops.size(), 0, exprs, ctx.b.getBuilder().getContext());
  Tensor repeated = ctx.b.parallel(
      input->element, loops, input, map,
      [](OpBuilder &, Location, ValueRange args) { return args[0]; });
  return ctx.setResult(ctx.b.reshape(repeated, sizes));
}

static LogicalResult importRepeat(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SizeList repeats = ctx.getSizes(ctx.has("repeats") ? "repeats" : "dims");
  // Missing dimensions are 1, on either side.
  SizeList sizes = input->sizes;
  while (sizes.size() < repeats.size())
    sizes.insert(sizes.begin(), SizeExpr(1));
  while (repeats.size() < sizes.size())
    repeats.insert(repeats.begin(), SizeExpr(1));
  FailureOr<Tensor> padded = ctx.b.reshape(input, sizes);
  if (failed(padded))
    return failure();
  return repeat(ctx, *padded, repeats, /*inside=*/false);
}

static LogicalResult importRepeatInterleave(NodeContext &ctx) {
  FailureOr<Tensor> input = ctx.getTensor("self");
  if (!ctx.has("dim"))
    input = ctx.b.reshape(*input, {ctx.b.product((*input)->sizes)});
  if (failed(input) || failed(ctx.requireRank(*input, 1, INT64_MAX)))
    return failure();
  SizeList repeats((*input)->getRank(), SizeExpr(1));
  repeats[ctx.getAxis("dim", (*input)->getRank(), 0)] = ctx.getSize("repeats");
  return repeat(ctx, *input, repeats, /*inside=*/true);
}

/// Reads at an affine function of one index: `place` gives it.
static LogicalResult
readAt(NodeContext &ctx, Tensor input, ArrayRef<int64_t> axes,
       function_ref<Value(OpBuilder &, Location, Value, size_t)> place) {
  Value source = ctx.b.getValue(input);
  return ctx.setResult(ctx.b.parallel(
      input->element, input->sizes, {}, {},
      [&](OpBuilder &b, Location loc, ValueRange) {
        SmallVector<Value> at;
        appendIndices(b, loc, 0, input->getRank(), at);
        for (auto [i, axis] : llvm::enumerate(axes))
          at[axis] = place(b, loc, at[axis], i);
        return tensor::ExtractOp::create(b, loc, source, at).getResult();
      }));
}

static LogicalResult importFlip(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SmallVector<int64_t> axes;
  for (int64_t axis : ctx.getInts("dims"))
    axes.push_back(ctx.normalizeAxis(axis, input->getRank()));
  if (ctx.hasFailed() || input->getRank() == 0)
    return ctx.setResult(input);
  SmallVector<Value> last;
  for (int64_t axis : axes)
    last.push_back(ctx.b.getIndexValue(input->sizes[axis] - SizeExpr(1)));
  return readAt(ctx, input, axes,
                [&](OpBuilder &b, Location loc, Value index, size_t i) {
                  return arith::SubIOp::create(b, loc, last[i], index);
                });
}

static LogicalResult importRoll(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SmallVector<int64_t> shifts = ctx.getInts("shifts"), axes;
  for (int64_t axis : ctx.getInts("dims"))
    axes.push_back(ctx.normalizeAxis(axis, input->getRank()));
  if (ctx.hasFailed() || input->getRank() == 0)
    return ctx.setResult(input);
  if (shifts.size() != axes.size())
    return ctx.error() << "expected as many shifts as dimensions";
  SmallVector<Value> distances, sizes;
  for (auto [shift, axis] : llvm::zip_equal(shifts, axes)) {
    distances.push_back(ctx.b.getIndexConstant(shift));
    sizes.push_back(ctx.b.getIndexValue(input->sizes[axis]));
  }
  // The remainder of a negative index is negative; it counts from the end.
  return readAt(
      ctx, input, axes, [&](OpBuilder &b, Location loc, Value index, size_t i) {
        Value moved = arith::SubIOp::create(b, loc, index, distances[i]);
        Value rest = arith::RemSIOp::create(b, loc, moved, sizes[i]);
        return ctx.b.wrapIndex(b, loc, rest, sizes[i]);
      });
}

/// Pads, or crops where a width is negative, the last dimensions.
static LogicalResult importPad(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SizeList pads = ctx.getSizes("pad");
  size_t rank = input->getRank(), count = pads.size() / 2;
  if (pads.size() % 2 != 0 || count > rank)
    return ctx.error() << "expected two widths for each of at most " << rank
                       << " dimensions";
  Box from(input), to(input);
  SizeList sizes = input->sizes;
  for (size_t i = 0; i < count; ++i) {
    size_t axis = rank - 1 - i;
    std::optional<int64_t> low = pads[2 * i].getConstant();
    std::optional<int64_t> high = pads[2 * i + 1].getConstant();
    if (!low || !high)
      return ctx.error() << "expected widths that are known at compile time";
    sizes[axis] = sizes[axis] + SizeExpr(*low) + SizeExpr(*high);
    from.offsets[axis] = SizeExpr(std::max<int64_t>(-*low, 0));
    to.offsets[axis] = SizeExpr(std::max<int64_t>(*low, 0));
    from.sizes[axis] = from.sizes[axis] + SizeExpr(std::min<int64_t>(*low, 0)) +
                       SizeExpr(std::min<int64_t>(*high, 0));
  }
  to.sizes = from.sizes;
  if (failed(requireSizes(ctx, sizes)) || failed(requireSizes(ctx, from.sizes)))
    return failure();
  ElementType type = ctx.getResultType();
  Tensor number = ctx.has("value") ? ctx.getOperandAs("value", type)
                                   : ctx.b.makeScalar(type, 0);
  FailureOr<Tensor> filled = ctx.b.expand(number, sizes);
  if (failed(filled))
    return failure();
  return ctx.setResult(to.write(ctx, *filled, from.read(ctx, input)));
}

ArrayRef<HandlerRow> pt2::getShapeHandlers() {
  static const HandlerRow rows[] = {
      {"aten.cat.default", "", importCat},
      {"aten.concat.default", "", importCat},
      {"aten.constant_pad_nd.default", "self", importPad, "constant widths"},
      {"aten.flip.default", "self", importFlip},
      {"aten.repeat.default", "self", importRepeat},
      {"aten.repeat_interleave.self_int", "self", importRepeatInterleave},
      {"aten.roll.default", "self", importRoll, "with dimensions"},
      {"aten.stack.default", "", importStack},
      {"aten.tile.default", "self", importRepeat},
  };
  return rows;
}
