//===- PQuantCanonicalize.cpp - Canonicalization of pquant ops ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rewrites that are better on every target and change no result for finite
// operands, not even its rounding: terms that are zero, factors that are one,
// scales that repeat, experts among which there is no choice.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// The elements of an f32 constant, inline or in a resource; none when `value`
/// is not a constant.
static std::optional<SmallVector<float>> getConstantFloats(Value value) {
  Attribute attr;
  if (!value || !matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  if (auto dense = dyn_cast<DenseElementsAttr>(attr))
    return llvm::to_vector(dense.getValues<float>());
  if (auto resource = dyn_cast<DenseF32ResourceElementsAttr>(attr))
    if (std::optional<ArrayRef<float>> data = resource.tryGetAsArrayRef())
      return llvm::to_vector(*data);
  return std::nullopt;
}

/// Whether all elements of `value` are known to be `expected`. Looks no further
/// than the first that is not, since masks are large.
static bool isConstant(Value value, float expected) {
  auto matches = [&](float element) { return element == expected; };
  Attribute attr;
  if (!value || !matchPattern(value, m_Constant(&attr)))
    return false;
  if (auto splat = dyn_cast<SplatElementsAttr>(attr))
    return matches(splat.getSplatValue<float>());
  if (auto dense = dyn_cast<DenseElementsAttr>(attr))
    return llvm::all_of(dense.getValues<float>(), matches);
  if (auto resource = dyn_cast<DenseF32ResourceElementsAttr>(attr))
    if (std::optional<ArrayRef<float>> data = resource.tryGetAsArrayRef())
      return llvm::all_of(*data, matches);
  return false;
}

/// The constant `scale` (rows x columns) without repetition along dimension
/// `dim`, or a null value when it is no constant or does not repeat.
static Value dropRepeats(PatternRewriter &rewriter, Value scale, int64_t dim) {
  RankedTensorType type = typeOf(scale);
  int64_t size = type.getDimSize(dim);
  std::optional<SmallVector<float>> elements = getConstantFloats(scale);
  if (size == 1 || !elements)
    return {};
  // Elements before, along and after `dim`: [outer][size][inner].
  int64_t inner = 1;
  for (int64_t after : type.getShape().drop_front(dim + 1))
    inner *= after;
  SmallVector<float> kept;
  for (auto [i, element] : llvm::enumerate(*elements)) {
    int64_t position = int64_t(i) / inner % size;
    if (position == 0)
      kept.push_back(element);
    else if ((*elements)[i - position * inner] != element)
      return {};
  }
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = 1;
  auto attr = DenseElementsAttr::get(type.clone(shape), ArrayRef<float>(kept));
  return arith::ConstantOp::create(rewriter, scale.getLoc(), attr);
}

namespace {

//===----------------------------------------------------------------------===//
// BinaryLinearOp
//===----------------------------------------------------------------------===//

/// planes(%a, %b) scales(%s, %zero) -> planes(%a) scales(%s)
struct DropZeroPlanes : OpRewritePattern<BinaryLinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BinaryLinearOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<Value> planes, scales;
    for (auto [plane, scale] : llvm::zip(op.getPlanes(), op.getScales())) {
      if (isConstant(scale, 0.0f))
        continue;
      planes.push_back(plane);
      scales.push_back(scale);
    }
    if (planes.size() == op.getPlanes().size())
      return rewriter.notifyMatchFailure(op, "no plane has a zero scale");
    if (planes.empty()) {
      if (op.getPlanes().size() == 1)
        return rewriter.notifyMatchFailure(op, "the only plane stays");
      planes.push_back(op.getPlanes().front());
      scales.push_back(op.getScales().front());
    }
    rewriter.modifyOpInPlace(op, [&] {
      op.getPlanesMutable().assign(planes);
      op.getScalesMutable().assign(scales);
    });
    return success();
  }
};

/// offset(%zero) is dropped.
struct DropZeroOffset : OpRewritePattern<BinaryLinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BinaryLinearOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getOffset() || !isConstant(op.getOffset(), 0.0f))
      return rewriter.notifyMatchFailure(op, "no offset of zeros");
    rewriter.modifyOpInPlace(op, [&] { op.getOffsetMutable().clear(); });
    return success();
  }
};

/// A scale of N equal rows becomes one of 1 row: per row -> per tensor.
struct ShrinkPlaneScales : OpRewritePattern<BinaryLinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BinaryLinearOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<Value> scales(op.getScales());
    bool changed = false;
    for (Value &scale : scales)
      if (Value shrunk = dropRepeats(rewriter, scale, 0)) {
        scale = shrunk;
        changed = true;
      }
    if (!changed)
      return rewriter.notifyMatchFailure(op, "no constant scale repeats");
    rewriter.modifyOpInPlace(op, [&] { op.getScalesMutable().assign(scales); });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Int8LinearOp, ExpertLinearOp
