//===- HandlersElementwise.cpp - Arithmetic, comparison, logic ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One `linalg.generic` per node. Arithmetic is done in the element type that
// the file states for the result, which is PyTorch's promotion; comparisons
// promote here. Numbers of the host program stay symbolic where they can.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

using BinaryFn = Value (*)(ScalarOps &, Value, Value);

static Value add(ScalarOps &o, Value x, Value y) {
  if (o.element.isBool())
    return arith::OrIOp::create(o.b, o.loc, x, y);
  return o.add(x, y);
}
static Value sub(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value mul(ScalarOps &o, Value x, Value y) {
  if (o.element.isBool())
    return arith::AndIOp::create(o.b, o.loc, x, y);
  return o.mul(x, y);
}
static Value div(ScalarOps &o, Value x, Value y) { return o.div(x, y); }
static Value maximum(ScalarOps &o, Value x, Value y) { return o.max(x, y); }
static Value minimum(ScalarOps &o, Value x, Value y) { return o.min(x, y); }
static Value truncatedRemainder(ScalarOps &o, Value x, Value y) {
  return o.rem(x, y);
}

/// The remainder with the divisor's sign, as Python has it.
static Value remainder(ScalarOps &o, Value x, Value y) {
  Value rest = o.rem(x, y);
  if (o.element.isUnsigned)
    return rest;
  Value zero = o.constant(0);
  Value differs =
      arith::XOrIOp::create(o.b, o.loc, o.less(rest, zero), o.less(y, zero));
  Value isExact = o.equal(rest, zero);
  return o.select(isExact, rest, o.select(differs, o.add(rest, y), rest));
}

static Value floorDivide(ScalarOps &o, Value x, Value y) {
  if (o.element.isFloat())
    return o.floor(o.div(x, y));
  if (o.element.isUnsigned)
    return o.div(x, y);
  return arith::FloorDivSIOp::create(o.b, o.loc, x, y);
}

static Value truncateDivide(ScalarOps &o, Value x, Value y) {
  if (!o.element.isFloat())
    return o.div(x, y);
  return math::TruncOp::create(o.b, o.loc, o.div(x, y));
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static LogicalResult combine(NodeContext &ctx, Tensor x, Tensor y,
                             BinaryFn function, FoldFn fold) {
  if (Tensor folded = foldElements(ctx.b, x, y, fold, x->element))
    return ctx.setResult(folded);
  return ctx.setResult(mapElements(ctx.b, x, y, function));
}

template <BinaryFn function, FoldFn fold>
static LogicalResult importBinary(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  return combine(ctx, ctx.getOperandAs("self", type),
                 ctx.getOperandAs("other", type), function, fold);
}

/// self + alpha * other, or the operands exchanged.
template <BinaryFn function, FoldFn fold, bool swaps = false>
static LogicalResult importSum(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  Tensor x = ctx.getOperandAs("self", type);
  Tensor y = ctx.getOperandAs("other", type);
  if (swaps)
    std::swap(x, y);
  if (ctx.has("alpha") && ctx.getDouble("alpha", 1) != 1) {
    FailureOr<Tensor> scaled =
        mapElements(ctx.b, y, ctx.getOperandAs("alpha", type), mul);
    if (failed(scaled))
      return failure();
    y = *scaled;
  }
  return combine(ctx, x, y, function, fold);
}

static LogicalResult importDivMode(NodeContext &ctx) {
  std::string mode = ctx.getString("rounding_mode", "");
  if (mode == "floor")
    return importBinary<floorDivide, fold::nothing>(ctx);
  if (mode == "trunc")
    return importBinary<truncateDivide, fold::div>(ctx);
  return importBinary<div, fold::nothing>(ctx);
}

static LogicalResult importPow(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  StringRef base = "self";
  if (!type.isFloat()) {
    // Small powers of integers are products.
    int64_t exponent = ctx.getInt("exponent");
    if (exponent != 2)
      return ctx.error() << "expected an exponent of 2 for integers, but got "
                         << exponent;
    Tensor x = ctx.getOperandAs(base, type);
    return combine(ctx, x, x, mul, fold::mul);
  }
  return ctx.setResult(mapElements(
      ctx.b, ctx.getOperandAs(base, type), ctx.getOperandAs("exponent", type),
      [](ScalarOps &o, Value x, Value y) {
        return math::PowFOp::create(o.b, o.loc, x, y).getResult();
      }));
}

//===----------------------------------------------------------------------===//
// Comparison
//===----------------------------------------------------------------------===//

namespace {
/// An operand of a promotion. Numbers and scalars are weak: they count only
/// where they are of a higher category.
struct Operand {
  ElementType element;
  bool isWeak;

  int getCategory() const {
    return element.isFloat() ? 2 : element.isInteger() ? 1 : 0;
  }
};
} // namespace

static ElementType promote(OpBuilder &b, Operand x, Operand y) {
  if (x.isWeak != y.isWeak && x.getCategory() != y.getCategory()) {
    Operand weak = x.isWeak ? x : y, strong = x.isWeak ? y : x;
    return weak.getCategory() > strong.getCategory() ? weak.element
                                                     : strong.element;
  }
  if (x.isWeak != y.isWeak)
    return x.isWeak ? y.element : x.element;
  if (x.getCategory() != y.getCategory())
    return x.getCategory() > y.getCategory() ? x.element : y.element;
  unsigned xBits = x.element.type.getIntOrFloatBitWidth();
  unsigned yBits = y.element.type.getIntOrFloatBitWidth();
  if (xBits != yBits || x.element == y.element)
    return xBits >= yBits ? x.element : y.element;
  if (x.element.isFloat())
    return {b.getF32Type()};
  return {b.getIntegerType(std::min(2 * xBits, 64u))};
}

/// The two operands in the element type that PyTorch compares them in.
static std::pair<Tensor, Tensor> getPromoted(NodeContext &ctx, StringRef left,
                                             StringRef right) {
  OpBuilder &b = ctx.b.getBuilder();
  auto describe = [&](StringRef name) -> Operand {
    if (ctx.isNumber(name)) {
      Tensor number = ctx.getOperand(name, {b.getF64Type()});
      bool isInteger = ctx.b.getIntegerScalar(number).has_value();
      return {{isInteger ? Type(b.getI64Type()) : Type(b.getF32Type())}, true};
    }
    Tensor tensor = ctx.getOperand(name, {b.getF32Type()});
    return {tensor->element, tensor->getRank() == 0};
  };
  ElementType type = promote(b, describe(left), describe(right));
  return {ctx.getOperandAs(left, type), ctx.getOperandAs(right, type)};
}

template <BinaryFn function, FoldFn fold>
static LogicalResult importComparison(NodeContext &ctx) {
  auto [x, y] = getPromoted(ctx, "self", "other");
  ElementType element = x->element, truth{ctx.b.getBuilder().getI1Type()};
  if (Tensor folded = foldElements(ctx.b, x, y, fold, truth))
    return ctx.setResult(folded);
  return ctx.setResult(ctx.b.elementwise(
      truth, {x, y}, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        return function(o, args[0], args[1]);
      }));
}

static Value equal(ScalarOps &o, Value x, Value y) { return o.equal(x, y); }
static Value differ(ScalarOps &o, Value x, Value y) {
  if (o.element.isFloat())
    return arith::CmpFOp::create(o.b, o.loc, arith::CmpFPredicate::UNE, x, y);
  return arith::CmpIOp::create(o.b, o.loc, arith::CmpIPredicate::ne, x, y);
}
static Value less(ScalarOps &o, Value x, Value y) { return o.less(x, y); }
static Value lessOrEqual(ScalarOps &o, Value x, Value y) {
  return o.lessOrEqual(x, y);
}
static Value greater(ScalarOps &o, Value x, Value y) { return o.greater(x, y); }
static Value greaterOrEqual(ScalarOps &o, Value x, Value y) {
  return o.greaterOrEqual(x, y);
}

//===----------------------------------------------------------------------===//
// Logic
//===----------------------------------------------------------------------===//

template <typename Op>
static Value apply(ScalarOps &o, Value x, Value y) {
  return Op::create(o.b, o.loc, x, y);
}

/// On truth values, whatever the operands are.
template <BinaryFn function>
static LogicalResult importLogical(NodeContext &ctx) {
  ElementType truth{ctx.b.getBuilder().getI1Type()};
  return combine(ctx, ctx.getOperandAs("self", truth),
                 ctx.getOperandAs("other", truth), function, fold::nothing);
}

static Value shiftLeft(ScalarOps &o, Value x, Value y) {
  return o.shiftLeft(x, y);
}
static Value shiftRight(ScalarOps &o, Value x, Value y) {
  return o.shiftRight(x, y);
}

template <BinaryFn function>
static LogicalResult importBitwise(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  if (type.isFloat())
    return ctx.error() << "expected integers, but got " << getNumPyName(type);
  return combine(ctx, ctx.getOperandAs("self", type),
                 ctx.getOperandAs("other", type), function, fold::nothing);
}

static LogicalResult invert(NodeContext &ctx, Tensor input) {
  if (input->element.isFloat())
    return ctx.error() << "expected integers, but got "
                       << getNumPyName(input->element);
  return ctx.setResult(mapElements(ctx.b, input, [](ScalarOps &o, Value x) {
    Value ones = arith::ConstantOp::create(
        o.b, o.loc, o.b.getIntegerAttr(o.element.type, -1));
    return arith::XOrIOp::create(o.b, o.loc, x, ones).getResult();
  }));
}

static LogicalResult importBitwiseNot(NodeContext &ctx) {
  return invert(ctx, ctx.getTensor("self"));
}
static LogicalResult importLogicalNot(NodeContext &ctx) {
  ElementType truth{ctx.b.getBuilder().getI1Type()};
  return invert(ctx, ctx.getOperandAs("self", truth));
}

//===----------------------------------------------------------------------===//
// Where, MaskedFill, Clamp
//===----------------------------------------------------------------------===//

static LogicalResult select(NodeContext &ctx, Tensor condition, Tensor yes,
                            Tensor no) {
  ElementType truth{ctx.b.getBuilder().getI1Type()};
  return ctx.setResult(ctx.b.elementwise(
      yes->element, {ctx.b.castElements(condition, truth), yes, no},
      [](OpBuilder &b, Location loc, ValueRange args) {
        return arith::SelectOp::create(b, loc, args[0], args[1], args[2])
            .getResult();
      }));
}

static LogicalResult importWhere(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  return select(ctx, ctx.getTensor("condition"), ctx.getOperandAs("self", type),
                ctx.getOperandAs("other", type));
}

static LogicalResult importMaskedFill(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  return select(ctx, ctx.getTensor("mask"), ctx.getOperandAs("value", type),
                ctx.getOperandAs("self", type));
}

/// maximum with the lower bound, then minimum with the upper one.
static LogicalResult importClamp(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  bool hasLow = ctx.has("min"), hasHigh = ctx.has("max");
  SmallVector<Tensor> operands = {ctx.getOperandAs("self", type)};
  if (hasLow)
    operands.push_back(ctx.getOperandAs("min", type));
  if (hasHigh)
    operands.push_back(ctx.getOperandAs("max", type));
  return ctx.setResult(ctx.b.elementwise(
      type, operands, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, type);
        Value result = args[0];
        if (hasLow)
          result = o.max(result, args[1]);
        if (hasHigh)
          result = o.min(result, args.back());
        return result;
      }));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

