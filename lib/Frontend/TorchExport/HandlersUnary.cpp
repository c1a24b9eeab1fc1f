//===- HandlersUnary.cpp - Functions of one tensor ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One `linalg.generic` per node, as ONNX's exporters write them: SiLU and Rsqrt
// are two.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

using UnaryFn = Value (*)(ScalarOps &, Value);

/// A function of one tensor, computed in the result's element type.
template <UnaryFn function>
static LogicalResult importUnary(NodeContext &ctx) {
  Tensor input = ctx.getOperandAs("self", ctx.getResultType());
  return ctx.setResult(mapElements(ctx.b, input, function));
}

/// The same for functions that are there for floats only.
template <UnaryFn function>
static LogicalResult importFloatUnary(NodeContext &ctx) {
  Tensor input = ctx.getOperandAs("self", ctx.getResultType());
  if (failed(ctx.requireFloat(input)))
    return failure();
  return ctx.setResult(mapElements(ctx.b, input, function));
}

#define PQUANT_UNARY(NAME, METHOD)                                             \
  static Value NAME(ScalarOps &o, Value x) { return o.METHOD; }
PQUANT_UNARY(absolute, abs(x))
PQUANT_UNARY(negate, neg(x))
PQUANT_UNARY(squareRoot, sqrt(x))
PQUANT_UNARY(square, mul(x, x))
PQUANT_UNARY(reciprocal, div(o.constant(1), x))
PQUANT_UNARY(exponential, exp(x))
PQUANT_UNARY(exponentialLess1, expm1(x))
PQUANT_UNARY(logarithm, log(x))
PQUANT_UNARY(logarithmOf1Plus, log1p(x))
PQUANT_UNARY(sine, sin(x))
PQUANT_UNARY(cosine, cos(x))
PQUANT_UNARY(tangent, tan(x))
PQUANT_UNARY(hyperbolicTangent, tanh(x))
PQUANT_UNARY(errorFunction, erf(x))
PQUANT_UNARY(rectify, max(x, o.constant(0)))
#undef PQUANT_UNARY

/// 1 / (1 + exp(-x))
static Value sigmoid(ScalarOps &o, Value x) {
  Value one = o.constant(1);
  return o.div(one, o.add(o.exp(o.neg(x)), one));
}

static Value sign(ScalarOps &o, Value x) {
  Value zero = o.constant(0);
  Value sign = o.select(o.less(x, zero), o.constant(-1), zero);
  return o.select(o.less(zero, x), o.constant(1), sign);
}

/// Integers are round already.
static Value roundDown(ScalarOps &o, Value x) {
  return o.element.isFloat() ? o.floor(x) : x;
}
static Value roundUp(ScalarOps &o, Value x) {
  return o.element.isFloat() ? o.ceil(x) : x;
}
static Value roundToEven(ScalarOps &o, Value x) {
  return o.element.isFloat() ? o.roundEven(x) : x;
}
static Value roundToZero(ScalarOps &o, Value x) {
  return o.element.isFloat() ? math::TruncOp::create(o.b, o.loc, x) : x;
}

/// x * max(0, min(1, x / 6 + 1 / 2))
static Value hardSwish(ScalarOps &o, Value x) {
  Value line = o.add(o.mul(x, o.constant(1.0 / 6)), o.constant(0.5));
  return o.mul(x, o.max(o.constant(0), o.min(o.constant(1), line)));
}

static LogicalResult importRsqrt(NodeContext &ctx) {
  Tensor input = ctx.getOperandAs("self", ctx.getResultType());
  if (failed(ctx.requireFloat(input)))
    return failure();
  return ctx.setResult(
      mapElements(ctx.b, mapElements(ctx.b, input, squareRoot), reciprocal));
}

static LogicalResult importSilu(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  Tensor gate = mapElements(ctx.b, input, sigmoid);
  return ctx.setResult(
      mapElements(ctx.b, input, gate,
                  [](ScalarOps &o, Value x, Value y) { return o.mul(x, y); }));
}

/// x/2 (1 + erf(x / sqrt 2)), or its approximation by tanh.
static LogicalResult importGelu(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  bool isApproximate = ctx.getString("approximate", "none") == "tanh";
  return ctx.setResult(mapElements(ctx.b, input, [&](ScalarOps &o, Value x) {
    Value inner;
    if (isApproximate) {
      Value cube = o.mul(o.mul(x, x), x);
      Value sum = o.add(x, o.mul(o.constant(0.044715), cube));
      double factor = llvm::numbers::sqrt2 * llvm::numbers::inv_sqrtpi;
      inner = o.tanh(o.mul(sum, o.constant(factor)));
    } else {
      inner = o.erf(o.mul(x, o.constant(1 / llvm::numbers::sqrt2)));
    }
    Value half = o.mul(x, o.constant(0.5));
    return o.mul(half, o.add(inner, o.constant(1)));
  }));
}

