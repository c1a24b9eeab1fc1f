//===- RaisePlanes.cpp - Sums of 1-bit linears ----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model may multiply the planes of binary-coded weights one by one and add up
// the products: one linear with all planes does the same in one pass.
//
//===----------------------------------------------------------------------===//

#include "RaisePlanes.h"
#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"
#include "pquant/Transforms/TensorExpr.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The linear whose result the expression is, all of it and nothing else's.
static BinaryLinearOp getLinear(const TensorExpr &expr, int64_t rank) {
  Value tensor = expr.asIdentityTensor(rank);
  auto linear = tensor ? tensor.getDefiningOp<BinaryLinearOp>() : nullptr;
  return linear && linear->hasOneUse() ? linear : nullptr;
}

///   %a = pquant.binary_linear %q, %s planes(%w1) scales(%s1)
///   %b = pquant.binary_linear %q, %s planes(%w2) scales(%s2)
///   addf %a, %b
///     -> pquant.binary_linear %q, %s planes(%w1, %w2) scales(%s1, %s2)
static void join(IRRewriter &rewriter, linalg::GenericOp op) {
  if (op.getNumResults() != 1 || !isElementwise(op))
    return;
  Value result = op.getResult(0);
  auto sum = matchExpr<arith::AddFOp>(TensorExpr::identity(result));
  if (!sum)
    return;
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  BinaryLinearOp a = getLinear((*sum)[0], rank), b = getLinear((*sum)[1], rank);
  if (!a || !b || a == b || a.getInput() != b.getInput() ||
      a.getInputScale() != b.getInputScale() ||
      (a.getOffset() && b.getOffset()) || a.getType() != result.getType() ||
      b.getType() != result.getType() ||
      a.getPlanes()[0].getType() != b.getPlanes()[0].getType())
    return;
  auto concat = [](ValueRange x, ValueRange y) {
    SmallVector<Value> all(x);
    llvm::append_range(all, y);
    return all;
  };
  rewriter.setInsertionPoint(op);
  Location loc = rewriter.getFusedLoc({a.getLoc(), b.getLoc()});
  auto joined =
      BinaryLinearOp::create(rewriter, loc, a.getInput(), a.getInputScale(),
                             concat(a.getPlanes(), b.getPlanes()),
                             concat(a.getScales(), b.getScales()),
                             a.getOffset() ? a.getOffset() : b.getOffset());
  rewriter.replaceOp(op, joined.getResult());
  rewriter.eraseOp(a);
  rewriter.eraseOp(b);
}

void pquant::joinPlanes(ModuleOp module) {
  IRRewriter rewriter(module.getContext());
  SmallVector<linalg::GenericOp> ops;
  module.walk([&](linalg::GenericOp op) { ops.push_back(op); });
  for (linalg::GenericOp op : ops)
    join(rewriter, op);
}
