//===- HandlersLinearAlgebra.cpp - MatMul, Gemm, Einsum -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every product is one contraction `linalg.generic`: loops for the batch, rows
// and columns, then the summed ones. Dimensions are never collapsed here.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

using namespace mlir;
using namespace pquant;
using utils::IteratorType;

static LogicalResult requireNumbers(NodeContext &ctx) {
  if (!ctx.getInput(0)->element.isBool())
    return success();
  return ctx.error() << "expected numbers, but got bool";
}

//===----------------------------------------------------------------------===//
// MatMul, MatMulInteger
//===----------------------------------------------------------------------===//

static LogicalResult importMatMul(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)) || failed(requireNumbers(ctx)))
    return failure();
  return ctx.setResult(
      multiplyMatrices(ctx.b, ctx.getInput(0), ctx.getInput(1)));
}

/// Input `i` as int32, less its zero point; `isRows` says that a vector of zero
/// points counts rows.
static FailureOr<Tensor> subtractZeroPoint(NodeContext &ctx, size_t i,
                                           bool isRows) {
  ElementType integer{ctx.b.getBuilder().getI32Type()};
  Tensor value = ctx.b.castElements(ctx.getInput(i), integer);
  Tensor zero = ctx.getInput(i + 2);
  if (!zero)
    return value;
  if (failed(ctx.requireSameType(i, i + 2)))
    return failure();
  FailureOr<Tensor> offset = ctx.b.castElements(zero, integer);
  if (isRows && zero->getRank() == 1 && !zero->sizes[0].isConstant(1))
    offset = ctx.b.reshape(*offset, {zero->sizes[0], SizeExpr(1)});
  if (failed(offset))
    return failure();
  return ctx.b.elementwise(
      integer, {value, *offset},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, integer).sub(args[0], args[1]);
      });
}

static LogicalResult importMatMulInteger(NodeContext &ctx) {
  for (size_t i : {0, 1})
    if (!ctx.getInput(i)->element.type.isInteger(8))
      return ctx.error() << "expected int8 or uint8 inputs, but got "
                         << getNumPyName(ctx.getInput(i)->element);
  FailureOr<Tensor> lhs = subtractZeroPoint(ctx, 0, /*isRows=*/true);
  FailureOr<Tensor> rhs = subtractZeroPoint(ctx, 1, /*isRows=*/false);
  if (failed(lhs) || failed(rhs))
    return failure();
  return ctx.setResult(multiplyMatrices(ctx.b, *lhs, *rhs));
}

//===----------------------------------------------------------------------===//
// Gemm
//===----------------------------------------------------------------------===//

/// The tensor times a number; the same tensor when that is 1.
static Tensor scale(NodeContext &ctx, Tensor input, double factor) {
  if (factor == 1)
    return input;
  // A scalar always broadcasts.
  return *ctx.b.elementwise(
      input->element, {input, ctx.b.makeScalar(input->element, factor)},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, input->element).mul(args[0], args[1]);
      });
}

/// alpha * op(A) op(B), where op may swap the last two dimensions.
static LogicalResult importFusedMatMul(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)) || failed(ctx.requireFloat(0)))
    return failure();
  for (StringRef name : {"transBatchA", "transBatchB"})
    if (ctx.getInt(name, 0))
      return ctx.error() << "attribute '" << name << "' is not supported";
  SmallVector<Tensor> operands(ctx.getInputs());
  for (auto [operand, name] :
       llvm::zip_equal(operands, ArrayRef<StringRef>({"transA", "transB"}))) {
    int64_t rank = operand->getRank();
    if (!ctx.getInt(name, 0) || rank < 2)
      continue;
    auto order = llvm::to_vector(llvm::seq<int64_t>(0, rank));
    std::swap(order[rank - 1], order[rank - 2]);
    operand = ctx.b.transpose(operand, order);
  }
  FailureOr<Tensor> product = multiplyMatrices(ctx.b, operands[0], operands[1]);
  if (failed(product))
    return failure();
  ctx.setOutput(0, scale(ctx, *product, ctx.getFloat("alpha", 1)));
  return success();
}

static LogicalResult importGemm(NodeContext &ctx) {
  Tensor lhs = ctx.getInput(0), rhs = ctx.getInput(1);
  if (failed(ctx.requireSameType(0, 1)) || failed(requireNumbers(ctx)) ||
      failed(ctx.requireRank(0, 2)) || failed(ctx.requireRank(1, 2)))
    return failure();
  bool transA = ctx.getInt("transA", 0), transB = ctx.getInt("transB", 0);
  if (failed(ctx.b.requireEqual(lhs->sizes[transA ? 0 : 1],
                                rhs->sizes[transB ? 1 : 0],
                                "the summed dimension")))
    return failure();
  OpBuilder &b = ctx.b.getBuilder();
  AffineExpr m = b.getAffineDimExpr(0), n = b.getAffineDimExpr(1);
  AffineExpr k = b.getAffineDimExpr(2);
  auto map = [&](AffineExpr x, AffineExpr y, bool swap) {
    if (swap)
      std::swap(x, y);
    return AffineMap::get(3, 0, {x, y}, b.getContext());
  };
  Tensor product = ctx.b.contract(
      {lhs, rhs}, {map(m, k, transA), map(k, n, transB)}, lhs->element,
      {lhs->sizes[transA ? 1 : 0], rhs->sizes[transB ? 0 : 1]},
      map(m, n, false),
      {IteratorType::parallel, IteratorType::parallel,
       IteratorType::reduction});
  product = scale(ctx, product, ctx.getFloat("alpha", 1));
  if (!ctx.getInput(2)) {
    ctx.setOutput(0, product);
    return success();
  }
  if (failed(ctx.requireSameType(0, 2)))
    return failure();
  Tensor bias = scale(ctx, ctx.getInput(2), ctx.getFloat("beta", 1));
  return ctx.setResult(ctx.b.elementwise(
      lhs->element, {product, bias},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, lhs->element).add(args[0], args[1]);
      }));
}

//===----------------------------------------------------------------------===//
// Einsum
//===----------------------------------------------------------------------===//

static LogicalResult importEinsum(NodeContext &ctx) {
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)))
      return failure();
  if (failed(requireNumbers(ctx)))
    return failure();
  return ctx.setResult(
      einsum(ctx.b, ctx.getString("equation", ""), ctx.getInputs()));
}

ArrayRef<HandlerRow> pquant::getLinearAlgebraHandlers() {
  static const HandlerRow rows[] = {
      {"", "Einsum", 13, 1, variadic, 1, importEinsum},
      {"", "Gemm", 13, 2, 3, 1, importGemm},
      {"", "MatMul", 13, 2, 2, 1, importMatMul},
      {"", "MatMulInteger", 13, 2, 4, 1, importMatMulInteger},
      {"com.microsoft", "FusedMatMul", 1, 2, 2, 1, importFusedMatMul,
       "no transposed batches"},
  };
  return rows;
}
