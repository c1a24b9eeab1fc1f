//===- HandlersUnary.cpp - Functions of one tensor ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One `linalg.generic` per node; attributes of an activation are constants in
// its body, bounds that are tensors stay operands.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Unary operators
//===----------------------------------------------------------------------===//

using UnaryFn = Value (*)(ScalarOps &, Value);

/// An elementwise function of one input; `allowsIntegers` tells whether it is
/// there for integers too.
template <UnaryFn function, bool allowsIntegers = false>
static LogicalResult importUnary(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  if (!input->element.isFloat() &&
      !(allowsIntegers && input->element.isInteger()))
    return ctx.requireFloat(0);
  return ctx.setResult(ctx.b.elementwise(
      input->element, input, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps ops(b, loc, input->element);
        return function(ops, args[0]);
      }));
}

/// 1 / (1 + exp(-x))
static Value sigmoid(ScalarOps &o, Value x) {
  Value one = o.constant(1);
  return o.div(one, o.add(o.exp(o.neg(x)), one));
}

static Value softplus(ScalarOps &o, Value x) {
  // max(x, 0) + log1p(exp(-|x|)), which does not overflow.
  return o.add(o.max(x, o.constant(0)), o.log1p(o.exp(o.neg(o.abs(x)))));
}

static Value sign(ScalarOps &o, Value x) {
  Value zero = o.constant(0);
  Value sign = o.select(o.less(x, zero), o.constant(-1), zero);
  return o.select(o.less(zero, x), o.constant(1), sign);
}

static Value negate(ScalarOps &o, Value x) { return o.neg(x); }

static LogicalResult importNeg(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  if (!input->elements || !input->element.isInteger())
    return importUnary<negate, true>(ctx);
  SizeList elements;
  for (const SizeExpr &element : *input->elements)
    elements.push_back(SizeExpr(0) - element);
  ctx.setOutput(0, ctx.b.makeElements(input->element, input->sizes, elements));
  return success();
}

static LogicalResult importNot(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  if (!input->element.isBool())
    return ctx.error() << "expected a bool input, but got "
                       << getNumPyName(input->element);
  if (input->elements) {
    SizeList elements;
    for (const SizeExpr &element : *input->elements)
      elements.push_back(SizeExpr(1) - element);
    ctx.setOutput(0,
                  ctx.b.makeElements(input->element, input->sizes, elements));
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      input->element, input, [](OpBuilder &b, Location loc, ValueRange args) {
        Value isTrue = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
        return arith::XOrIOp::create(b, loc, args[0], isTrue).getResult();
      }));
}

static LogicalResult importIsNaN(NodeContext &ctx) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  return ctx.setResult(ctx.b.elementwise(
      {ctx.b.getBuilder().getI1Type()}, ctx.getInput(0),
      [](OpBuilder &b, Location loc, ValueRange args) {
        return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, args[0],
                                     args[0])
            .getResult();
      }));
}

static LogicalResult importIsInf(NodeContext &ctx) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  bool positive = ctx.getInt("detect_positive", 1);
  bool negative = ctx.getInt("detect_negative", 1);
  ElementType element = ctx.getInput(0)->element;
  return ctx.setResult(ctx.b.elementwise(
      {ctx.b.getBuilder().getI1Type()}, ctx.getInput(0),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        double infinity = std::numeric_limits<double>::infinity();
        Value result = arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
        if (positive)
          result = arith::OrIOp::create(b, loc, result,
                                        o.equal(args[0], o.constant(infinity)));
        if (negative)
          result = arith::OrIOp::create(
              b, loc, result, o.equal(args[0], o.constant(-infinity)));
        return result;
      }));
}

//===----------------------------------------------------------------------===//
// Activations with parameters
//===----------------------------------------------------------------------===//

/// A float function of one input and two attributes.
template <typename Function>
static LogicalResult importActivation(NodeContext &ctx, Function function) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  Tensor input = ctx.getInput(0);
  return ctx.setResult(ctx.b.elementwise(
      input->element, input, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps ops(b, loc, input->element);
        return function(ops, args[0]);
      }));
}

static LogicalResult importLeakyRelu(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 0.01f);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    return o.select(o.less(x, o.constant(0)), o.mul(x, o.constant(alpha)), x);
  });
}

static LogicalResult importElu(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 1.0);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    return o.select(o.less(x, o.constant(0)),
                    o.mul(o.constant(alpha), o.expm1(x)), x);
  });
}

static LogicalResult importSelu(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 1.67326319217681884765625f);
  double gamma = ctx.getFloat("gamma", 1.05070102214813232421875f);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    Value low = o.mul(o.constant(alpha), o.expm1(x));
    return o.mul(o.constant(gamma), o.select(o.less(x, o.constant(0)), low, x));
  });
}

static LogicalResult importCelu(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 1.0);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    Value zero = o.constant(0), a = o.constant(alpha);
    Value low = o.min(zero, o.mul(a, o.expm1(o.div(x, a))));
    return o.add(o.max(zero, x), low);
  });
}

static LogicalResult importThresholdedRelu(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 1.0);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    return o.select(o.less(o.constant(alpha), x), x, o.constant(0));
  });
}

static LogicalResult importHardSigmoid(NodeContext &ctx) {
  double alpha = ctx.getFloat("alpha", 0.2f), beta = ctx.getFloat("beta", 0.5f);
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    Value line = o.add(o.mul(x, o.constant(alpha)), o.constant(beta));
    return o.max(o.constant(0), o.min(o.constant(1), line));
  });
}

