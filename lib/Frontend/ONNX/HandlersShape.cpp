//===- HandlersShape.cpp - Operators that move or describe data -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shape, Size and what is computed from them stay symbolic: only where a tensor
// is asked for do they become IR.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;

static LogicalResult importIdentity(NodeContext &ctx) {
  ctx.setOutput(0, ctx.getInput(0));
  return success();
}

/// Sizes as an operator's input gives them: none may be negative.
static LogicalResult requireSizes(NodeContext &ctx, ArrayRef<SizeExpr> sizes) {
  for (const SizeExpr &size : sizes) {
    if (ctx.b.isNonNegative(size))
      continue;
    if (std::optional<int64_t> constant = size.getConstant())
      return ctx.error() << "expected sizes of at least 0, but got "
                         << *constant;
    OpBuilder &b = ctx.b.getBuilder();
    Value isValid = arith::CmpIOp::create(
        b, ctx.b.getLoc(), arith::CmpIPredicate::sge, ctx.b.getIndexValue(size),
        ctx.b.getIndexConstant(0));
    ctx.b.assertAtRunTime(isValid, "expected sizes of at least 0");
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Constant, ConstantOfShape, Cast
//===----------------------------------------------------------------------===//

static LogicalResult importConstant(NodeContext &ctx) {
  OpBuilder &b = ctx.b.getBuilder();
  ElementType integer{b.getI64Type()}, real{b.getF32Type()};
  auto vectorOf = [&](Type type, size_t size) {
    return RankedTensorType::get(static_cast<int64_t>(size), type);
  };
  if (Tensor tensor = ctx.getTensor("value")) {
    ctx.setOutput(0, tensor);
    return success();
  }
  if (ctx.hasAttribute("value_int")) {
    auto attribute = DenseElementsAttr::get(
        RankedTensorType::get({}, integer.type), ctx.getInt("value_int", 0));
    ctx.setOutput(0, ctx.b.makeConstant(attribute, integer));
    return success();
  }
  if (ctx.hasAttribute("value_float")) {
    ctx.setOutput(0, ctx.b.makeScalar(real, ctx.getFloat("value_float", 0)));
    return success();
  }
  if (std::optional<SmallVector<int64_t>> ints = ctx.getInts("value_ints")) {
    auto attribute = DenseElementsAttr::get(
        vectorOf(integer.type, ints->size()), ArrayRef<int64_t>(*ints));
    ctx.setOutput(0, ctx.b.makeConstant(attribute, integer));
    return success();
  }
  if (std::optional<SmallVector<float>> floats =
          ctx.getFloats("value_floats")) {
    auto attribute = DenseElementsAttr::get(vectorOf(real.type, floats->size()),
                                            ArrayRef<float>(*floats));
    ctx.setOutput(0, ctx.b.makeConstant(attribute, real));
    return success();
  }
  return ctx.error() << "expected attribute 'value', 'value_int', "
                        "'value_ints', 'value_float' or 'value_floats'";
}

static LogicalResult importConstantOfShape(NodeContext &ctx) {
  FailureOr<SizeList> sizes = ctx.getElements(0);
  if (failed(sizes) || failed(requireSizes(ctx, *sizes)))
    return failure();
  Tensor value = ctx.getTensor("value");
  if (!value)
    value = ctx.b.makeScalar({ctx.b.getBuilder().getF32Type()}, 0);
  auto contents = dyn_cast_or_null<DenseElementsAttr>(value->constant);
  if (!contents || contents.getNumElements() != 1)
    return ctx.error() << "expected attribute 'value' of one element";
  std::optional<int64_t> count = ctx.b.product(*sizes).getConstant();
  if (sizes->size() <= 1 && value->elements && count &&
      *count <= TensorBuilder::maxInlineElements) {
    ctx.setOutput(
        0, ctx.b.makeElements(value->element, *sizes,
                              SizeList(*count, value->elements->front())));
    return success();
  }
  ctx.setOutput(
      0, ctx.b.fill(value->element, *sizes,
                    cast<TypedAttr>(*contents.value_begin<Attribute>())));
  return success();
}

static LogicalResult castTo(NodeContext &ctx, ElementType type) {
  if (type.narrowBits && ctx.getInput(0)->element != type)
    return ctx.error() << "casts to " << getNumPyName(type)
                       << " are not supported";
  ctx.setOutput(0, ctx.b.castElements(ctx.getInput(0), type));
  return success();
}

static LogicalResult importCast(NodeContext &ctx) {
  FailureOr<ElementType> type = ctx.getElementType(ctx.getInt("to", 0));
  if (failed(type))
    return failure();
  return castTo(ctx, *type);
}

static LogicalResult importCastLike(NodeContext &ctx) {
  return castTo(ctx, ctx.getInput(1)->element);
}

//===----------------------------------------------------------------------===//
// Shape, Size
//===----------------------------------------------------------------------===//

static LogicalResult importShape(NodeContext &ctx) {
  ArrayRef<SizeExpr> sizes = ctx.getInput(0)->sizes;
  int64_t rank = sizes.size();
  auto clamp = [&](int64_t bound) {
    bound = bound < 0 ? bound + rank : bound;
    return std::min(std::max(bound, int64_t(0)), rank);
  };
  int64_t start = clamp(ctx.getInt("start", 0));
  int64_t end = std::max(clamp(ctx.getInt("end", rank)), start);
  SizeList elements(sizes.slice(start, end - start));
  ctx.setOutput(0, ctx.b.makeElements({ctx.b.getBuilder().getI64Type()},
                                      {SizeExpr(end - start)}, elements));
  return success();
}

static LogicalResult importSize(NodeContext &ctx) {
  ctx.setOutput(0, ctx.b.makeSizeScalar(ctx.b.product(ctx.getInput(0)->sizes),
                                        {ctx.b.getBuilder().getI64Type()}));
  return success();
}

//===----------------------------------------------------------------------===//
// Expand, Tile, Concat, Split, Where
//===----------------------------------------------------------------------===//

/// A size that only the run time knows may be 1, which keeps the input's.
static SizeExpr resolveExpandedSize(NodeContext &ctx, const SizeExpr &size,
                                    const SizeExpr &inputSize) {
  if (size.getConstant() || inputSize.isConstant(1) || size == inputSize)
    return size;
  OpBuilder &b = ctx.b.getBuilder();
  Value value = ctx.b.getIndexValue(size);
  auto isEqual = [&](const SizeExpr &other) {
    return arith::CmpIOp::create(b, ctx.b.getLoc(), arith::CmpIPredicate::eq,
                                 value, ctx.b.getIndexValue(other));
  };
  ctx.b.assertAtRunTime(arith::OrIOp::create(b, ctx.b.getLoc(),
                                             isEqual(inputSize),
                                             isEqual(SizeExpr(1))),
                        "expected equal sizes of an expanded dimension");
  return inputSize;
}

static LogicalResult importExpand(NodeContext &ctx) {
  ArrayRef<SizeExpr> inputSizes(ctx.getInput(0)->sizes);
  FailureOr<SizeList> sizes = ctx.getElements(1);
  if (failed(sizes) || failed(requireSizes(ctx, *sizes)))
    return failure();
  size_t common = std::min(inputSizes.size(), sizes->size());
  for (size_t i = 1; i <= common; ++i) {
    SizeExpr &size = (*sizes)[sizes->size() - i];
    size = resolveExpandedSize(ctx, size, inputSizes[inputSizes.size() - i]);
  }
  return ctx.setResult(ctx.b.expand(ctx.getInput(0), *sizes));
}

/// [a, b] -> [r0, a, r1, b] -> [r0 * a, r1 * b]
static LogicalResult importTile(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<SizeList> repeats = ctx.getElements(1);
  if (failed(repeats) || failed(requireSizes(ctx, *repeats)))
    return failure();
  if (static_cast<int64_t>(repeats->size()) != input->getRank())
    return ctx.error() << "expected " << input->getRank()
                       << " repeats, but got " << repeats->size();
  SizeList loops, sizes;
  SmallVector<AffineExpr> exprs;
  for (auto [size, repeat] : llvm::zip_equal(input->sizes, *repeats)) {
    loops.push_back(repeat);
    exprs.push_back(ctx.b.getBuilder().getAffineDimExpr(loops.size()));
    loops.push_back(size);
    sizes.push_back(repeat * size);
  }
  if (sizes == input->sizes) {
    ctx.setOutput(0, input);
    return success();
  }
  AffineMap map =
      AffineMap::get(loops.size(), 0, exprs, ctx.b.getBuilder().getContext());
  Tensor repeated = ctx.b.parallel(
      input->element, loops, input, map,
      [](OpBuilder &, Location, ValueRange args) { return args[0]; });
  return ctx.setResult(ctx.b.reshape(repeated, sizes));
}

static LogicalResult importConcat(NodeContext &ctx) {
  int64_t rank = ctx.getInput(0)->getRank();
  if (!ctx.hasAttribute("axis"))
    return ctx.error() << "expected attribute 'axis'";
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, rank);
  if (failed(axis))
    return failure();
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)) || failed(ctx.requireRank(i, rank)))
      return failure();
  return ctx.setResult(ctx.b.concat(ctx.getInputs(), *axis));
}

