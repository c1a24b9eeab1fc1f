//===- HandlersCreation.cpp - Tensors from numbers ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "Views.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

//===----------------------------------------------------------------------===//
// Full
//===----------------------------------------------------------------------===//

/// A tensor of one number, which is a scalar of the tensor's element type.
static LogicalResult fillWith(NodeContext &ctx, SizeList sizes, Tensor given) {
  FailureOr<Tensor> scalar = ctx.b.reshape(given, {});
  if (failed(scalar) || failed(requireSizes(ctx, sizes)))
    return failure();
  Tensor number = *scalar;
  std::optional<int64_t> count = ctx.b.product(sizes).getConstant();
  if (sizes.size() <= 1 && number->elements && count &&
      *count <= TensorBuilder::maxInlineElements)
    return ctx.setResult(ctx.b.makeElements(
        number->element, sizes, SizeList(*count, number->elements->front())));
  auto contents = dyn_cast_or_null<DenseElementsAttr>(number->constant);
  if (contents && !sizes.empty())
    return ctx.setResult(
        ctx.b.fill(number->element, sizes,
                   cast<TypedAttr>(*contents.value_begin<Attribute>())));
  return ctx.setResult(ctx.b.expand(number, sizes));
}

/// The sizes that are given, or those of the tensor that the result is like.
static SizeList getSizes(NodeContext &ctx) {
  if (ctx.has("size"))
    return ctx.getSizes("size");
  Tensor other = ctx.getOptionalTensor("self");
  return other ? other->sizes : SizeList();
}

static LogicalResult importFull(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  StringRef name = ctx.has("fill_value") ? "fill_value" : "value";
  return fillWith(ctx, getSizes(ctx), ctx.getOperandAs(name, type));
}

template <int number>
static LogicalResult importConstant(NodeContext &ctx) {
  return fillWith(ctx, getSizes(ctx),
                  ctx.b.makeScalar(ctx.getResultType(), number));
}

static LogicalResult importScalar(NodeContext &ctx) {
  return ctx.setResult(ctx.getOperandAs("s", ctx.getResultType()));
}

//===----------------------------------------------------------------------===//
// Arange
//===----------------------------------------------------------------------===//

/// ceil((end - start) / step), where numbers are fractions.
static FailureOr<SizeExpr> getFractionalLength(NodeContext &ctx) {
  double start = ctx.getDouble("start", 0), end = ctx.getDouble("end");
  double step = ctx.getDouble("step", 1);
  double length = std::ceil((end - start) / step);
  if (!(step != 0) || !(std::abs(length) < INT32_MAX))
    return ctx.error() << "expected a step that leads from start to end";
  return SizeExpr(std::max<int64_t>(static_cast<int64_t>(length), 0));
}

static bool isInteger(NodeContext &ctx, StringRef name) {
  if (!ctx.has(name))
    return true;
  Tensor number = ctx.getOperand(name, {ctx.b.getBuilder().getF64Type()});
  return ctx.b.getIntegerScalar(number).has_value();
}

static FailureOr<SizeExpr> getLength(NodeContext &ctx) {
  if (!isInteger(ctx, "start") || !isInteger(ctx, "end") ||
      !isInteger(ctx, "step"))
    return getFractionalLength(ctx);
  auto integer = [&](StringRef name, int64_t fallback) {
    if (!ctx.has(name))
      return SizeExpr(fallback);
    return *ctx.b.getIntegerScalar(
        ctx.getOperand(name, {ctx.b.getBuilder().getF64Type()}));
  };
  SizeExpr start = integer("start", 0), end = integer("end", 0);
  int64_t step = integer("step", 1).getConstant().value_or(0);
  if (step == 0 || step < -INT32_MAX)
    return ctx.error() << "expected a constant step other than 0";
  SizeExpr span = step > 0 ? end - start : start - end;
  return ctx.b.divide(ctx.b.maximum(span, 0), std::abs(step), /*up=*/true);
}

static LogicalResult importArange(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  FailureOr<SizeExpr> length = getLength(ctx);
  if (failed(length))
    return failure();
  Tensor start = ctx.has("start") ? ctx.getOperandAs("start", type)
                                  : ctx.b.makeScalar(type, 0);
  Tensor step = ctx.has("step") ? ctx.getOperandAs("step", type)
                                : ctx.b.makeScalar(type, 1);
  return ctx.setResult(makeRange(ctx.b, start, step, *length));
}

//===----------------------------------------------------------------------===//
// Triangles, OneHot
//===----------------------------------------------------------------------===//

template <bool isUpper>
static LogicalResult importTriangle(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 2, INT64_MAX)))
    return failure();
  return ctx.setResult(keepTriangle(
      ctx.b, input, ctx.getSize("diagonal", SizeExpr(0)), isUpper));
}

/// out[.., i] = (self[..] == i)
static LogicalResult importOneHot(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireInteger(input)))
    return failure();
  SizeExpr classes = ctx.getSize("num_classes", SizeExpr(-1));
  if (classes.isConstant(-1))
    return ctx.error() << "expected num_classes";
  SizeList sizes = input->sizes;
  sizes.push_back(classes);
  if (failed(requireSizes(ctx, sizes)))
    return failure();
  ElementType type = ctx.getResultType();
  int64_t rank = input->getRank();
  AffineMap map =
      ctx.b.getBuilder().getMultiDimIdentityMap(rank + 1).getMajorSubMap(rank);
  return ctx.setResult(ctx.b.parallel(
      type, sizes, input, map,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps in(b, loc, input->element), out(b, loc, type);
        Value position = linalg::IndexOp::create(b, loc, rank);
        position =
            arith::IndexCastOp::create(b, loc, input->element.type, position);
        return out.select(in.equal(args[0], position), out.constant(1),
                          out.constant(0));
      }));
}

ArrayRef<HandlerRow> pt2::getCreationHandlers() {
  static const HandlerRow rows[] = {
      {"aten.arange.default", "", importArange},
      {"aten.arange.start", "", importArange},
      {"aten.arange.start_step", "", importArange},
      {"aten.empty.memory_format", "", importConstant<0>, "zeros"},
      {"aten.empty_permuted.default", "", importConstant<0>, "zeros"},
      {"aten.empty_like.default", "self", importConstant<0>, "zeros"},
      {"aten.fill.Scalar", "self", importFull},
      {"aten.fill.Tensor", "self value", importFull},
      {"aten.full.default", "", importFull},
      {"aten.full_like.default", "self", importFull},
      {"aten.new_empty.default", "", importConstant<0>, "zeros"},
      {"aten.new_full.default", "", importFull},
      {"aten.new_ones.default", "", importConstant<1>},
      {"aten.new_zeros.default", "", importConstant<0>},
      {"aten.one_hot.default", "self", importOneHot},
      {"aten.ones.default", "", importConstant<1>},
      {"aten.ones_like.default", "self", importConstant<1>},
      {"aten.scalar_tensor.default", "", importScalar},
      {"aten.tril.default", "self", importTriangle<false>},
      {"aten.triu.default", "self", importTriangle<true>},
      {"aten.zero.default", "self", importConstant<0>},
      {"aten.zeros.default", "", importConstant<0>},
      {"aten.zeros_like.default", "self", importConstant<0>},
  };
  return rows;
}
