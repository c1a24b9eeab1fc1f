//===- HandlersLinearAlgebra.cpp - Products -------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every product is one contraction `linalg.generic`: loops for the batch, rows
// and columns, then the summed ones.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;
using utils::IteratorType;

static Value add(ScalarOps &o, Value x, Value y) { return o.add(x, y); }
static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }

static LogicalResult requireSameType(NodeContext &ctx, Tensor x, Tensor y) {
  if (x->element == y->element && !x->element.isBool())
    return success();
  return ctx.error() << "expected numbers of one element type, but got "
                     << getNumPyName(x->element) << " and "
                     << getNumPyName(y->element);
}

static FailureOr<Tensor> multiplyChecked(NodeContext &ctx, Tensor x, Tensor y) {
  if (failed(requireSameType(ctx, x, y)))
    return failure();
  return multiplyMatrices(ctx.b, x, y);
}

static LogicalResult importMatMul(NodeContext &ctx) {
  StringRef right = ctx.has("mat2")     ? "mat2"
                    : ctx.has("other")  ? "other"
                    : ctx.has("tensor") ? "tensor"
                                        : "vec";
  Tensor y = ctx.getOptionalTensor(right);
  if (!y)
    return ctx.error() << "expected two tensors";
  return ctx.setResult(multiplyChecked(ctx, ctx.getTensor("self"), y));
}

/// input [.., K] times weight [N, K], and a bias [N].
static LogicalResult importLinear(NodeContext &ctx) {
  Tensor input = ctx.getTensor("input"), weight = ctx.getTensor("weight");
  if (failed(requireSameType(ctx, input, weight)) ||
      failed(ctx.requireRank(input, 1, INT64_MAX)) ||
      failed(ctx.requireRank(weight, 2, 2)))
    return failure();
  FailureOr<Tensor> product =
      multiplyMatrices(ctx.b, input, ctx.b.transpose(weight, {1, 0}));
  Tensor bias = ctx.getOptionalTensor("bias");
  if (succeeded(product) && bias)
    product = mapElements(ctx.b, *product, bias, add);
  return ctx.setResult(product);
}

/// A factor of a product, left out when it is 1.
static FailureOr<Tensor> scale(NodeContext &ctx, Tensor input, StringRef name) {
  if (ctx.getDouble(name, 1) == 1)
    return input;
  return mapElements(ctx.b, input, ctx.getOperandAs(name, input->element),
                     multiply);
}

/// beta * self + alpha * (left @ right)
static LogicalResult importAddedProduct(NodeContext &ctx, StringRef left,
                                        StringRef right) {
  Tensor self = ctx.getTensor("self");
  FailureOr<Tensor> product =
      multiplyChecked(ctx, ctx.getTensor(left), ctx.getTensor(right));
  if (failed(product))
    return failure();
  product = scale(ctx, *product, "alpha");
  FailureOr<Tensor> added = scale(ctx, self, "beta");
  if (failed(product) || failed(added))
    return failure();
  return ctx.setResult(mapElements(ctx.b, *product, *added, add));
}

static LogicalResult importAddMM(NodeContext &ctx) {
  return importAddedProduct(ctx, "mat1", "mat2");
}
static LogicalResult importBatchAddMM(NodeContext &ctx) {
  return importAddedProduct(ctx, "batch1", "batch2");
}

static LogicalResult importOuter(NodeContext &ctx) {
  Tensor x = ctx.getTensor("self"), y = ctx.getTensor("vec2");
  if (failed(requireSameType(ctx, x, y)) || failed(ctx.requireRank(x, 1, 1)) ||
      failed(ctx.requireRank(y, 1, 1)))
    return failure();
  FailureOr<Tensor> column = ctx.b.reshape(x, {x->sizes[0], SizeExpr(1)});
  if (failed(column))
    return failure();
  return ctx.setResult(mapElements(ctx.b, *column, y, multiply));
}

static LogicalResult importEinsum(NodeContext &ctx) {
  SmallVector<Tensor> inputs = ctx.getTensors("tensors");
  if (inputs.empty() || llvm::is_contained(inputs, nullptr))
    return ctx.error() << "expected at least one tensor";
  for (Tensor input : inputs)
    if (failed(requireSameType(ctx, inputs.front(), input)))
      return failure();
  return ctx.setResult(einsum(ctx.b, ctx.getString("equation", ""), inputs));
}