static LogicalResult importLeakyRelu(NodeContext &ctx) {
  double slope = ctx.getDouble("negative_slope", 0.01);
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  return ctx.setResult(mapElements(ctx.b, input, [&](ScalarOps &o, Value x) {
    return o.select(o.less(x, o.constant(0)), o.mul(x, o.constant(slope)), x);
  }));
}

/// log(1 + exp(beta x)) / beta, and x itself above the threshold.
static LogicalResult importSoftplus(NodeContext &ctx) {
  double beta = ctx.getDouble("beta", 1),
         limit = ctx.getDouble("threshold", 20);
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  return ctx.setResult(mapElements(ctx.b, input, [&](ScalarOps &o, Value x) {
    Value scaled = o.mul(x, o.constant(beta));
    Value curve = o.div(o.log1p(o.exp(scaled)), o.constant(beta));
    return o.select(o.greater(scaled, o.constant(limit)), x, curve);
  }));
}

/// The result's element type is all that differs.
static LogicalResult importCast(NodeContext &ctx) {
  return ctx.setResult(
      ctx.b.castElements(ctx.getTensor("self"), ctx.getResultType()));
}

static LogicalResult importConvert(NodeContext &ctx) {
  return ctx.setResult(
      ctx.b.castElements(ctx.getTensor("a"), ctx.getResultType()));
}

static LogicalResult importDropout(NodeContext &ctx) {
  if (ctx.getBool("train", false) && ctx.getDouble("p", 0) != 0)
    return ctx.error() << "dropout in training mode is not supported; export "
                          "the module after eval()";
  return ctx.setResult(ctx.getTensor("input"));
}

/// The input, and a mask that keeps everything.
static LogicalResult importNativeDropout(NodeContext &ctx) {
  Tensor input = ctx.getTensor("input");
  OpBuilder &b = ctx.b.getBuilder();
  if (ctx.wantsResult(1))
    (void)ctx.setResult(
        ctx.b.fill({b.getI1Type()}, input->sizes, b.getBoolAttr(true)), 1);
  return importDropout(ctx);
}

static LogicalResult importIsNaN(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  return ctx.setResult(ctx.b.elementwise(
      {ctx.b.getBuilder().getI1Type()}, input,
      [](OpBuilder &b, Location loc, ValueRange args) {
        return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, args[0],
                                     args[0])
            .getResult();
      }));
}

static LogicalResult importIsInf(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireFloat(input)))
    return failure();
  ElementType element = input->element;
  return ctx.setResult(ctx.b.elementwise(
      {ctx.b.getBuilder().getI1Type()}, input,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        return o.equal(o.abs(args[0]),
                       o.constant(std::numeric_limits<double>::infinity()));
      }));
}

ArrayRef<HandlerRow> pt2::getUnaryHandlers() {
  static const HandlerRow rows[] = {
      {"aten._to_copy.default", "self", importCast},
      {"aten.abs.default", "self", importUnary<absolute>},
      {"aten.ceil.default", "self", importUnary<roundUp>},
      {"aten.clone.default", "self", importCast},
      {"aten.cos.default", "self", importFloatUnary<cosine>},
      {"aten.dropout.default", "input", importDropout, "inference only"},
      {"aten.erf.default", "self", importFloatUnary<errorFunction>},
      {"aten.exp.default", "self", importFloatUnary<exponential>},
      {"aten.expm1.default", "self", importFloatUnary<exponentialLess1>},
      {"aten.floor.default", "self", importUnary<roundDown>},
      {"aten.gelu.default", "self", importGelu},
      {"aten.hardswish.default", "self", importFloatUnary<hardSwish>},
      {"aten.isinf.default", "self", importIsInf},
      {"aten.isnan.default", "self", importIsNaN},
      {"aten.leaky_relu.default", "self", importLeakyRelu},
      {"aten.log.default", "self", importFloatUnary<logarithm>},
      {"aten.log1p.default", "self", importFloatUnary<logarithmOf1Plus>},
      {"aten.native_dropout.default", "input", importNativeDropout,
       "inference only"},
      {"aten.neg.default", "self", importUnary<negate>},
      {"aten.reciprocal.default", "self", importFloatUnary<reciprocal>},
      {"aten.relu.default", "self", importUnary<rectify>},
      {"aten.round.default", "self", importUnary<roundToEven>},
      {"aten.rsqrt.default", "self", importRsqrt},
      {"aten.sigmoid.default", "self", importFloatUnary<sigmoid>},
      {"aten.sign.default", "self", importUnary<sign>},
      {"aten.silu.default", "self", importSilu},
      {"aten.sin.default", "self", importFloatUnary<sine>},
      {"aten.softplus.default", "self", importSoftplus},
      {"aten.sqrt.default", "self", importFloatUnary<squareRoot>},
      {"aten.square.default", "self", importUnary<square>},
      {"aten.tan.default", "self", importFloatUnary<tangent>},
      {"aten.tanh.default", "self", importFloatUnary<hyperbolicTangent>},
      {"aten.trunc.default", "self", importUnary<roundToZero>},
      {"prims.convert_element_type.default", "a", importConvert},
  };
  return rows;
}