/// The sizes of the parts, by input, attribute or number of outputs.
static FailureOr<SizeList> getSplitSizes(NodeContext &ctx,
                                         const SizeExpr &total) {
  int64_t count = ctx.getNumOutputs();
  if (ctx.getInput(1)) {
    FailureOr<SizeList> sizes = ctx.getElements(1);
    if (failed(sizes) || failed(requireSizes(ctx, *sizes)))
      return failure();
    if (static_cast<int64_t>(sizes->size()) != count)
      return ctx.error() << "expected " << count << " split sizes, but got "
                         << sizes->size();
    SizeExpr sum;
    for (const SizeExpr &size : *sizes)
      sum = sum + size;
    if (failed(ctx.b.requireEqual(sum, total, "the split dimension")))
      return failure();
    return sizes;
  }
  if (ctx.getInt("num_outputs", count) != count)
    return ctx.error() << "expected num_outputs of " << count << ", but got "
                       << ctx.getInt("num_outputs", count);
  SizeExpr chunk = ctx.b.divide(total, count, /*up=*/true);
  SizeList sizes(count, chunk);
  sizes.back() = total - chunk * SizeExpr(count - 1);
  bool mayBeSmaller = ctx.opset >= 18 && total.getConstant();
  if (!mayBeSmaller && failed(ctx.b.requireEqual(chunk * SizeExpr(count), total,
                                                 "the split dimension")))
    return failure();
  if (!total.getConstant())
    sizes.back() = chunk;
  if (failed(requireSizes(ctx, sizes)))
    return failure();
  return sizes;
}

