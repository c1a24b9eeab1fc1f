//===- PQuantDefinition.h - Writing definitions of ops ----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A small vocabulary over linalg.generic in which the definitions of pquant
// ops are written. Internal to this room.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_DEFINITION_H
#define PQUANT_DIALECTS_PQUANT_DEFINITION_H

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace pquant {

using Values = SmallVector<Value>;
using Sizes = SmallVector<OpFoldResult>;
/// What stands for the results of an op that was written out.
using Decomposed = FailureOr<Values>;

inline unsigned rankOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType()).getRank();
}

/// Builds scalar ops at one place and location.
class Scalars {
public:
  Scalars(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  /// A constant of type f32.
  Value f32(double value) {
    return mlir::arith::ConstantOp::create(
        builder, loc, builder.getF32FloatAttr(float(value)));
  }
  Value negativeInfinity() {
    return f32(-std::numeric_limits<double>::infinity());
  }
  Value index(int64_t value) {
    return mlir::arith::ConstantIndexOp::create(builder, loc, value);
  }
  /// The iteration number of loop `dim`; inside the body of a generic only.
  Value loopIndex(int64_t dim) {
    return mlir::linalg::IndexOp::create(builder, loc, dim);
  }
  /// Any op with one result that needs nothing but operands.
  template <typename OpTy, typename... Args>
  Value make(Args &&...args) {
    return OpTy::create(builder, loc, std::forward<Args>(args)...);
  }
  /// i8 to i32, exact.
  Value widen(Value i8) {
    return make<mlir::arith::ExtSIOp>(builder.getI32Type(), i8);
  }
  /// i32 to f32, rounded to nearest.
  Value toFloat(Value i32) {
    return make<mlir::arith::SIToFPOp>(builder.getF32Type(), i32);
  }
  Value mul(Value a, Value b) { return make<mlir::arith::MulFOp>(a, b); }
  Value add(Value a, Value b) { return make<mlir::arith::AddFOp>(a, b); }
  Value sub(Value a, Value b) { return make<mlir::arith::SubFOp>(a, b); }
  Value div(Value a, Value b) { return make<mlir::arith::DivFOp>(a, b); }
  Value select(Value condition, Value yes, Value no) {
    return make<mlir::arith::SelectOp>(condition, yes, no);
  }

  OpBuilder &builder;
  Location loc;
};

/// Builds whole-tensor steps of a definition at the insertion point.
class Definition {
public:
  /// The body of a step: block arguments to the values to yield.
  using Body = function_ref<Values(Scalars &, ValueRange)>;

  Definition(OpBuilder &builder, Operation *op)
      : builder(builder), loc(op->getLoc()) {}

  Scalars scalars() { return Scalars(builder, loc); }

  /// The sizes of a tensor; constants where static.
  Sizes sizesOf(Value tensor);
  /// The sizes of a tensor without its last dimension.
  Sizes rowsOf(Value tensor);

  /// A tensor with every element equal to `value`.
  Value filled(const Sizes &sizes, mlir::TypedAttr value);
  Value zeros(const Sizes &sizes, Type type) {
    return filled(sizes, builder.getZeroAttr(type));
  }

  /// An operand of a step and the loops that index it.
  struct Operand {
    Value value;
    SmallVector<mlir::AffineExpr> index;
  };

  /// One linalg.generic over `loops` loops, the last `reductions` of which are
  /// reductions. `inits` are indexed by the parallel loops, in order.
  Values generic(unsigned loops, unsigned reductions, ArrayRef<Operand> inputs,
                 ValueRange inits, Body body);

  /// A step without reductions, with one new tensor of `sizes` as result.
  Value map(const Sizes &sizes, Type type, ArrayRef<Operand> inputs, Body body);

  /// A step that reduces its last loop into one tensor.
  Value reduce(const Sizes &sizes, mlir::TypedAttr init,
               ArrayRef<Operand> inputs, Body body);

  /// Loops [0, count) as index expressions.
  SmallVector<mlir::AffineExpr> loops(unsigned count);
  /// Loop `dim`, or 0 when the tensor has one element along it.
  mlir::AffineExpr loopOrZero(unsigned dim, int64_t size);
  mlir::AffineExpr loop(unsigned dim) { return builder.getAffineDimExpr(dim); }

  OpBuilder &builder;
  Location loc;
};

/// The activation function of a feed-forward layer on a scalar.
Value buildActivation(Scalars &s, Activation activation, Value v);

/// Fails with a diagnostic when a weight is packed, so that its elements can
/// not be addressed.
LogicalResult requirePlain(Operation *op, ValueRange weights);

} // namespace pquant

#endif // PQUANT_DIALECTS_PQUANT_DEFINITION_H
