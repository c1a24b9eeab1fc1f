//===- QuantizeKernel.cpp - The AbsMax quantiser --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two passes over each row: the maximum of the magnitudes, then scaling,
// rounding and clamping, with the float32 operations of #pquant.quantizer in
// its order and no others. The columns that pad a row to a multiple of 64
// become 0.
//
// Rows with NaN or infinity do not trap and give the same values everywhere: a
// NaN makes the step NaN and all of the row `qmin`; an infinity makes the step
// infinite, itself `qmin` (0 * inf is NaN) and the finite values 0.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Conversion/PQKernelToVector.h"

using namespace mlir;
using namespace pquant;

namespace {
/// The kernel's operands and what both passes need.
struct QuantizeRow {
  KernelBuilder &b;
  QuantizerAttr quantizer;
  int64_t lanes;
  Value input, values, scale, sum;
  Value columns, whole, padded; ///< K, K in whole vectors, Kp

  /// Emits `body(k, mask, carried)` for [0, whole) without a mask and then for
  /// [whole, end) with the mask of the columns that exist.
  Value forColumns(Value end, Value init,
                   llvm::function_ref<Value(Value, Value, Value)> body);
  Value loadInput(Value m, Value k, Value mask);
  Value emitMaximum(Value m);
  Value emitValues(Value m, Value factor);
  Value emitRounded(Value scaled);
  /// The factor of the row's values (a divisor for `div`), and the step.
  std::pair<Value, Value> emitFactor(Value maximum);
};
} // namespace

Value QuantizeRow::forColumns(
    Value end, Value init,
    llvm::function_ref<Value(Value, Value, Value)> body) {
  Value main =
      b.forLoop(b.index(0), whole, lanes, init,
                [&](Value k, ValueRange carried) {
                  return SmallVector<Value>{body(k, Value(), carried.front())};
                })
          .front();
  return b
      .forLoop(whole, end, lanes, main,
               [&](Value k, ValueRange carried) {
                 Value mask = b.maskOfFirst(b.sub(columns, k), lanes);
                 return SmallVector<Value>{body(k, mask, carried.front())};
               })
      .front();
}

Value QuantizeRow::loadInput(Value m, Value k, Value mask) {
  VectorType type = b.vecf(lanes);
  if (!mask)
    return b.loadVector(input, {m, k}, type);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, input, ValueRange{m, k}, mask,
                                      zero);
}

/// max |x|: the magnitudes of floats, NaN above infinity, are ordered as their
/// bits are ordered as integers.
Value QuantizeRow::emitMaximum(Value m) {
  VectorType bits = b.veci(lanes, 32);
  Value magnitude = b.constant(bits, 0x7fffffff);
  Value lanesMax = forColumns(
      columns, b.constant(bits, 0), [&](Value k, Value mask, Value carried) {
        Value x = b.bitcast(loadInput(m, k, mask), bits);
        return b.max(carried, b.bitAnd(x, magnitude));
      });
  Value result =
      vector::ReductionOp::create(b, vector::CombiningKind::MAXSI, lanesMax);
  return arith::BitcastOp::create(b, b.getF32Type(), result);
}

std::pair<Value, Value> QuantizeRow::emitFactor(Value maximum) {
  Value eps = b.f32(quantizer.getEps());
  Value qmax = b.f32(float(quantizer.getQmax()));
  Value one = b.f32(1.0f);
  Value guarded;
  if (quantizer.getGuard() == Guard::Add)
    guarded = b.add(maximum, eps);
  else
    guarded = arith::MaximumFOp::create(b, maximum, eps);
  Value factor;
  switch (quantizer.getFormula()) {
  case Formula::MulRecip:
    factor = b.mul(b.div(one, guarded), qmax);
    return {factor, b.div(one, factor)};
  case Formula::MulDiv:
    factor = b.div(qmax, guarded);
    return {factor, b.div(one, factor)};
  case Formula::Div:
    factor = b.div(guarded, qmax);
    return {factor, factor};
  }
  llvm_unreachable("unknown formula");
}

/// clamp(roundeven(v)) as i32. The comparisons are written so that a NaN
/// becomes `qmin`, which also keeps it away from fptosi.
Value QuantizeRow::emitRounded(Value scaled) {
  Value low = b.splat(b.f32(float(quantizer.getQmin())), lanes);
  Value high = b.splat(b.f32(float(quantizer.getQmax())), lanes);
  Value rounded = math::RoundEvenOp::create(b, scaled);
  Value above =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, rounded, low);
  Value atLeast = b.select(above, rounded, low);
  Value below =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, atLeast, high);
  Value clamped = b.select(below, atLeast, high);
  return arith::FPToSIOp::create(b, b.veci(lanes, 32), clamped);
}

/// Writes the row's values and returns their sum.
Value QuantizeRow::emitValues(Value m, Value factor) {
  VectorType ints = b.veci(lanes, 32);
  Value factors = b.splat(factor, lanes);
  Value zero = b.constant(ints, 0);
  Value sums =
      forColumns(padded, zero, [&](Value k, Value mask, Value carried) {
        Value x = loadInput(m, k, mask);
        Value scaled = quantizer.getFormula() == Formula::Div
                           ? b.div(x, factors)
                           : b.mul(x, factors);
        Value q = emitRounded(scaled);
        if (mask)
          q = b.select(mask, q, zero);
        b.storeVector(b.truncate(q, b.veci(lanes, 8)), values, {m, k});
        return b.add(carried, q);
      });
  return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sums);
}

void pquant::emitQuantize(KernelBuilder &b, const KernelSpec &spec,
                          ValueRange args, KernelGetter) {
  int64_t lanes = std::max<int64_t>(spec.level.getVectorBits() / 32, 4);
  QuantizeRow row{b,       spec.quantizer, lanes,   args[0], args[1],
                  args[2], args[3],        Value(), Value(), Value()};
  row.columns = b.dim(row.input, 1);
  row.padded = b.dim(row.values, 1);
  row.whole = b.mul(b.div(row.columns, b.index(lanes)), lanes);
  Value grain = b.add(b.div(b.index(8192), b.add(row.columns, 1)), 1);
  b.parallel(b.dim(row.input, 0), grain, [&](Value begin, Value end) {
    b.forLoop(begin, end, 1, [&](Value m) {
      auto [factor, step] = row.emitFactor(row.emitMaximum(m));
      b.store(row.emitValues(m, factor), row.sum, m);
      b.store(step, row.scale, m);
    });
  });
}
