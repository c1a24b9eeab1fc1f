//===- HandlersElementwise.cpp - Unary, binary and variadic operators -----===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One `linalg.generic` per node. Integer arithmetic on shape vectors is done on
// their elements instead, so that sizes stay symbolic.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "ScalarOps.h"

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
      input->element, input,
      [&](OpBuilder &b, Location loc, ValueRange args) {
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
  ctx.setOutput(0,
                ctx.b.makeElements(input->element, input->sizes, elements));
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
    ctx.setOutput(0, ctx.b.makeElements(input->element, input->sizes,
                                        elements));
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      input->element, input, [](OpBuilder &b, Location loc, ValueRange args) {
        Value isTrue =
            arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
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
          result = arith::OrIOp::create(
              b, loc, result, o.equal(args[0], o.constant(infinity)));
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
      input->element, input,
      [&](OpBuilder &b, Location loc, ValueRange args) {
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
    return o.mul(o.constant(gamma),
                 o.select(o.less(x, o.constant(0)), low, x));
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
// Binary and variadic operators
//===----------------------------------------------------------------------===//

using BinaryFn = Value (*)(ScalarOps &, Value, Value);
using FoldFn = std::optional<SizeExpr> (*)(TensorBuilder &, const SizeExpr &,
                                           const SizeExpr &);

/// Applies `fold` to the elements of two shape vectors; none when they are not
/// known or not small integers.
static Tensor foldElements(NodeContext &ctx, FoldFn fold, ElementType result) {
  Tensor left = ctx.getInput(0), right = ctx.getInput(1);
  if (!left->elements || !right->elements || left->element.isFloat())
    return nullptr;
  size_t count = std::max(left->elements->size(), right->elements->size());
  SizeList elements;
  for (size_t i = 0; i < count; ++i) {
    const SizeList &l = *left->elements, &r = *right->elements;
    if ((l.size() != 1 && l.size() != count) ||
        (r.size() != 1 && r.size() != count))
      return nullptr;
    std::optional<SizeExpr> element =
        fold(ctx.b, l[l.size() == 1 ? 0 : i], r[r.size() == 1 ? 0 : i]);
    if (!element)
      return nullptr;
    elements.push_back(*element);
  }
  if (count == 0)
    return nullptr;
  const TensorInfo &shape = left->getRank() < right->getRank() ||
                                    left->elements->size() < count
                                ? *right
                                : *left;
  return ctx.b.makeElements(result, shape.sizes, elements);
}

static std::optional<SizeExpr> foldAdd(TensorBuilder &, const SizeExpr &a,
                                       const SizeExpr &b) {
  return a + b;
}
static std::optional<SizeExpr> foldSub(TensorBuilder &, const SizeExpr &a,
                                       const SizeExpr &b) {
  return a - b;
}
static std::optional<SizeExpr> foldMul(TensorBuilder &, const SizeExpr &a,
                                       const SizeExpr &b) {
  return a * b;
}
static std::optional<SizeExpr> foldDiv(TensorBuilder &b, const SizeExpr &num,
                                       const SizeExpr &den) {
  std::optional<int64_t> divisor = den.getConstant();
  if (!divisor)
    return num.dividedExactlyBy(den);
  // ONNX rounds to zero: the same as down where nothing is negative.
  if (*divisor > 0 && b.isNonNegative(num))
    return b.divide(num, *divisor, /*up=*/false);
  if (std::optional<int64_t> number = num.getConstant())
    if (*divisor != 0 && *divisor != -1)
      return SizeExpr(*number / *divisor);
  return std::nullopt;
}
static std::optional<SizeExpr> foldMod(TensorBuilder &b, const SizeExpr &num,
                                       const SizeExpr &den) {
  std::optional<int64_t> divisor = den.getConstant();
  if (!divisor || *divisor <= 0 || !b.isNonNegative(num))
    return std::nullopt;
  return num - b.divide(num, *divisor, /*up=*/false) * SizeExpr(*divisor);
}
static std::optional<SizeExpr> foldMax(TensorBuilder &b, const SizeExpr &x,
                                       const SizeExpr &y) {
  return b.maximum(x, y);
}
static std::optional<SizeExpr> foldMin(TensorBuilder &b, const SizeExpr &x,
                                       const SizeExpr &y) {
  return b.minimum(x, y);
}
static std::optional<SizeExpr> foldEqual(TensorBuilder &b, const SizeExpr &x,
                                         const SizeExpr &y) {
  if (x == y)
    return SizeExpr(1);
  SizeExpr one(1);
  // Constants that differ, or a size that is compared with a negative number.
  if (b.isNonNegative(x - y - one) || b.isNonNegative(y - x - one))
    return SizeExpr(0);
  return std::nullopt;
}
static std::optional<SizeExpr> foldLess(TensorBuilder &b, const SizeExpr &x,
                                        const SizeExpr &y) {
  if (b.isNonNegative(y - x - SizeExpr(1)))
    return SizeExpr(1);
  if (b.isNonNegative(x - y))
    return SizeExpr(0);
  return std::nullopt;
}
static std::optional<SizeExpr> foldGreater(TensorBuilder &b, const SizeExpr &x,
                                           const SizeExpr &y) {
  return foldLess(b, y, x);
}

/// An arithmetic operator; inputs and result have one element type. More than
/// two inputs are folded from the left, in one loop.
template <BinaryFn function, FoldFn fold>
static LogicalResult importArithmetic(NodeContext &ctx) {
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)))
      return failure();
  ElementType element = ctx.getInput(0)->element;
  if (element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  if (ctx.getNumInputs() == 2)
    if (Tensor folded = foldElements(ctx, fold, element)) {
      ctx.setOutput(0, folded);
      return success();
    }
  if (ctx.getNumInputs() == 1) {
    ctx.setOutput(0, ctx.getInput(0));
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      element, ctx.getInputs(), [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps ops(b, loc, element);
        Value result = args[0];
        for (Value arg : args.drop_front())
          result = function(ops, result, arg);
        return result;
      }));
}

