//===- HandlersElementwise.cpp - Arithmetic, comparison, logic ------------===//
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

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Binary and variadic operators
//===----------------------------------------------------------------------===//

using BinaryFn = Value (*)(ScalarOps &, Value, Value);
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
    if (Tensor folded = foldElements(ctx.b, ctx.getInput(0), ctx.getInput(1),
                                     fold, element)) {
      ctx.setOutput(0, folded);
      return success();
    }
  if (ctx.getNumInputs() == 1) {
    ctx.setOutput(0, ctx.getInput(0));
    return success();
  }
  return ctx.setResult(
      ctx.b.elementwise(element, ctx.getInputs(),
                        [&](OpBuilder &b, Location loc, ValueRange args) {
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
    return importArithmetic<fmodulo, fold::mod>(ctx);
  if (ctx.getInput(0)->element.isFloat())
    return ctx.error() << "expected attribute fmod = 1 for floating-point "
                          "inputs, but got 0";
  return importArithmetic<modulo, fold::mod>(ctx);
}

static LogicalResult importMean(NodeContext &ctx) {
  if (failed(ctx.requireFloat(0)))
    return failure();
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)))
      return failure();
  ElementType element = ctx.getInput(0)->element;
  return ctx.setResult(
      ctx.b.elementwise(element, ctx.getInputs(),
                        [&](OpBuilder &b, Location loc, ValueRange args) {
                          ScalarOps o(b, loc, element);
                          Value sum = args[0];
                          for (Value arg : args.drop_front())
                            sum = o.add(sum, arg);
                          return o.div(sum, o.constant(args.size()));
                        }));
}

/// Squares and multiplies, one step per bit of the exponent.
static Value integerPower(ScalarOps &o, Value x, Value y) {
  OpBuilder &b = o.b;
  Value zero = arith::ConstantIndexOp::create(b, o.loc, 0);
  Value one = arith::ConstantIndexOp::create(b, o.loc, 1);
  Value bits = arith::ConstantIndexOp::create(
      b, o.loc, o.element.type.getIntOrFloatBitWidth());
  auto loop = scf::ForOp::create(
      b, o.loc, zero, bits, one, ValueRange{o.constant(1), x, y},
      [&](OpBuilder &nested, Location loc, Value, ValueRange state) {
        ScalarOps s(nested, loc, o.element);
        Value unit = s.constant(1);
        Value bit = arith::AndIOp::create(nested, loc, state[2], unit);
        Value product = s.mul(state[0], state[1]);
        Value result = s.select(s.equal(bit, unit), product, state[0]);
        Value rest = arith::ShRUIOp::create(nested, loc, state[2], unit);
        scf::YieldOp::create(nested, loc,
                             {result, s.mul(state[1], state[1]), rest});
      });
  return loop.getResult(0);
}

