//===- HandlersNormalization.cpp - Softmax, norms, Dropout ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "Normalization.h"

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;

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

//===----------------------------------------------------------------------===//
// LayerNormalization, RMSNormalization
//===----------------------------------------------------------------------===//

FailureOr<NormParameters> pquant::getNormParameters(NodeContext &ctx,
                                                    double defaultEpsilon) {
  Tensor x = ctx.getInput(0);
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, x->getRank());
  FailureOr<ElementType> stash =
      ctx.getElementType(ctx.getInt("stash_type", onnx::TensorProto::FLOAT));
  if (failed(axis) || failed(stash))
    return failure();
  return NormParameters{*axis, ctx.getFloat("epsilon", defaultEpsilon), *stash};
}

static SmallVector<int64_t> getAxes(Tensor x, int64_t axis) {
  return llvm::to_vector(llvm::seq<int64_t>(axis, x->getRank()));
}

/// The type to compute in: never narrower than the input.
static ElementType getStash(Tensor x, ElementType stash) {
  return x->element.type.getIntOrFloatBitWidth() >= 32 ? x->element : stash;
}

/// sqrt(mean(x^2) + epsilon)
static Tensor getDeviation(NodeContext &ctx, Tensor x, ArrayRef<int64_t> axes,
                           double epsilon) {
  Compose c(ctx.b);
  Tensor variance = c.mean(c.mul(x, x), axes);
  Tensor shifted = c.add(variance, ctx.b.makeScalar(x->element, epsilon));
  return c.map(shifted, [](ScalarOps &o, Value x) { return o.sqrt(x); });
}

static Tensor invert(NodeContext &ctx, Tensor x) {
  return Compose(ctx.b).map(
      x, [](ScalarOps &o, Value x) { return o.div(o.constant(1), x); });
}

NormResults pquant::buildLayerNorm(NodeContext &ctx, Tensor x, Tensor scale,
                                   Tensor bias,
                                   const NormParameters &parameters) {
  if (!x)
    return {};
  Compose c(ctx.b);
  ElementType element = x->element, stash = getStash(x, parameters.stash);
  SmallVector<int64_t> axes = getAxes(x, parameters.axis);
  x = c.cast(x, stash);
  Tensor mean = c.mean(x, axes);
  Tensor centered = c.sub(x, mean);
  Tensor deviation = getDeviation(ctx, centered, axes, parameters.epsilon);
  Tensor normal = c.cast(c.div(centered, deviation), element);
  Tensor output = c.mul(normal, scale);
  if (bias)
    output = c.add(output, bias);
  return {output, mean, ctx.wantsOutput(2) ? invert(ctx, deviation) : nullptr};
}

static LogicalResult importLayerNormalization(NodeContext &ctx) {
  FailureOr<NormParameters> parameters = getNormParameters(ctx, 1e-5f);
  if (failed(parameters) || failed(ctx.requireFloat(0)) ||
      failed(ctx.requireSameType(0, 1)))
    return failure();
  if (ctx.getInput(2) && failed(ctx.requireSameType(0, 2)))
    return failure();
  NormResults results = buildLayerNorm(ctx, ctx.getInput(0), ctx.getInput(1),
                                       ctx.getInput(2), *parameters);
  ctx.setOutput(0, results.output);
  ctx.setOutput(1, results.mean);
  ctx.setOutput(2, results.inverseDeviation);
  return success(results.output);
}

/// Whether the op's definition is what is asked for.
static bool fitsRMSNormOp(Tensor x, Tensor scale, int64_t axis) {
  return x->element.type.isF32() && scale->element == x->element &&
         axis == x->getRank() - 1 && scale->getRank() == 1 &&
         x->sizes[axis].getConstant() > 0 && scale->sizes[0] == x->sizes[axis];
}

NormResults pquant::buildRMSNorm(NodeContext &ctx, Tensor x, Tensor scale,
                                 const NormParameters &parameters,
                                 bool wantsDeviation) {
  if (!x || !scale)
    return {};
  Compose c(ctx.b);
  ElementType element = x->element, stash = getStash(x, parameters.stash);
  if (!wantsDeviation && fitsRMSNormOp(x, scale, parameters.axis)) {
    auto op = RMSNormOp::create(
        ctx.b.getBuilder(), ctx.b.getLoc(), ctx.b.getValue(x),
        ctx.b.getValue(scale), APFloat(static_cast<float>(parameters.epsilon)));
    return {ctx.b.makeTensor(op.getResult(), element, x->sizes)};
  }
  Tensor wide = c.cast(x, stash);
  Tensor deviation =
      getDeviation(ctx, wide, getAxes(x, parameters.axis), parameters.epsilon);
  Tensor normal = c.cast(c.div(wide, deviation), scale->element);
  return {c.mul(normal, scale), nullptr, invert(ctx, deviation)};
}

/// RMSNormalization, and SimplifiedLayerNormalization, which has the inverse
/// deviation as second output.
static LogicalResult importRMSNormalization(NodeContext &ctx) {
  FailureOr<NormParameters> parameters = getNormParameters(ctx, 1e-5f);
  if (failed(parameters) || failed(ctx.requireFloat(0)) ||
      failed(ctx.requireFloat(1)))
    return failure();
  NormResults results = buildRMSNorm(ctx, ctx.getInput(0), ctx.getInput(1),
                                     *parameters, ctx.wantsOutput(1));
  ctx.setOutput(0, results.output);
  ctx.setOutput(1, results.inverseDeviation);
  return success(results.output);
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
      {"", "RMSNormalization", 23, 2, 2, 1, importRMSNormalization},
      // Exporters write this one without a domain too.
      {"", "SimplifiedLayerNormalization", 1, 2, 2, 2, importRMSNormalization},
      {"", "Softmax", 13, 1, 1, 1, importSoftmax},
      {"com.microsoft", "SimplifiedLayerNormalization", 1, 2, 2, 2,
       importRMSNormalization},
  };
  return rows;
}
