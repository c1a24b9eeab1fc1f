//===- ScalarOps.h - Arithmetic on one element ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The op of arith or math that fits the element type, for the bodies of
// structured ops.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_SCALAROPS_H
#define PQUANT_FRONTEND_SCALAROPS_H

#include "pquant/Frontend/TensorBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace pquant {

class ScalarOps {
public:
  using Value = mlir::Value;

  ScalarOps(mlir::OpBuilder &builder, mlir::Location location,
            ElementType elementType)
      : b(builder), loc(location), element(elementType) {}

  /// A number of the element type.
  Value constant(double number) {
    if (element.isFloat())
      return mlir::arith::ConstantOp::create(
          b, loc, b.getFloatAttr(element.type, number));
    return mlir::arith::ConstantOp::create(
        b, loc, b.getIntegerAttr(element.type, static_cast<int64_t>(number)));
  }

  /// Arithmetic, for floats, signed and unsigned integers.
  Value add(Value x, Value y) {
    return pick<mlir::arith::AddFOp, mlir::arith::AddIOp>(x, y);
  }
  Value sub(Value x, Value y) {
    return pick<mlir::arith::SubFOp, mlir::arith::SubIOp>(x, y);
  }
  Value mul(Value x, Value y) {
    return pick<mlir::arith::MulFOp, mlir::arith::MulIOp>(x, y);
  }
  Value div(Value x, Value y) {
    return pick<mlir::arith::DivFOp, mlir::arith::DivSIOp,
                mlir::arith::DivUIOp>(x, y);
  }
  Value rem(Value x, Value y) {
    return pick<mlir::arith::RemFOp, mlir::arith::RemSIOp,
                mlir::arith::RemUIOp>(x, y);
  }
  Value max(Value x, Value y) {
    return pick<mlir::arith::MaximumFOp, mlir::arith::MaxSIOp,
                mlir::arith::MaxUIOp>(x, y);
  }
  Value min(Value x, Value y) {
    return pick<mlir::arith::MinimumFOp, mlir::arith::MinSIOp,
                mlir::arith::MinUIOp>(x, y);
  }
  Value neg(Value x) {
    if (element.isFloat())
      return mlir::arith::NegFOp::create(b, loc, x);
    return sub(constant(0), x);
  }
  Value abs(Value x) {
    if (element.isFloat())
      return mlir::math::AbsFOp::create(b, loc, x);
    return element.isUnsigned ? x : mlir::math::AbsIOp::create(b, loc, x);
  }

  /// Shifts of integers; all bits are gone when `y` is the width or more.
  Value shiftLeft(Value x, Value y) {
    return shift<mlir::arith::ShLIOp>(x, y, constant(0));
  }
  Value shiftRight(Value x, Value y) {
    if (element.isUnsigned)
      return shift<mlir::arith::ShRUIOp>(x, y, constant(0));
    Value most = constant(element.type.getIntOrFloatBitWidth() - 1);
    Value sign = mlir::arith::ShRSIOp::create(b, loc, x, most);
    return shift<mlir::arith::ShRSIOp>(x, y, sign);
  }

  /// Ordered comparisons.
  Value equal(Value x, Value y) {
    return compare(mlir::arith::CmpFPredicate::OEQ,
                   mlir::arith::CmpIPredicate::eq,
                   mlir::arith::CmpIPredicate::eq, x, y);
  }
  Value less(Value x, Value y) {
    return compare(mlir::arith::CmpFPredicate::OLT,
                   mlir::arith::CmpIPredicate::slt,
                   mlir::arith::CmpIPredicate::ult, x, y);
  }
  Value lessOrEqual(Value x, Value y) {
    return compare(mlir::arith::CmpFPredicate::OLE,
                   mlir::arith::CmpIPredicate::sle,
                   mlir::arith::CmpIPredicate::ule, x, y);
  }
  Value greater(Value x, Value y) {
    return compare(mlir::arith::CmpFPredicate::OGT,
                   mlir::arith::CmpIPredicate::sgt,
                   mlir::arith::CmpIPredicate::ugt, x, y);
  }
  Value greaterOrEqual(Value x, Value y) {
    return compare(mlir::arith::CmpFPredicate::OGE,
                   mlir::arith::CmpIPredicate::sge,
                   mlir::arith::CmpIPredicate::uge, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return mlir::arith::SelectOp::create(b, loc, condition, x, y);
  }

  /// Float functions.
  Value exp(Value x) { return mlir::math::ExpOp::create(b, loc, x); }
  Value expm1(Value x) { return mlir::math::ExpM1Op::create(b, loc, x); }
  Value log(Value x) { return mlir::math::LogOp::create(b, loc, x); }
  Value log1p(Value x) { return mlir::math::Log1pOp::create(b, loc, x); }
  Value sqrt(Value x) { return mlir::math::SqrtOp::create(b, loc, x); }
  Value sin(Value x) { return mlir::math::SinOp::create(b, loc, x); }
  Value cos(Value x) { return mlir::math::CosOp::create(b, loc, x); }
  Value tan(Value x) { return mlir::math::TanOp::create(b, loc, x); }
  Value tanh(Value x) { return mlir::math::TanhOp::create(b, loc, x); }
  Value erf(Value x) { return mlir::math::ErfOp::create(b, loc, x); }
  Value floor(Value x) { return mlir::math::FloorOp::create(b, loc, x); }
  Value ceil(Value x) { return mlir::math::CeilOp::create(b, loc, x); }
  Value roundEven(Value x) {
    return mlir::math::RoundEvenOp::create(b, loc, x);
  }

  mlir::OpBuilder &b;
  mlir::Location loc;
  ElementType element;

private:
  template <typename FloatOp, typename SignedOp, typename UnsignedOp = SignedOp>
  Value pick(Value x, Value y) {
    if (element.isFloat())
      return FloatOp::create(b, loc, x, y);
    if (element.isUnsigned)
      return UnsignedOp::create(b, loc, x, y);
    return SignedOp::create(b, loc, x, y);
  }

  template <typename Op>
  Value shift(Value x, Value y, Value beyond) {
    Value width = constant(element.type.getIntOrFloatBitWidth());
    Value isWithin = mlir::arith::CmpIOp::create(
        b, loc, mlir::arith::CmpIPredicate::ult, y, width);
    return select(isWithin, Op::create(b, loc, x, y), beyond);
  }

  Value compare(mlir::arith::CmpFPredicate ordered,
                mlir::arith::CmpIPredicate isSigned,
                mlir::arith::CmpIPredicate isUnsigned, Value x, Value y) {
    if (element.isFloat())
      return mlir::arith::CmpFOp::create(b, loc, ordered, x, y);
    bool asUnsigned = element.isUnsigned || element.isBool();
    return mlir::arith::CmpIOp::create(
        b, loc, asUnsigned ? isUnsigned : isSigned, x, y);
  }
};

} // namespace pquant

#endif // PQUANT_FRONTEND_SCALAROPS_H