static LogicalResult importSplit(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, input->getRank());
  if (failed(axis))
    return failure();
  FailureOr<SizeList> parts = getSplitSizes(ctx, input->sizes[*axis]);
  if (failed(parts))
    return failure();
  SizeList offsets(input->getRank(), SizeExpr(0)), sizes = input->sizes;
  SmallVector<int64_t> strides(input->getRank(), 1);
  for (auto [i, part] : llvm::enumerate(*parts)) {
    sizes[*axis] = part;
    ctx.setOutput(i, ctx.b.slice(input, offsets, sizes, strides));
    offsets[*axis] = offsets[*axis] + part;
  }
  return success();
}

/// Picks among the elements of shape vectors when the condition is known.
static Tensor foldWhere(NodeContext &ctx) {
  Tensor condition = ctx.getInput(0);
  Tensor yes = ctx.getInput(1), no = ctx.getInput(2);
  std::optional<SmallVector<int64_t>> picks = ctx.b.getConstantInts(condition);
  if (!picks || !yes->elements || !no->elements)
    return nullptr;
  const TensorInfo *widest = condition;
  for (Tensor tensor : {yes, no})
    if (std::pair(tensor->elements->size(), tensor->sizes.size()) >
        std::pair(widest->elements->size(), widest->sizes.size()))
      widest = tensor;
  SizeList elements;
  for (size_t i = 0; i < widest->elements->size(); ++i) {
    auto at = [&](const auto &list) { return list[list.size() == 1 ? 0 : i]; };
    for (size_t size :
         {picks->size(), yes->elements->size(), no->elements->size()})
      if (size != 1 && size != widest->elements->size())
        return nullptr;
    elements.push_back(at(*picks) ? at(*yes->elements) : at(*no->elements));
  }
  return ctx.b.makeElements(yes->element, widest->sizes, elements);
}

static LogicalResult importWhere(NodeContext &ctx) {
  if (failed(ctx.requireSameType(1, 2)))
    return failure();
  if (!ctx.getInput(0)->element.isBool())
    return ctx.error() << "expected a bool condition, but got "
                       << getNumPyName(ctx.getInput(0)->element);
  if (Tensor folded = foldWhere(ctx)) {
    ctx.setOutput(0, folded);
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      ctx.getInput(1)->element, ctx.getInputs(),
      [](OpBuilder &b, Location loc, ValueRange args) {
        return arith::SelectOp::create(b, loc, args[0], args[1], args[2])
            .getResult();
      }));
}

ArrayRef<HandlerRow> pquant::getShapeHandlers() {
  static const HandlerRow rows[] = {
      {"", "Cast", 13, 1, 1, 1, importCast,
       "no strings, not to types of less than 8 bits"},
      {"", "CastLike", 15, 2, 2, 1, importCastLike},
      {"", "Concat", 13, 1, variadic, 1, importConcat},
      {"", "Constant", 13, 0, 0, 1, importConstant, "no strings, not sparse"},
      {"", "ConstantOfShape", 13, 1, 1, 1, importConstantOfShape},
      {"", "Expand", 13, 2, 2, 1, importExpand},
      {"", "Identity", 13, 1, 1, 1, importIdentity, "tensors only"},
      {"", "Shape", 13, 1, 1, 1, importShape},
      {"", "Size", 13, 1, 1, 1, importSize},
      {"", "Split", 13, 1, 2, variadic, importSplit},
      {"", "Tile", 13, 2, 2, 1, importTile},
      {"", "Where", 13, 3, 3, 1, importWhere},
  };
  return rows;
}