static Value add(ScalarOps &o, Value x, Value y) { return o.add(x, y); }
static Value sub(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value mul(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }
static Value div(ScalarOps &o, Value x, Value y) { return o.div(x, y); }
static Value maximum(ScalarOps &o, Value x, Value y) { return o.max(x, y); }
static Value minimum(ScalarOps &o, Value x, Value y) { return o.min(x, y); }
static Value fmodulo(ScalarOps &o, Value x, Value y) { return o.rem(x, y); }

/// The remainder with the divisor's sign, as Python has it.
static Value modulo(ScalarOps &o, Value x, Value y) {
  Value remainder = o.rem(x, y);
  if (o.element.isUnsigned)
    return remainder;
  Value zero = o.constant(0);
  Value differs = arith::XOrIOp::create(o.b, o.loc, o.less(remainder, zero),
                                        o.less(y, zero));
  Value isExact = o.equal(remainder, zero);
  return o.select(isExact, remainder,
                  o.select(differs, o.add(remainder, y), remainder));
}

static LogicalResult importMod(NodeContext &ctx) {
  if (ctx.getInt("fmod", 0))
    return importArithmetic<fmodulo, foldMod>(ctx);
  if (ctx.getInput(0)->element.isFloat())
    return ctx.error() << "expected attribute fmod = 1 for floating-point "
                          "inputs, but got 0";
  return importArithmetic<modulo, foldMod>(ctx);
}

static LogicalResult importMean(NodeContext &ctx) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)))
      return failure();
  ElementType element = ctx.getInput(0)->element;
  return ctx.setResult(ctx.b.elementwise(
      element, ctx.getInputs(), [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value sum = args[0];
        for (Value arg : args.drop_front())
          sum = o.add(sum, arg);
        return o.div(sum, o.constant(args.size()));
      }));
}