ArrayRef<HandlerRow> pt2::getElementwiseHandlers() {
  static const HandlerRow rows[] = {
      {"aten.__and__.Scalar", "self", importBitwise<apply<arith::AndIOp>>},
      {"aten.__and__.Tensor", "self", importBitwise<apply<arith::AndIOp>>},
      {"aten.__lshift__.Scalar", "self", importBitwise<shiftLeft>},
      {"aten.__lshift__.Tensor", "self", importBitwise<shiftLeft>},
      {"aten.__or__.Tensor", "self", importBitwise<apply<arith::OrIOp>>},
      {"aten.__rshift__.Scalar", "self", importBitwise<shiftRight>},
      {"aten.__rshift__.Tensor", "self", importBitwise<shiftRight>},
      {"aten.__xor__.Tensor", "self", importBitwise<apply<arith::XOrIOp>>},
      {"aten.add.Scalar", "self", importSum<add, fold::add>},
      {"aten.add.Tensor", "self", importSum<add, fold::add>},
      {"aten.bitwise_and.Scalar", "self", importBitwise<apply<arith::AndIOp>>},
      {"aten.bitwise_and.Tensor", "self", importBitwise<apply<arith::AndIOp>>},
      {"aten.bitwise_left_shift.Tensor", "self", importBitwise<shiftLeft>},
      {"aten.bitwise_left_shift.Tensor_Scalar", "self",
       importBitwise<shiftLeft>},
      {"aten.bitwise_not.default", "self", importBitwiseNot},
      {"aten.bitwise_or.Scalar", "self", importBitwise<apply<arith::OrIOp>>},
      {"aten.bitwise_or.Tensor", "self", importBitwise<apply<arith::OrIOp>>},
      {"aten.bitwise_right_shift.Tensor", "self", importBitwise<shiftRight>},
      {"aten.bitwise_right_shift.Tensor_Scalar", "self",
       importBitwise<shiftRight>},
      {"aten.bitwise_xor.Scalar", "self", importBitwise<apply<arith::XOrIOp>>},
      {"aten.bitwise_xor.Tensor", "self", importBitwise<apply<arith::XOrIOp>>},
      {"aten.clamp.Tensor", "self", importClamp},
      {"aten.clamp.default", "self", importClamp},
      {"aten.clamp_max.Tensor", "self", importClamp},
      {"aten.clamp_max.default", "self", importClamp},
      {"aten.clamp_min.Tensor", "self", importClamp},
      {"aten.clamp_min.default", "self", importClamp},
      {"aten.clip.default", "self", importClamp},
      {"aten.div.Scalar", "self", importBinary<div, fold::nothing>},
      {"aten.div.Scalar_mode", "self", importDivMode},
      {"aten.div.Tensor", "self", importBinary<div, fold::nothing>},
      {"aten.div.Tensor_mode", "self", importDivMode},
      {"aten.eq.Scalar", "self", importComparison<equal, fold::equal>},
      {"aten.eq.Tensor", "self", importComparison<equal, fold::equal>},
      {"aten.floor_divide.default", "self",
       importBinary<floorDivide, fold::nothing>},
      {"aten.fmod.Scalar", "self", importBinary<truncatedRemainder, fold::mod>},
      {"aten.fmod.Tensor", "self", importBinary<truncatedRemainder, fold::mod>},
      {"aten.ge.Scalar", "self",
       importComparison<greaterOrEqual, fold::nothing>},
      {"aten.ge.Tensor", "self",
       importComparison<greaterOrEqual, fold::nothing>},
      {"aten.gt.Scalar", "self", importComparison<greater, fold::greater>},
      {"aten.gt.Tensor", "self", importComparison<greater, fold::greater>},
      {"aten.le.Scalar", "self", importComparison<lessOrEqual, fold::nothing>},
      {"aten.le.Tensor", "self", importComparison<lessOrEqual, fold::nothing>},
      {"aten.logical_and.default", "self other",
       importLogical<apply<arith::AndIOp>>},
      {"aten.logical_not.default", "self", importLogicalNot},
      {"aten.logical_or.default", "self other",
       importLogical<apply<arith::OrIOp>>},
      {"aten.logical_xor.default", "self other",
       importLogical<apply<arith::XOrIOp>>},
      {"aten.lt.Scalar", "self", importComparison<less, fold::less>},
      {"aten.lt.Tensor", "self", importComparison<less, fold::less>},
      {"aten.masked_fill.Scalar", "self mask", importMaskedFill},
      {"aten.masked_fill.Tensor", "self mask value", importMaskedFill},
      {"aten.maximum.default", "self other", importBinary<maximum, fold::max>},
      {"aten.minimum.default", "self other", importBinary<minimum, fold::min>},
      {"aten.mul.Scalar", "self", importBinary<mul, fold::mul>},
      {"aten.mul.Tensor", "self", importBinary<mul, fold::mul>},
      {"aten.ne.Scalar", "self", importComparison<differ, fold::nothing>},
      {"aten.ne.Tensor", "self", importComparison<differ, fold::nothing>},
      {"aten.pow.Scalar", "exponent", importPow},
      {"aten.pow.Tensor_Scalar", "self", importPow,
       "integers: exponent 2 only"},
      {"aten.pow.Tensor_Tensor", "self exponent", importPow,
       "floating point only"},
      {"aten.remainder.Scalar", "self", importBinary<remainder, fold::mod>},
      {"aten.remainder.Tensor", "self", importBinary<remainder, fold::mod>},
      {"aten.rsub.Scalar", "self", importSum<sub, fold::sub, true>},
      {"aten.rsub.Tensor", "self", importSum<sub, fold::sub, true>},
      {"aten.sub.Scalar", "self", importSum<sub, fold::sub>},
      {"aten.sub.Tensor", "self", importSum<sub, fold::sub>},
      {"aten.where.Scalar", "condition", importWhere},
      {"aten.where.ScalarOther", "condition self", importWhere},
      {"aten.where.ScalarSelf", "condition other", importWhere},
      {"aten.where.self", "condition self other", importWhere},
  };
  return rows;
}