static LogicalResult importPow(NodeContext &ctx) {
  Tensor base = ctx.getInput(0), exponent = ctx.getInput(1);
  if (base->element.isBool() || exponent->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  ElementType element = base->element;
  if (element.isInteger() && exponent->element.isInteger()) {
    exponent = ctx.b.castElements(exponent, element);
    return ctx.setResult(
        ctx.b.elementwise(element, {base, exponent},
                          [&](OpBuilder &b, Location loc, ValueRange args) {
                            ScalarOps ops(b, loc, element);
                            return integerPower(ops, args[0], args[1]);
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
  if (Tensor folded =
          foldElements(ctx.b, ctx.getInput(0), ctx.getInput(1), fold, result)) {
    ctx.setOutput(0, folded);
    return success();
  }
  return ctx.setResult(
      ctx.b.elementwise(result, ctx.getInputs(),
                        [&](OpBuilder &b, Location loc, ValueRange args) {
                          ScalarOps ops(b, loc, element);
                          return function(ops, args[0], args[1]);
                        }));
}

static Value equal(ScalarOps &o, Value x, Value y) { return o.equal(x, y); }
static Value less(ScalarOps &o, Value x, Value y) { return o.less(x, y); }
static Value lessOrEqual(ScalarOps &o, Value x, Value y) {
  return o.lessOrEqual(x, y);
}
static Value greater(ScalarOps &o, Value x, Value y) { return o.greater(x, y); }
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
  Tensor folded = foldElements(ctx.b, ctx.getInput(0), ctx.getInput(1), fold,
                               ctx.getInput(0)->element);
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

/// The type of the first input, which must be of integers.
static FailureOr<ElementType> getInteger(NodeContext &ctx) {
  ElementType element = ctx.getInput(0)->element;
  if (!element.isInteger())
    return ctx.error() << "expected integers, but got "
                       << getNumPyName(element);
  return element;
}

template <typename Op>
static LogicalResult importBitwise(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)))
    return failure();
  FailureOr<ElementType> element = getInteger(ctx);
  if (failed(element))
    return failure();
  return ctx.setResult(ctx.b.elementwise(
      *element, ctx.getInputs(),
      [](OpBuilder &b, Location loc, ValueRange args) {
        return Op::create(b, loc, args[0], args[1]).getResult();
      }));
}

static LogicalResult importBitwiseNot(NodeContext &ctx) {
  FailureOr<ElementType> element = getInteger(ctx);
  if (failed(element))
    return failure();
  return ctx.setResult(ctx.b.elementwise(
      *element, ctx.getInputs(),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        Value ones = ScalarOps(b, loc, *element).constant(-1);
        return arith::XOrIOp::create(b, loc, args[0], ones).getResult();
      }));
}

static LogicalResult importBitShift(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)))
    return failure();
  ElementType element = ctx.getInput(0)->element;
  if (!element.isInteger() || !element.isUnsigned)
    return ctx.error() << "expected unsigned integers, but got "
                       << getNumPyName(element);
  std::string direction = ctx.getString("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return ctx.error() << "expected direction LEFT or RIGHT, but got '"
                       << direction << "'";
  return ctx.setResult(ctx.b.elementwise(
      element, ctx.getInputs(),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        return direction == "LEFT" ? o.shiftLeft(args[0], args[1])
                                   : o.shiftRight(args[0], args[1]);
      }));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

ArrayRef<HandlerRow> pquant::getElementwiseHandlers() {
  static const HandlerRow rows[] = {
      {"", "Add", 13, 2, 2, 1, importArithmetic<add, fold::add>},
      {"", "And", 13, 2, 2, 1, importLogical<arith::AndIOp, foldAnd>},
      {"", "BitShift", 13, 2, 2, 1, importBitShift},
      {"", "BitwiseAnd", 18, 2, 2, 1, importBitwise<arith::AndIOp>},
      {"", "BitwiseNot", 18, 1, 1, 1, importBitwiseNot},
      {"", "BitwiseOr", 18, 2, 2, 1, importBitwise<arith::OrIOp>},
      {"", "BitwiseXor", 18, 2, 2, 1, importBitwise<arith::XOrIOp>},
      {"", "Div", 13, 2, 2, 1, importArithmetic<div, fold::div>},
      {"", "Equal", 13, 2, 2, 1, importComparison<equal, fold::equal, true>},
      {"", "Greater", 13, 2, 2, 1, importComparison<greater, fold::greater>},
      {"", "GreaterOrEqual", 13, 2, 2, 1,
       importComparison<greaterOrEqual, fold::nothing>},
      {"", "Less", 13, 2, 2, 1, importComparison<less, fold::less>},
      {"", "LessOrEqual", 13, 2, 2, 1,
       importComparison<lessOrEqual, fold::nothing>},
      {"", "Max", 13, 1, variadic, 1, importArithmetic<maximum, fold::max>},
      {"", "Mean", 13, 1, variadic, 1, importMean},
      {"", "Min", 13, 1, variadic, 1, importArithmetic<minimum, fold::min>},
      {"", "Mod", 13, 2, 2, 1, importMod},
      {"", "Mul", 13, 2, 2, 1, importArithmetic<mul, fold::mul>},
      {"", "Or", 13, 2, 2, 1, importLogical<arith::OrIOp, foldOr>},
      {"", "Pow", 13, 2, 2, 1, importPow},
      {"", "Sub", 13, 2, 2, 1, importArithmetic<sub, fold::sub>},
      {"", "Sum", 13, 1, variadic, 1, importArithmetic<add, fold::add>},
      {"", "Xor", 13, 2, 2, 1, importLogical<arith::XOrIOp, foldXor>},
  };
  return rows;
}
