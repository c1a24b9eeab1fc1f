//===- HandlersNormalization.cpp - Softmax and normalisations -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Normalisations are written out, as exporters decompose them; those of narrow
// types are computed in float32, as PyTorch does.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static Value add(ScalarOps &o, Value x, Value y) { return o.add(x, y); }
static Value subtract(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }
static Value squareRoot(ScalarOps &o, Value x) { return o.sqrt(x); }
static Value reciprocal(ScalarOps &o, Value x) {
  return o.div(o.constant(1), x);
}

template <Tensor (*function)(TensorBuilder &, Tensor, int64_t)>
static LogicalResult importSoftmax(NodeContext &ctx) {
  Tensor input = ctx.b.castElements(ctx.getTensor("self"), ctx.getResultType());
  if (failed(ctx.requireFloat(input)) ||
      failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  return ctx.setResult(
      function(ctx.b, input, ctx.getAxis("dim", input->getRank())));
}

namespace {
/// What is common to the normalisations over the last dimensions.
struct Normalization {
  Tensor input;
  SmallVector<int64_t> axes;
  Tensor epsilon;
};
} // namespace

static FailureOr<Normalization>
readNormalization(NodeContext &ctx, Tensor given, double defaultEpsilon) {
  if (failed(ctx.requireFloat(given)))
    return failure();
  Normalization result;
  bool isNarrow = given->element.type.getIntOrFloatBitWidth() < 32;
  result.input =
      isNarrow ? ctx.b.castElements(given, {ctx.b.getBuilder().getF32Type()})
               : given;
  int64_t rank = given->getRank();
  int64_t count = ctx.getSizes("normalized_shape").size();
  if (count < 1 || count > rank)
    return ctx.error() << "expected 1 to " << rank
                       << " normalised dimensions, but got " << count;
  result.axes = llvm::to_vector(llvm::seq<int64_t>(rank - count, rank));
  result.epsilon = ctx.b.makeScalar(result.input->element,
                                    ctx.getDouble("eps", defaultEpsilon));
  return result;
}

/// 1 / sqrt(mean(x^2) + epsilon), with the axes kept.
static Tensor invertDeviation(NodeContext &ctx, const Normalization &norm,
                              Tensor x) {
  Tensor squares = *mapElements(ctx.b, x, x, multiply);
  Tensor mean = divideByCount(ctx.b, sumOver(ctx.b, squares, norm.axes, true),
                              *x, norm.axes);
  Tensor shifted = *mapElements(ctx.b, mean, norm.epsilon, add);
  return mapElements(ctx.b, mapElements(ctx.b, shifted, squareRoot),
                     reciprocal);
}

/// x * weight + bias, each of which may be missing, in the given type.
static FailureOr<Tensor> applyAffine(NodeContext &ctx, Tensor x,
                                     ElementType type) {
  FailureOr<Tensor> result = x;
  if (Tensor weight = ctx.getOptionalTensor("weight"))
    result =
        mapElements(ctx.b, x, ctx.b.castElements(weight, x->element), multiply);
  if (failed(result))
    return failure();
  if (Tensor bias = ctx.getOptionalTensor("bias"))
    result =
        mapElements(ctx.b, *result, ctx.b.castElements(bias, x->element), add);
  if (failed(result))
    return failure();
  return ctx.b.castElements(*result, type);
}

/// The smallest step at 1 of a float type, which PyTorch adds by default.
static double getDefaultEpsilon(ElementType type) {
  if (auto element = dyn_cast<FloatType>(type.type))
    return std::ldexp(1.0, 1 - static_cast<int>(APFloat::semanticsPrecision(
                                   element.getFloatSemantics())));
  return 0;
}

static LogicalResult importRMSNorm(NodeContext &ctx) {
  Tensor given = ctx.getTensor("input");
  FailureOr<Normalization> norm =
      readNormalization(ctx, given, getDefaultEpsilon(given->element));
  if (failed(norm))
    return failure();
  Tensor factor = invertDeviation(ctx, *norm, norm->input);
  Tensor scaled = *mapElements(ctx.b, norm->input, factor, multiply);
  if (ctx.wantsResult(1))
    (void)ctx.setResult(factor, 1);
  return ctx.setResult(applyAffine(ctx, scaled, given->element));
}

static LogicalResult importLayerNorm(NodeContext &ctx) {
  Tensor given = ctx.getTensor("input");
  FailureOr<Normalization> norm = readNormalization(ctx, given, 1e-5);
  if (failed(norm))
    return failure();
  Tensor x = norm->input;
  Tensor mean =
      divideByCount(ctx.b, sumOver(ctx.b, x, norm->axes, true), *x, norm->axes);
  Tensor centered = *mapElements(ctx.b, x, mean, subtract);
  Tensor factor = invertDeviation(ctx, *norm, centered);
  Tensor scaled = *mapElements(ctx.b, centered, factor, multiply);
  if (ctx.wantsResult(1))
    (void)ctx.setResult(mean, 1);
  if (ctx.wantsResult(2))
    (void)ctx.setResult(factor, 2);
  return ctx.setResult(applyAffine(ctx, scaled, given->element));
}

ArrayRef<HandlerRow> pt2::getNormalizationHandlers() {
  static const HandlerRow rows[] = {
      {"aten._fused_rms_norm.default", "input", importRMSNorm},
      {"aten._log_softmax.default", "self", importSoftmax<logSoftmax>},
      {"aten._softmax.default", "self", importSoftmax<softmax>},
      {"aten.layer_norm.default", "input", importLayerNorm},
      {"aten.log_softmax.int", "self", importSoftmax<logSoftmax>},
      {"aten.native_layer_norm.default", "input", importLayerNorm},
      {"aten.rms_norm.default", "input", importRMSNorm},
      {"aten.softmax.int", "self", importSoftmax<softmax>},
  };
  return rows;
}
