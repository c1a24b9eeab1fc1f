//===- HandlersQuantized.cpp - Quantisation with given scales -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What PyTorch computes, written out: clamp(round(x * (1 / scale)) + zero) and
// (q - zero) * scale, with one scale or one for each index of an axis.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static Value add(ScalarOps &o, Value x, Value y) { return o.add(x, y); }
static Value subtract(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }

namespace {
/// The parameters of one node, as float32 tensors that broadcast.
struct Parameters {
  Tensor scale, zero;
  double low, high;
};
} // namespace

/// A number, or a vector along the axis that the node names.
static FailureOr<Tensor> getParameter(NodeContext &ctx, StringRef name,
                                      int64_t rank) {
  ElementType real{ctx.b.getBuilder().getF32Type()};
  Tensor parameter = ctx.getOperandAs(name, real);
  if (!ctx.has("axis") || parameter->getRank() == 0)
    return ctx.b.reshape(parameter, {});
  if (failed(ctx.requireRank(parameter, 1, 1)))
    return failure();
  if (rank == 0)
    return ctx.error() << "expected a tensor with the axis that is named";
  SizeList sizes(rank, SizeExpr(1));
  sizes[ctx.getAxis("axis", rank)] = parameter->sizes[0];
  return ctx.b.reshape(parameter, sizes);
}

static FailureOr<Parameters> getParameters(NodeContext &ctx, int64_t rank) {
  bool isPlural = ctx.has("scales");
  FailureOr<Tensor> scale =
      getParameter(ctx, isPlural ? "scales" : "scale", rank);
  if (failed(scale))
    return failure();
  FailureOr<Tensor> zero = ctx.b.makeScalar((*scale)->element, 0);
  StringRef name = isPlural ? "zero_points" : "zero_point";
  if (ctx.has(name))
    zero = getParameter(ctx, name, rank);
  if (failed(zero))
    return failure();
  bool isShort = ctx.has("qmin");
  return Parameters{*scale, *zero,
                    ctx.getDouble(isShort ? "qmin" : "quant_min"),
                    ctx.getDouble(isShort ? "qmax" : "quant_max")};
}

static FailureOr<Tensor> quantize(NodeContext &ctx, Tensor x,
                                  const Parameters &p) {
  Tensor inverse = mapElements(ctx.b, p.scale, [](ScalarOps &o, Value v) {
    return o.div(o.constant(1), v);
  });
  FailureOr<Tensor> scaled = mapElements(ctx.b, x, inverse, multiply);
  if (failed(scaled))
    return failure();
  Tensor rounded = mapElements(
      ctx.b, *scaled, [](ScalarOps &o, Value v) { return o.roundEven(v); });
  FailureOr<Tensor> shifted = mapElements(ctx.b, rounded, p.zero, add);
  if (failed(shifted))
    return failure();
  return mapElements(ctx.b, *shifted, [&](ScalarOps &o, Value v) {
    return o.min(o.max(v, o.constant(p.low)), o.constant(p.high));
  });
}

static FailureOr<Tensor> dequantize(NodeContext &ctx, Tensor q,
                                    const Parameters &p) {
  FailureOr<Tensor> centered = mapElements(ctx.b, q, p.zero, subtract);
  if (failed(centered))
    return failure();
  return mapElements(ctx.b, *centered, p.scale, multiply);
}

template <bool quantizes, bool dequantizes>
static LogicalResult importQuantizer(NodeContext &ctx) {
  StringRef name = ctx.has("input") ? "input" : "self";
  Tensor given = ctx.getOptionalTensor(name);
  if (!given)
    return ctx.error() << "expected a tensor";
  FailureOr<Parameters> parameters = getParameters(ctx, given->getRank());
  if (failed(parameters))
    return failure();
  ElementType real{ctx.b.getBuilder().getF32Type()};
  FailureOr<Tensor> x = ctx.b.castElements(given, real);
  if (quantizes)
    x = quantize(ctx, *x, *parameters);
  if (succeeded(x) && dequantizes)
    x = dequantize(ctx, *x, *parameters);
  return ctx.setResult(x);
}

ArrayRef<HandlerRow> pt2::getQuantizedHandlers() {
  static const HandlerRow rows[] = {
      {"aten.fake_quantize_per_channel_affine.default", "self scale",
       importQuantizer<true, true>},
      {"aten.fake_quantize_per_channel_affine_cachemask.default", "self scale",
       importQuantizer<true, true>, "first result only"},
      {"aten.fake_quantize_per_tensor_affine.default", "self",
       importQuantizer<true, true>},
      {"aten.fake_quantize_per_tensor_affine.tensor_qparams", "self scale",
       importQuantizer<true, true>},
      {"quantized_decomposed.dequantize_per_channel.default", "input scales",
       importQuantizer<false, true>},
      {"quantized_decomposed.dequantize_per_tensor.default", "input",
       importQuantizer<false, true>},
      {"quantized_decomposed.dequantize_per_tensor.tensor", "input scale",
       importQuantizer<false, true>},
      {"quantized_decomposed.quantize_per_channel.default", "input scales",
       importQuantizer<true, false>},
      {"quantized_decomposed.quantize_per_tensor.default", "input",
       importQuantizer<true, false>},
      {"quantized_decomposed.quantize_per_tensor.tensor", "input scale",
       importQuantizer<true, false>},
  };
  return rows;
}