/// Row t of `rows` [T, K] times matrix g of `matrices` [G, K, N], where g
/// counts the ends of groups `offs` [G] that are at or before t.
static LogicalResult multiplyGroups(NodeContext &ctx, Tensor rows,
                                    Tensor matrices) {
  Tensor ends = ctx.getOptionalTensor("offs");
  if (!ends || ctx.has("bias"))
    return ctx.error() << "expected offsets and no bias";
  if (failed(requireSameType(ctx, rows, matrices)) ||
      failed(ctx.requireRank(rows, 2, 2)) ||
      failed(ctx.requireRank(matrices, 3, 3)) ||
      failed(ctx.requireRank(ends, 1, 1)) || failed(ctx.requireInteger(ends)) ||
      failed(ctx.b.requireEqual(rows->sizes[1], matrices->sizes[1],
                                "the summed dimension")) ||
      failed(
          ctx.b.requireEqual(ends->sizes[0], matrices->sizes[0], "the groups")))
    return failure();
  OpBuilder &builder = ctx.b.getBuilder();
  MLIRContext *context = builder.getContext();
  // group[t] = the number of ends that are not after t.
  ElementType integer{builder.getI64Type()};
  AffineMap map = AffineMap::get(2, 0, builder.getAffineDimExpr(1));
  Tensor wide = ctx.b.castElements(ends, integer);
  Tensor isBefore = ctx.b.parallel(
      integer, {rows->sizes[0], ends->sizes[0]}, wide, map,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, integer);
        Value row = linalg::IndexOp::create(b, loc, 0);
        row = arith::IndexCastOp::create(b, loc, integer.type, row);
        return o.select(o.lessOrEqual(args[0], row), o.constant(1),
                        o.constant(0));
      });
  Tensor groups = sumOver(ctx.b, isBefore, {1}, /*keepDims=*/false);
  assertInRange(ctx.b, groups, matrices->sizes[0]);
  // One contraction whose matrix is read at the row's group.
  Value source = ctx.b.getValue(matrices);
  Tensor start = ctx.b.fill(rows->element, {rows->sizes[0], matrices->sizes[2]},
                            builder.getZeroAttr(rows->element.type));
  AffineExpr d[3];
  bindDimsList<AffineExpr>(context, d);
  AffineMap maps[] = {AffineMap::get(3, 0, {d[0], d[2]}, context),
                      AffineMap::get(3, 0, {d[0]}, context),
                      AffineMap::get(3, 0, {d[0], d[1]}, context)};
  IteratorType iterators[] = {IteratorType::parallel, IteratorType::parallel,
                              IteratorType::reduction};
  auto generic = linalg::GenericOp::create(
      builder, ctx.b.getLoc(), start->value.getType(),
      ValueRange{ctx.b.getValue(rows), ctx.b.getValue(groups)}, start->value,
      maps, iterators, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, rows->element);
        Value group =
            arith::IndexCastOp::create(b, loc, b.getIndexType(), args[1]);
        Value column = linalg::IndexOp::create(b, loc, 1);
        Value k = linalg::IndexOp::create(b, loc, 2);
        Value factor = tensor::ExtractOp::create(b, loc, source,
                                                 ValueRange{group, k, column});
        linalg::YieldOp::create(b, loc, o.add(args[2], o.mul(args[0], factor)));
      });
  return ctx.setResult(
      ctx.b.makeTensor(generic.getResult(0), rows->element, start->sizes));
}

static LogicalResult importGroupedMM(NodeContext &ctx) {
  return multiplyGroups(ctx, ctx.getTensor("self"), ctx.getTensor("mat2"));
}
/// The same by transformers, for machines without the operator.
static LogicalResult importGroupedFallback(NodeContext &ctx) {
  return multiplyGroups(ctx, ctx.getTensor("input"), ctx.getTensor("weight"));
}

ArrayRef<HandlerRow> pt2::getLinearAlgebraHandlers() {
  static const HandlerRow rows[] = {
      {"aten._grouped_mm.default", "self mat2", importGroupedMM,
       "rows in groups, no bias"},
      {"aten.addmm.default", "self mat1 mat2", importAddMM},
      {"aten.baddbmm.default", "self batch1 batch2", importBatchAddMM},
      {"aten.bmm.default", "self mat2", importMatMul},
      {"aten.dot.default", "self tensor", importMatMul},
      {"aten.einsum.default", "", importEinsum},
      {"aten.linear.default", "input weight", importLinear},
      {"aten.matmul.default", "self other", importMatMul},
      {"aten.mm.default", "self mat2", importMatMul},
      {"aten.mv.default", "self vec", importMatMul},
      {"aten.outer.default", "self vec2", importOuter},
      {"transformers.grouped_mm_fallback.default", "input weight",
       importGroupedFallback},
  };
  return rows;
}
