//===- ExpandTrigonometry.cpp - Sine and cosine without a library ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// math.sin and math.cos of f32, in f64: x = n * pi/2 + r, |r| <= pi/4, with
// pi/2 in two parts so that n * pi/2 is off by less than 2^-60 n; then the
// Taylor polynomials, whose first missing terms are r^13 / 13! < 1e-11 and
// r^12 / 12! < 2e-10. Rounded to f32 the result is off by half a unit, up to
// |x| = 2^30; rotation angles are far below.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "pquant/Conversion/KernelBuilder.h"
#include "pquant/Conversion/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_EXPANDTRIGONOMETRYPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static constexpr double kTwoOverPi = 0.63661977236758134308;
static constexpr double kHalfPi = 1.57079632679489655800;
static constexpr double kHalfPiRest = 6.12323399573676603587e-17;

namespace {
/// f64 arithmetic in short.
struct Reals {
  KernelBuilder &b;
  Value constant(double value) {
    return arith::ConstantOp::create(b, b.getF64FloatAttr(value));
  }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  Value less(Value x, Value y) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y);
  }
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value sum = constant(coefficients.back());
    for (double coefficient : llvm::reverse(coefficients.drop_back()))
      sum = fma(sum, x, constant(coefficient));
    return sum;
  }
};

/// math.sin (`quarters` = 0) or math.cos (1: a quarter turn ahead).
template <typename OpTy, int quarters>
struct ExpandTurn : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!op.getType().isF32())
      return rewriter.notifyMatchFailure(op, "not of f32");
    KernelBuilder b(op.getLoc(), rewriter);
    Reals r{b};
    Value x = arith::ExtFOp::create(b, b.getF64Type(), op.getOperand());
    Value turns =
        math::RoundEvenOp::create(b, b.mul(x, r.constant(kTwoOverPi)));
    Value minus = arith::NegFOp::create(b, turns);
    Value rest = r.fma(minus, r.constant(kHalfPi), x);
    rest = r.fma(minus, r.constant(kHalfPiRest), rest);
    Value square = b.mul(rest, rest);
    Value sine =
        b.mul(rest, r.polynomial(square, {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040,
                                          1.0 / 362880, -1.0 / 39916800}));
    Value cosine = r.polynomial(
        square, {1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800});
    // The quarter turn, 0 to 3, in floats: NaN compares as none of them.
    Value ahead = b.add(turns, r.constant(quarters));
    Value whole = math::FloorOp::create(b, b.mul(ahead, r.constant(0.25)));
    Value quarter = b.sub(ahead, b.mul(whole, r.constant(4)));
    Value second = r.less(r.constant(1.5), quarter);
    Value inHalf = b.select(second, b.sub(quarter, r.constant(2)), quarter);
    Value odd = r.less(r.constant(0.5), inHalf);
    Value value = b.select(odd, cosine, sine);
    value = b.select(second, arith::NegFOp::create(b, value), value);
    rewriter.replaceOp(
        op, arith::TruncFOp::create(b, b.getF32Type(), value).getResult());
    return success();
  }
};

struct ExpandTrigonometryPass
    : pquant::impl::ExpandTrigonometryPassBase<ExpandTrigonometryPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandTurn<math::SinOp, 0>, ExpandTurn<math::CosOp, 1>>(
        &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
