//===- FuseElementwise.cpp - Fewer passes over memory ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decomposes aggregate ops (softmax, concat), turns x^2 and the like into
// multiplications, transposes of one row into reshapes, and fuses chains of
// elementwise ops. A producer is fused only where the consumer reads each of
// its elements once, so that no arithmetic is repeated.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
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

/// A copy that moves dimensions of one element only is a reshape:
///   %y = linalg.generic (d0, d1, d2) -> (d1, d0, d2) on 1x32x128
/// becomes collapse_shape to 32x128, expand_shape to 32x1x128.
struct ReshapeUnitTranspose : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override;
};

/// Sizes that are constants become part of the type, so that they can become
/// part of the types around it.
struct KnowExpandedSizes : OpRewritePattern<tensor::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExpandShapeOp op,
                                PatternRewriter &rewriter) const override;
};

struct FuseElementwisePass
    : pquant::impl::FuseElementwisePassBase<FuseElementwisePass> {
  void runOnOperation() override;
};
} // namespace

/// The loops of more than one step, in the order in which `map` has them.
static SmallVector<unsigned> orderOf(AffineMap map, ArrayRef<int64_t> sizes) {
  SmallVector<unsigned> dims;
  for (AffineExpr result : map.getResults())
    if (unsigned dim = cast<AffineDimExpr>(result).getPosition();
        sizes[dim] != 1)
      dims.push_back(dim);
  return dims;
}

LogicalResult
ReshapeUnitTranspose::matchAndRewrite(linalg::GenericOp op,
                                      PatternRewriter &rewriter) const {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 1 ||
      maps.size() != 2 || !maps[0].isPermutation() ||
      !maps[1].isPermutation() || maps[0] == maps[1])
    return rewriter.notifyMatchFailure(op, "not a transpose");
  Value yielded = op.getBlock()->getTerminator()->getOperand(0);
  if (yielded != op.getRegionInputArgs().front())
    return rewriter.notifyMatchFailure(op, "not a copy");
  auto from = cast<RankedTensorType>(op.getInputs().front().getType());
  auto to = cast<RankedTensorType>(op.getResultTypes().front());
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  if (!from.hasStaticShape() || from.getEncoding() || to.getEncoding() ||
      orderOf(maps[0], sizes) != orderOf(maps[1], sizes))
    return rewriter.notifyMatchFailure(op, "elements change places");
  SmallVector<int64_t> kept;
  for (int64_t size : to.getShape())
    if (size != 1)
      kept.push_back(size);
  auto collapse = getReassociationIndicesForCollapse(from.getShape(), kept);
  auto expand = getReassociationIndicesForCollapse(to.getShape(), kept);
  if (kept.empty() || !collapse || !expand)
    return rewriter.notifyMatchFailure(op, "no reshape of it");
  Value flat = op.getInputs().front();
  if (from.getRank() != int64_t(kept.size()))
    flat = tensor::CollapseShapeOp::create(
        rewriter, op.getLoc(),
        RankedTensorType::get(kept, from.getElementType()), flat, *collapse);
  rewriter.replaceOpWithNewOp<tensor::ExpandShapeOp>(op, to, flat, *expand);
  return success();
}

LogicalResult
KnowExpandedSizes::matchAndRewrite(tensor::ExpandShapeOp op,
                                   PatternRewriter &rewriter) const {
  RankedTensorType type = op.getResultType();
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  SmallVector<int64_t> shape(type.getShape());
  for (auto [i, group] : llvm::enumerate(op.getReassociationIndices())) {
    auto isKnown = [&](int64_t dim) {
      return getConstantIntValue(sizes[dim]).value_or(-1) >= 0;
    };
    // Of a source whose size is open, one size stays so.
    if (op.getSrcType().isDynamicDim(i) && llvm::all_of(group, isKnown))
      continue;
    for (int64_t dim : llvm::make_filter_range(group, isKnown)) {
      shape[dim] = *getConstantIntValue(sizes[dim]);
      sizes[dim] = rewriter.getIndexAttr(shape[dim]);
    }
  }
  if (type.getShape() == ArrayRef(shape))
    return rewriter.notifyMatchFailure(op, "nothing more is known");
  Value result = tensor::ExpandShapeOp::create(
      rewriter, op.getLoc(),
      RankedTensorType::get(shape, type.getElementType(), type.getEncoding()),
      op.getSrc(), op.getReassociationIndices(), sizes);
  rewriter.replaceOpWithNewOp<tensor::CastOp>(op, type, result);
  return success();
}

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
  fuse.add<GeneralizeNamed, KnowExpandedSizes, ReshapeUnitTranspose>(context);
  linalg::populateElementwiseOpsFusionPatterns(fuse, readsOnce);
  populateMathAlgebraicSimplificationPatterns(fuse);
  linalg::GenericOp::getCanonicalizationPatterns(fuse, context);
  if (failed(applyPatternsGreedily(getOperation(), std::move(fuse))))
    signalPassFailure();
}
