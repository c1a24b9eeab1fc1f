//===- FuseElementwise.cpp - Fewer passes over memory ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decomposes aggregate ops (softmax, concat), turns x^2 and the like into
// multiplications and fuses chains of elementwise ops. A producer is fused only
// where the consumer reads each of its elements once, so that no arithmetic is
// repeated.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace pquant {
#define GEN_PASS_DEF_FUSEELEMENTWISEPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
/// linalg.softmax -> max, exp(x - max), sum, division as linalg.generic.
struct DecomposeSoftmax : OpRewritePattern<linalg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::SoftmaxOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> results = op.decomposeOperation(rewriter);
    if (failed(results))
      return rewriter.notifyMatchFailure(op, "softmax does not decompose");
    rewriter.replaceOp(op, *results);
    return success();
  }
};

/// Named elementwise ops -> linalg.generic, so that they fuse.
struct GeneralizeNamed : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (isa<linalg::GenericOp, linalg::FillOp>(op.getOperation()))
      return rewriter.notifyMatchFailure(op, "kept as it is");
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      return rewriter.notifyMatchFailure(op, "does not generalize");
    return success();
  }
};

struct FuseElementwisePass
    : pquant::impl::FuseElementwisePassBase<FuseElementwisePass> {
  void runOnOperation() override;
};
} // namespace

/// Whether the consumer of `operand` reads every element of it exactly once.
static bool readsOnce(OpOperand *operand) {
  auto consumer = dyn_cast<linalg::LinalgOp>(operand->getOwner());
  Operation *producer = operand->get().getDefiningOp();
  if (!consumer || !producer || !producer->hasOneUse())
    return false;
  return consumer.getMatchingIndexingMap(operand).isPermutation();
}

void FuseElementwisePass::runOnOperation() {
  MLIRContext *context = &getContext();
  RewritePatternSet decompose(context);
  decompose.add<DecomposeSoftmax>(context);
  tensor::populateDecomposeTensorConcatPatterns(decompose);
  if (failed(applyPatternsGreedily(getOperation(), std::move(decompose))))
    return signalPassFailure();

  RewritePatternSet fuse(context);
  fuse.add<GeneralizeNamed>(context);
  linalg::populateElementwiseOpsFusionPatterns(fuse, readsOnce);
  populateMathAlgebraicSimplificationPatterns(fuse);
  linalg::GenericOp::getCanonicalizationPatterns(fuse, context);
  if (failed(applyPatternsGreedily(getOperation(), std::move(fuse))))
    signalPassFailure();
}