static LogicalResult importPow(NodeContext &ctx) {
  Tensor base = ctx.getInput(0), exponent = ctx.getInput(1);
  if (base->element.isBool() || exponent->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  ElementType element = base->element;
  if (element.isInteger() && exponent->element.isInteger()) {
    exponent = ctx.b.castElements(exponent, element);
    return ctx.setResult(ctx.b.elementwise(
        element, {base, exponent},
        [&](OpBuilder &b, Location loc, ValueRange args) {
          return math::IPowIOp::create(b, loc, args[0], args[1]).getResult();
        }));
  }
  // Integer powers of fractional exponent are computed in double.
  ElementType compute = element.isFloat()
                            ? element
                            : ElementType{ctx.b.getBuilder().getF64Type()};
  FailureOr<Tensor> power = ctx.b.elementwise(
      compute,
      {ctx.b.castElements(base, compute),
       ctx.b.castElements(exponent, compute)},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return math::PowFOp::create(b, loc, args[0], args[1]).getResult();
      });
  if (failed(power))
    return failure();
  ctx.setOutput(0, ctx.b.castElements(*power, element));
  return success();
}

template <BinaryFn function, FoldFn fold, bool allowsBool = false>
static LogicalResult importComparison(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)))
    return failure();
  ElementType element = ctx.getInput(0)->element;
  if (element.isBool() && !allowsBool)
    return ctx.error() << "expected numbers, but got bool";
  ElementType result{ctx.b.getBuilder().getI1Type()};
  if (Tensor folded = foldElements(ctx, fold, result)) {
    ctx.setOutput(0, folded);
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      result, ctx.getInputs(), [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps ops(b, loc, element);
        return function(ops, args[0], args[1]);
      }));
}

static std::optional<SizeExpr> foldNothing(TensorBuilder &, const SizeExpr &,
                                           const SizeExpr &) {
  return std::nullopt;
}
static Value equal(ScalarOps &o, Value x, Value y) { return o.equal(x, y); }
static Value less(ScalarOps &o, Value x, Value y) { return o.less(x, y); }
static Value lessOrEqual(ScalarOps &o, Value x, Value y) {
  return o.lessOrEqual(x, y);
}
static Value greater(ScalarOps &o, Value x, Value y) {
  return o.greater(x, y);
}
static Value greaterOrEqual(ScalarOps &o, Value x, Value y) {
  return o.greaterOrEqual(x, y);
}

/// Truth values are 0 or 1: and is a product, xor is x + y - 2 x y.
static std::optional<SizeExpr> foldAnd(TensorBuilder &, const SizeExpr &x,
                                       const SizeExpr &y) {
  return x * y;
}
static std::optional<SizeExpr> foldOr(TensorBuilder &, const SizeExpr &x,
                                      const SizeExpr &y) {
  return x + y - x * y;
}
static std::optional<SizeExpr> foldXor(TensorBuilder &, const SizeExpr &x,
                                       const SizeExpr &y) {
  return x + y - x * y * SizeExpr(2);
}

/// The input that is known to be one false value, when the other input has one
/// element too: then their conjunction is false whatever that is.
static Tensor findFalse(NodeContext &ctx) {
  for (auto [i, j] : {std::pair(0, 1), {1, 0}}) {
    Tensor input = ctx.getInput(i), other = ctx.getInput(j);
    if (input->elements && input->elements->size() == 1 &&
        input->elements->front().isConstant(0) && other->getRank() <= 1 &&
        ctx.b.product(other->sizes).isConstant(1))
      return other->getRank() > input->getRank()
                 ? ctx.b.makeElements(input->element, other->sizes, {0})
                 : input;
  }
  return nullptr;
}