static LogicalResult importHardSwish(NodeContext &ctx) {
  return importActivation(ctx, [&](ScalarOps &o, Value x) {
    Value line = o.add(o.mul(x, o.constant(1.0 / 6)), o.constant(0.5));
    return o.mul(x, o.max(o.constant(0), o.min(o.constant(1), line)));
  });
}

static Value softsign(ScalarOps &o, Value x) {
  return o.div(x, o.add(o.constant(1), o.abs(x)));
}

//===----------------------------------------------------------------------===//
// Clip, PRelu
//===----------------------------------------------------------------------===//

/// maximum with the lower bound, then minimum with the upper one.
static LogicalResult importClip(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  Tensor low = ctx.getInput(1), high = ctx.getInput(2);
  SmallVector<Tensor> operands = {input};
  for (size_t i : {1, 2})
    if (ctx.getInput(i)) {
      if (failed(ctx.requireSameType(0, i)) || failed(ctx.requireRank(i, 0)))
        return failure();
      operands.push_back(ctx.getInput(i));
    }
  if (operands.size() == 1) {
    ctx.setOutput(0, input);
    return success();
  }
  return ctx.setResult(
      ctx.b.elementwise(input->element, operands,
                        [&](OpBuilder &b, Location loc, ValueRange args) {
                          ScalarOps o(b, loc, input->element);
                          Value result = args[0];
                          if (low)
                            result = o.max(result, args[1]);
                          if (high)
                            result = o.min(result, args.back());
                          return result;
                        }));
}

static LogicalResult importPRelu(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)) || failed(ctx.requireFloat(0)))
    return failure();
  ElementType element = ctx.getInput(0)->element;
  return ctx.setResult(
      ctx.b.elementwise(element, ctx.getInputs(),
                        [&](OpBuilder &b, Location loc, ValueRange args) {
                          ScalarOps o(b, loc, element);
                          return o.select(o.less(args[0], o.constant(0)),
                                          o.mul(args[0], args[1]), args[0]);
                        }));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

#define PQUANT_UNARY(NAME, METHOD)                                             \
  static Value NAME(ScalarOps &o, Value x) { return o.METHOD; }
PQUANT_UNARY(absolute, abs(x))
PQUANT_UNARY(squareRoot, sqrt(x))
PQUANT_UNARY(reciprocal, div(o.constant(1), x))
PQUANT_UNARY(exponential, exp(x))
PQUANT_UNARY(logarithm, log(x))
PQUANT_UNARY(sine, sin(x))
PQUANT_UNARY(cosine, cos(x))
PQUANT_UNARY(tangent, tan(x))
PQUANT_UNARY(hyperbolicTangent, tanh(x))
PQUANT_UNARY(errorFunction, erf(x))
PQUANT_UNARY(roundDown, floor(x))
PQUANT_UNARY(roundUp, ceil(x))
PQUANT_UNARY(roundToEven, roundEven(x))
PQUANT_UNARY(rectify, max(x, o.constant(0)))
#undef PQUANT_UNARY

ArrayRef<HandlerRow> pquant::getUnaryHandlers() {
  static const HandlerRow rows[] = {
      {"", "Abs", 13, 1, 1, 1, importUnary<absolute, true>},
      {"", "Ceil", 13, 1, 1, 1, importUnary<roundUp>},
      {"", "Celu", 13, 1, 1, 1, importCelu},
      {"", "Clip", 13, 1, 3, 1, importClip},
      {"", "Cos", 13, 1, 1, 1, importUnary<cosine>},
      {"", "Elu", 13, 1, 1, 1, importElu},
      {"", "Erf", 13, 1, 1, 1, importUnary<errorFunction>},
      {"", "Exp", 13, 1, 1, 1, importUnary<exponential>},
      {"", "Floor", 13, 1, 1, 1, importUnary<roundDown>},
      {"", "HardSigmoid", 13, 1, 1, 1, importHardSigmoid},
      {"", "HardSwish", 14, 1, 1, 1, importHardSwish},
      {"", "IsInf", 13, 1, 1, 1, importIsInf},
      {"", "IsNaN", 13, 1, 1, 1, importIsNaN},
      {"", "LeakyRelu", 13, 1, 1, 1, importLeakyRelu},
      {"", "Log", 13, 1, 1, 1, importUnary<logarithm>},
      {"", "Neg", 13, 1, 1, 1, importNeg},
      {"", "Not", 13, 1, 1, 1, importNot},
      {"", "PRelu", 13, 2, 2, 1, importPRelu, "floating point only"},
      {"", "Reciprocal", 13, 1, 1, 1, importUnary<reciprocal>},
      {"", "Relu", 13, 1, 1, 1, importUnary<rectify, true>},
      {"", "Round", 13, 1, 1, 1, importUnary<roundToEven>},
      {"", "Selu", 13, 1, 1, 1, importSelu},
      {"", "Sigmoid", 13, 1, 1, 1, importUnary<sigmoid>},
      {"", "Sign", 13, 1, 1, 1, importUnary<sign, true>},
      {"", "Sin", 13, 1, 1, 1, importUnary<sine>},
      {"", "Softplus", 13, 1, 1, 1, importUnary<softplus>},
      {"", "Softsign", 13, 1, 1, 1, importUnary<softsign>},
      {"", "Sqrt", 13, 1, 1, 1, importUnary<squareRoot>},
      {"", "Tan", 13, 1, 1, 1, importUnary<tangent>},
      {"", "Tanh", 13, 1, 1, 1, importUnary<hyperbolicTangent>},
      {"", "ThresholdedRelu", 13, 1, 1, 1, importThresholdedRelu},
  };
  return rows;
}
