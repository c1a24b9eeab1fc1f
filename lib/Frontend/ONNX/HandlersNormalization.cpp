//===- HandlersNormalization.cpp - Softmax, LayerNormalization, Dropout ---===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;

/// One elementwise op of two tensors that are known to broadcast.
template <typename Function>
static Tensor combine(NodeContext &ctx, Tensor x, Tensor y, Function function) {
  return *ctx.b.elementwise(x->element, {x, y},
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              ScalarOps o(b, loc, x->element);
                              return function(o, args[0], args[1]);
                            });
}
template <typename Function>
static Tensor apply(NodeContext &ctx, Tensor x, Function function) {
  return *ctx.b.elementwise(x->element, x,
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              ScalarOps o(b, loc, x->element);
                              return function(o, args[0]);
                            });
}

static Value subtract(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }
static Value divide(ScalarOps &o, Value x, Value y) { return o.div(x, y); }
static Value addUp(ScalarOps &o, Value x, Value y) { return o.add(x, y); }

/// Sum over the axes, which are kept as 1.
static Tensor sum(NodeContext &ctx, Tensor input, ArrayRef<int64_t> axes) {
  return ctx.b.reduce(
      input, axes, /*keepDims=*/true, input->element,
      ctx.b.getBuilder().getZeroAttr(input->element.type),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, input->element).add(args[1], args[0]);
      });
}

static LogicalResult importSoftmax(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, input->getRank());
  if (failed(axis) || failed(ctx.requireFloat(0)))
    return failure();
  ctx.setOutput(0, softmax(ctx.b, input, *axis));
  return success();
}

static LogicalResult importLogSoftmax(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, input->getRank());
  if (failed(axis) || failed(ctx.requireFloat(0)))
    return failure();
  ctx.setOutput(0, logSoftmax(ctx.b, input, *axis));
  return success();
}

/// mean, x - mean, variance, 1 / sqrt(variance + epsilon), scale, bias; the
/// statistics are computed in f32 for narrower types.
static LogicalResult importLayerNormalization(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, rank);
  if (failed(axis) || failed(ctx.requireFloat(0)) ||
      failed(ctx.requireSameType(0, 1)))
    return failure();
  if (ctx.getInput(2) && failed(ctx.requireSameType(0, 2)))
    return failure();
  FailureOr<ElementType> stash =
      ctx.getElementType(ctx.getInt("stash_type", onnx::TensorProto::FLOAT));
  if (failed(stash))
    return failure();
  if (input->element.type.getIntOrFloatBitWidth() >= 32)
    stash = input->element;
  double epsilon = ctx.getFloat("epsilon", 1e-5f);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(*axis, rank));
  SizeExpr size(1);
  for (int64_t i : axes)
    size = size * input->sizes[i];
  Tensor count = size.getConstant()
                     ? ctx.b.makeScalar(*stash, *size.getConstant())
                     : ctx.b.makeSizeScalar(size, *stash);
  Tensor x = ctx.b.castElements(input, *stash);
  Tensor mean = combine(ctx, sum(ctx, x, axes), count, divide);
  Tensor centered = combine(ctx, x, mean, subtract);
  Tensor squares = combine(ctx, centered, centered, multiply);
  Tensor variance = combine(ctx, sum(ctx, squares, axes), count, divide);
  Tensor shifted =
      combine(ctx, variance, ctx.b.makeScalar(*stash, epsilon), addUp);
  Tensor deviation =
      apply(ctx, shifted, [](ScalarOps &o, Value x) { return o.sqrt(x); });
  Tensor normalized = ctx.b.castElements(
      combine(ctx, centered, deviation, divide), input->element);
  FailureOr<Tensor> result = normalized;
  auto broadcastWith = [&](Tensor other, auto function) {
    result =
        ctx.b.elementwise(input->element, {*result, other},
                          [&](OpBuilder &b, Location loc, ValueRange args) {
                            ScalarOps o(b, loc, input->element);
                            return function(o, args[0], args[1]);
                          });
  };
  broadcastWith(ctx.getInput(1), multiply);
  if (succeeded(result) && ctx.getInput(2))
    broadcastWith(ctx.getInput(2), addUp);
  if (ctx.wantsOutput(1))
    ctx.setOutput(1, mean);
  if (ctx.wantsOutput(2))
    ctx.setOutput(2, apply(ctx, deviation, [](ScalarOps &o, Value x) {
                    return o.div(o.constant(1), x);
                  }));
  return ctx.setResult(result);
}

/// Inference only: the data itself, and a mask that keeps everything.
static LogicalResult importDropout(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  if (ctx.getInput(2)) {
    std::optional<double> training = ctx.b.getConstantScalar(ctx.getInput(2));
    if (!training || *training != 0)
      return ctx.error() << "expected training_mode to be a constant false";
  }
  ctx.setOutput(0, input);
  if (ctx.wantsOutput(1)) {
    OpBuilder &b = ctx.b.getBuilder();
    ctx.setOutput(
        1, ctx.b.fill({b.getI1Type()}, input->sizes, b.getBoolAttr(true)));
  }
  return success();
}

ArrayRef<HandlerRow> pquant::getNormalizationHandlers() {
  static const HandlerRow rows[] = {
      {"", "Dropout", 13, 1, 3, 2, importDropout, "inference only"},
      {"", "LayerNormalization", 17, 2, 3, 3, importLayerNormalization},
      {"", "LogSoftmax", 13, 1, 1, 1, importLogSoftmax},
      {"", "Softmax", 13, 1, 1, 1, importSoftmax},
  };
  return rows;
}