//===----------------------------------------------------------------------===//

/// weight_scale of N equal elements becomes one of 1 element; of the matrices
/// of a stack, each by itself.
template <typename OpTy>
struct ShrinkWeightScale : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    int64_t last = typeOf(op.getWeightScale()).getRank() - 1;
    Value shrunk = dropRepeats(rewriter, op.getWeightScale(), last);
    if (!shrunk)
      return rewriter.notifyMatchFailure(op, "no constant scale repeats");
    rewriter.modifyOpInPlace(
        op, [&] { op.getWeightScaleMutable().assign(shrunk); });
    return success();
  }
};

/// A value of shape 1 x ... without its first dimension. Constants in
/// resources keep their bytes.
static Value dropUnitDim(PatternRewriter &rewriter, Value value) {
  RankedTensorType type = typeOf(value);
  RankedTensorType dropped = type.clone(type.getShape().drop_front());
  Attribute attr;
  if (matchPattern(value, m_Constant(&attr)))
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
      return arith::ConstantOp::create(
          rewriter, value.getLoc(),
          DenseResourceElementsAttr::get(dropped, resource.getRawHandle()));
  SmallVector<ReassociationIndices> groups = {{0, 1}};
  for (int64_t dim = 2; dim < type.getRank(); ++dim)
    groups.push_back({dim});
  return tensor::CollapseShapeOp::create(rewriter, value.getLoc(), dropped,
                                         value, groups);
}

/// expert_linear with one expert -> int8_linear
struct OnlyExpertToInt8Linear : OpRewritePattern<ExpertLinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ExpertLinearOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType weight = typeOf(op.getWeight());
    if (weight.getDimSize(0) != 1)
      return rewriter.notifyMatchFailure(op, "there is a choice of experts");
    if (weight.getEncoding())
      return rewriter.notifyMatchFailure(op, "the weights are packed");
    rewriter.replaceOpWithNewOp<Int8LinearOp>(
        op, op.getInput(), op.getInputScale(),
        dropUnitDim(rewriter, op.getWeight()),
        dropUnitDim(rewriter, op.getWeightScale()));
    return success();
  }
};

//===----------------------------------------------------------------------===//
// DecoupledLinearOp, DecoupledFFNOp
//===----------------------------------------------------------------------===//

/// alpha(%one) and beta(%one) are dropped.
template <typename OpTy>
struct DropUnitFactors : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    bool alpha = op.getAlpha() && isConstant(op.getAlpha(), 1.0f);
    bool beta = op.getBeta() && isConstant(op.getBeta(), 1.0f);
    if (!alpha && !beta)
      return rewriter.notifyMatchFailure(op, "no factor of one");
    rewriter.modifyOpInPlace(op, [&] {
      if (alpha)
        op.getAlphaMutable().clear();
      if (beta)
        op.getBetaMutable().clear();
    });
    return success();
  }
};

/// routed(%index, %one) with one expert is dropped.
struct DropRoutingOfOnlyExpert : OpRewritePattern<DecoupledFFNOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DecoupledFFNOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getIndex() || typeOf(op.getInt8Up()).getDimSize(0) != 1)
      return rewriter.notifyMatchFailure(op, "there is a choice of experts");
    if (!isConstant(op.getProbability(), 1.0f))
      return rewriter.notifyMatchFailure(op, "the probability is not known");
    rewriter.modifyOpInPlace(op, [&] {
      op.getIndexMutable().clear();
      op.getProbabilityMutable().clear();
    });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

/// mask(%zero) is dropped.
struct DropZeroMask : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getMask() || !isConstant(op.getMask(), 0.0f))
      return rewriter.notifyMatchFailure(op, "no mask of zeros");
    rewriter.modifyOpInPlace(op, [&] { op.getMaskMutable().clear(); });
    return success();
  }
};

} // namespace

//===----------------------------------------------------------------------===//
// Registration
//===----------------------------------------------------------------------===//

void BinaryLinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                 MLIRContext *context) {
  patterns.add<DropZeroPlanes, DropZeroOffset, ShrinkPlaneScales>(context);
}

void Int8LinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                               MLIRContext *context) {
  patterns.add<ShrinkWeightScale<Int8LinearOp>>(context);
}

void ExpertLinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                 MLIRContext *context) {
  patterns.add<OnlyExpertToInt8Linear, ShrinkWeightScale<ExpertLinearOp>>(
      context);
}

void DecoupledLinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                    MLIRContext *context) {
  patterns.add<DropUnitFactors<DecoupledLinearOp>>(context);
}

void DecoupledFFNOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                 MLIRContext *context) {
  patterns.add<DropUnitFactors<DecoupledFFNOp>, DropRoutingOfOnlyExpert>(
      context);
}

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<DropZeroMask>(context);
}
