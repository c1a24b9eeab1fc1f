//===- HandlersContrib.cpp - Fused operators of com.microsoft -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Norms of a sum, and the activations; those of ai.onnx that have the same
// formula (Gelu, Swish) are here too.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "Normalization.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// SkipLayerNormalization, SkipSimplifiedLayerNormalization
//===----------------------------------------------------------------------===//

/// The norm of input + skip + bias, where bias is input `biasIndex`; output 3
/// is that sum.
static LogicalResult importSkipNorm(NodeContext &ctx, bool isRMS,
                                    size_t biasIndex) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  for (size_t i = 1; i < ctx.getNumInputs(); ++i)
    if (ctx.getInput(i) && failed(ctx.requireSameType(0, i)))
      return failure();
  Compose c(ctx.b);
  Tensor sum = c.add(ctx.getInput(0), ctx.getInput(1));
  if (ctx.getInput(biasIndex))
    sum = c.add(sum, ctx.getInput(biasIndex));
  FailureOr<NormParameters> parameters = getNormParameters(ctx, 1e-12f);
  if (failed(parameters))
    return failure();
  NormResults results =
      isRMS ? buildRMSNorm(ctx, sum, ctx.getInput(2), *parameters)
            : buildLayerNorm(ctx, sum, ctx.getInput(2), ctx.getInput(3),
                             *parameters);
  ctx.setOutput(0, results.output);
  ctx.setOutput(3, sum);
  return success(results.output);
}

static LogicalResult importSkipLayerNormalization(NodeContext &ctx) {
  return importSkipNorm(ctx, /*isRMS=*/false, /*biasIndex=*/4);
}
static LogicalResult importSkipSimplifiedNormalization(NodeContext &ctx) {
  return importSkipNorm(ctx, /*isRMS=*/true, /*biasIndex=*/3);
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

/// x / 2 * (1 + erf(x / sqrt(2)))
static Value geluByErf(ScalarOps &o, Value x) {
  Value inner = o.erf(o.div(x, o.constant(std::sqrt(2.0))));
  return o.mul(o.mul(o.constant(0.5), x), o.add(inner, o.constant(1)));
}

/// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
static Value geluByTanh(ScalarOps &o, Value x) {
  constexpr double root = 0.79788456080286535588;
  Value cube = o.mul(o.mul(x, x), x);
  Value sum = o.add(x, o.mul(o.constant(0.044715), cube));
  Value inner = o.tanh(o.mul(o.constant(root), sum));
  return o.mul(o.mul(o.constant(0.5), x), o.add(inner, o.constant(1)));
}

/// The activation of the input, to which input 1 is added first if there.
static LogicalResult importActivation(NodeContext &ctx,
                                      Compose::UnaryFn function) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  Compose c(ctx.b);
  Tensor x = ctx.getInput(0);
  ElementType element = x->element;
  if (ctx.getInput(1)) {
    if (failed(ctx.requireSameType(0, 1)))
      return failure();
    x = c.add(x, ctx.getInput(1));
  }
  Tensor result = c.cast(c.map(c.cast(x, c.widen(element)), function), element);
  ctx.setOutput(0, result);
  return success(result);
}

static LogicalResult importGelu(NodeContext &ctx) {
  std::string approximate = ctx.getString("approximate", "none");
  if (approximate == "none")
    return importActivation(ctx, geluByErf);
  if (approximate == "tanh")
    return importActivation(ctx, geluByTanh);
  return ctx.error() << "expected approximate none or tanh, but got '"
                     << approximate << "'";
}

static LogicalResult importContribGelu(NodeContext &ctx) {
  return importActivation(ctx, geluByErf);
}
static LogicalResult importFastGelu(NodeContext &ctx) {
  return importActivation(ctx, geluByTanh);
}

/// x / (1 + exp(-alpha x))
static LogicalResult importSigmoidUnit(NodeContext &ctx, double defaultAlpha) {
  double alpha = ctx.getFloat("alpha", defaultAlpha);
  return importActivation(ctx, [&](ScalarOps &o, Value x) -> Value {
    Value one = o.constant(1);
    Value scaled = alpha == 1 ? x : o.mul(o.constant(alpha), x);
    Value sigmoid = o.div(one, o.add(o.exp(o.neg(scaled)), one));
    return o.mul(x, sigmoid);
  });
}

static LogicalResult importSwish(NodeContext &ctx) {
  return importSigmoidUnit(ctx, 1);
}
static LogicalResult importQuickGelu(NodeContext &ctx) {
  return importSigmoidUnit(ctx, 1.702f);
}

ArrayRef<HandlerRow> pquant::getContribHandlers() {
  static const HandlerRow rows[] = {
      {"", "Gelu", 20, 1, 1, 1, importGelu},
      {"", "Swish", 24, 1, 1, 1, importSwish},
      {"com.microsoft", "BiasGelu", 1, 2, 2, 1, importContribGelu},
      {"com.microsoft", "FastGelu", 1, 1, 2, 1, importFastGelu},
      {"com.microsoft", "Gelu", 1, 1, 1, 1, importContribGelu},
      {"com.microsoft", "QuickGelu", 1, 1, 1, 1, importQuickGelu},
      {"com.microsoft", "SkipLayerNormalization", 1, 3, 5, 4,
       importSkipLayerNormalization, "no mean and deviation"},
      {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, 3, 4, 4,
       importSkipSimplifiedNormalization, "no mean and deviation"},
  };
  return rows;
}
