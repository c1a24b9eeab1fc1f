//===- DispatchExperts.cpp - Routed FFNs to expert linears ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-dispatch-experts: every routed decoupled feed-forward layer becomes
// quantisers, linears and elementwise ops in which an INT8 linear reads only
// the matrix of the expert that the router chose for the row. The probability
// and constant factors are folded into scales (LowerDecoupledFFN.h).
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Transforms/ConstantUses.h"
#include "pquant/Transforms/LowerDecoupledFFN.h"
#include "pquant/Transforms/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_DISPATCHEXPERTSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static remark::RemarkOpts remarkName(StringRef name) {
  return remark::RemarkOpts::name(name).category("pquant-dispatch-experts");
}

static void dispatch(IRRewriter &rewriter, DecoupledFFNOp op) {
  int64_t experts =
      cast<RankedTensorType>(op.getInt8Up().getType()).getDimSize(0);
  if (!op.getIndex()) {
    remark::missed(op.getLoc(), remarkName("NotRouted"))
        << "feed-forward layer left to --pquant-fuse-branches: it has no "
           "routed index";
    return;
  }
  if (experts == 1)
    remark::passed(op.getLoc(), remarkName("OneExpert"))
        << "the only expert became INT8 linears; the probability is folded "
           "into the activation scale of the down projection";
  else
    remark::passed(op.getLoc(), remarkName("Dispatched"))
        << ("one of " + Twine(experts) +
            " experts is evaluated for each row; the probability is folded "
            "into the activation scale of the down projection")
               .str();
  lowerDecoupledFFN(rewriter, op);
}

namespace {
struct DispatchExpertsPass
    : pquant::impl::DispatchExpertsPassBase<DispatchExpertsPass> {
  void runOnOperation() override {
    SmallVector<DecoupledFFNOp> ops;
    getOperation().walk([&](DecoupledFFNOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (DecoupledFFNOp op : ops) {
      SmallVector<Value> operands(op->getOperands());
      dispatch(rewriter, op);
      releaseDeadConstants(getOperation(), operands);
    }
  }
};
} // namespace