template <typename Op, FoldFn fold>
static LogicalResult importLogical(NodeContext &ctx) {
  for (size_t i : {0, 1})
    if (!ctx.getInput(i)->element.isBool())
      return ctx.error() << "expected bool inputs, but got "
                         << getNumPyName(ctx.getInput(i)->element);
  Tensor folded = foldElements(ctx, fold, ctx.getInput(0)->element);
  if (!folded && std::is_same_v<Op, arith::AndIOp>)
    folded = findFalse(ctx);
  if (folded) {
    ctx.setOutput(0, folded);
    return success();
  }
  return ctx.setResult(ctx.b.elementwise(
      ctx.getInput(0)->element, ctx.getInputs(),
      [](OpBuilder &b, Location loc, ValueRange args) {
        return Op::create(b, loc, args[0], args[1]).getResult();
      }));
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
  return ctx.setResult(ctx.b.elementwise(
      input->element, operands,
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
  return ctx.setResult(ctx.b.elementwise(
      element, ctx.getInputs(), [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        return o.select(o.less(args[0], o.constant(0)), o.mul(args[0], args[1]),
                        args[0]);
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

ArrayRef<HandlerRow> pquant::getElementwiseHandlers() {
  static const HandlerRow rows[] = {
      {"", "Abs", 13, 1, 1, 1, importUnary<absolute, true>},
      {"", "Add", 13, 2, 2, 1, importArithmetic<add, foldAdd>},
      {"", "And", 13, 2, 2, 1, importLogical<arith::AndIOp, foldAnd>},
      {"", "Ceil", 13, 1, 1, 1, importUnary<roundUp>},
      {"", "Celu", 13, 1, 1, 1, importCelu},
      {"", "Clip", 13, 1, 3, 1, importClip},
      {"", "Cos", 13, 1, 1, 1, importUnary<cosine>},
      {"", "Div", 13, 2, 2, 1, importArithmetic<div, foldDiv>},
      {"", "Elu", 13, 1, 1, 1, importElu},
      {"", "Equal", 13, 2, 2, 1, importComparison<equal, foldEqual, true>},
      {"", "Erf", 13, 1, 1, 1, importUnary<errorFunction>},
      {"", "Exp", 13, 1, 1, 1, importUnary<exponential>},
      {"", "Floor", 13, 1, 1, 1, importUnary<roundDown>},
      {"", "Greater", 13, 2, 2, 1, importComparison<greater, foldGreater>},
      {"", "GreaterOrEqual", 13, 2, 2, 1,
       importComparison<greaterOrEqual, foldNothing>},
      {"", "HardSigmoid", 13, 1, 1, 1, importHardSigmoid},
      {"", "HardSwish", 14, 1, 1, 1, importHardSwish},
      {"", "IsInf", 13, 1, 1, 1, importIsInf},
      {"", "IsNaN", 13, 1, 1, 1, importIsNaN},
      {"", "LeakyRelu", 13, 1, 1, 1, importLeakyRelu},
      {"", "Less", 13, 2, 2, 1, importComparison<less, foldLess>},
      {"", "LessOrEqual", 13, 2, 2, 1,
       importComparison<lessOrEqual, foldNothing>},
      {"", "Log", 13, 1, 1, 1, importUnary<logarithm>},
      {"", "Max", 13, 1, variadic, 1, importArithmetic<maximum, foldMax>},
      {"", "Mean", 13, 1, variadic, 1, importMean},
      {"", "Min", 13, 1, variadic, 1, importArithmetic<minimum, foldMin>},
      {"", "Mod", 13, 2, 2, 1, importMod},
      {"", "Mul", 13, 2, 2, 1, importArithmetic<mul, foldMul>},
      {"", "Neg", 13, 1, 1, 1, importNeg},
      {"", "Not", 13, 1, 1, 1, importNot},
      {"", "Or", 13, 2, 2, 1, importLogical<arith::OrIOp, foldOr>},
      {"", "PRelu", 13, 2, 2, 1, importPRelu, "floating point only"},
      {"", "Pow", 13, 2, 2, 1, importPow},
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
      {"", "Sub", 13, 2, 2, 1, importArithmetic<sub, foldSub>},
      {"", "Sum", 13, 1, variadic, 1, importArithmetic<add, foldAdd>},
      {"", "Tan", 13, 1, 1, 1, importUnary<tangent>},
      {"", "Tanh", 13, 1, 1, 1, importUnary<hyperbolicTangent>},
      {"", "ThresholdedRelu", 13, 1, 1, 1, importThresholdedRelu},
      {"", "Xor", 13, 2, 2, 1, importLogical<arith::XOrIOp, foldXor>},
  };
  return rows;
}
