//===- RaiseDecoder.cpp - Recognise the units of a decoder ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// RMS norm becomes `pquant.rms_norm`, attention `pquant.attention` on the
// tensors that are behind its views, so that repeated keys, masks and reshapes
// fall away, and rotary embedding `pquant.rotary_embedding` with tables of
// half the width.
//
//===----------------------------------------------------------------------===//

#include "MatchAttention.h"
#include "MatchNorm.h"
#include "MatchRotary.h"
#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/IR/IRMapping.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/RaiseSummary.h"

namespace pquant {
#define GEN_PASS_DEF_RAISEDECODERPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace pquant;
using namespace mlir;

/// The tensor in the order that attention wants.
static Value createHeads(OpBuilder &builder, Location loc,
                         const HeadTensor &heads) {
  if (llvm::is_sorted(heads.permutation))
    return heads.tensor;
  auto type = cast<RankedTensorType>(heads.tensor.getType());
  SmallVector<OpFoldResult> sizes;
  for (int64_t dim : heads.permutation)
    sizes.push_back(tensor::getMixedSize(builder, loc, heads.tensor, dim));
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  return linalg::TransposeOp::create(builder, loc, heads.tensor, empty,
                                     heads.permutation)
      .getResults()[0];
}

/// A mask as numbers that are added, B x 1 x S x T; null when there is none.
static Value createMask(OpBuilder &builder, Location loc,
                        const AttentionMatch &match, Value query, Value key) {
  if (!match.mask)
    return Value();
  const MaskTensor &mask = *match.mask;
  AffineExpr zero = builder.getAffineConstantExpr(0);
  SmallVector<AffineExpr> all;
  for (unsigned i = 0; i < 4; ++i)
    all.push_back(builder.getAffineDimExpr(i));
  ArrayRef<AffineExpr> at = mask.element.at;
  auto isOne = [&](int64_t dim) {
    return cast<ShapedType>(mask.element.value.getType()).getDimSize(dim) == 1;
  };
  bool isWhole =
      at == ArrayRef<AffineExpr>{all[2], all[3]} ||
      (at.drop_front() == ArrayRef<AffineExpr>{zero, all[2], all[3]} &&
       isOne(1) && (at[0] == all[0] || (at[0] == zero && isOne(0))));
  if (mask.kind == MaskTensor::Added && isWhole)
    return mask.element.value;

  SmallVector<OpFoldResult> sizes = {
      tensor::getMixedSize(builder, loc, query, 0), builder.getIndexAttr(1),
      tensor::getMixedSize(builder, loc, query, 2),
      tensor::getMixedSize(builder, loc, key, 2)};
  if (!llvm::is_contained(at, all[0]))
    sizes[0] = builder.getIndexAttr(1);
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  AffineMap maps[] = {AffineMap::get(4, 0, at, builder.getContext()),
                      builder.getMultiDimIdentityMap(4)};
  SmallVector<utils::IteratorType> loops(4, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), mask.element.value, empty, maps,
             loops,
             [&](OpBuilder &b, Location l, ValueRange args) {
               Value number = args[0];
               if (mask.kind != MaskTensor::Added) {
                 Value none =
                     arith::ConstantOp::create(b, l, b.getF32FloatAttr(0));
                 Value hidden = arith::ConstantOp::create(
                     b, l, b.getF32FloatAttr(mask.hidden));
                 bool isVisible = mask.kind == MaskTensor::Visible;
                 number = arith::SelectOp::create(b, l, args[0],
                                                  isVisible ? none : hidden,
                                                  isVisible ? hidden : none);
               }
               linalg::YieldOp::create(b, l, number);
             })
      .getResult(0);
}

/// softmax(scale Q K^T + mask) V -> pquant.attention
static void rewriteAttention(IRRewriter &rewriter,
                             const AttentionMatch &match) {
  Location loc = match.root->getLoc();
  rewriter.setInsertionPoint(match.root);
  Value query = createHeads(rewriter, loc, match.query);
  Value key = createHeads(rewriter, loc, match.key);
  Value value = createHeads(rewriter, loc, match.value);
  Value result =
      AttentionOp::create(rewriter, loc, query, key, value,
                          createMask(rewriter, loc, match, query, key),
                          rewriter.getF32FloatAttr(match.scale),
                          match.causal ? rewriter.getUnitAttr() : UnitAttr());
  auto type = cast<RankedTensorType>(match.root->getResult(0).getType());
  if (type.getRank() == 3) {
    SmallVector<ReassociationIndices> merged{{0, 1}, {2}, {3}};
    result = tensor::CollapseShapeOp::create(rewriter, loc, result, merged);
  }
  if (result.getType() != type)
    result = tensor::CastOp::create(rewriter, loc, type, result);
  rewriter.replaceOp(match.root, result);
}

/// Attention that a frontend wrote: repeated keys and values, and a mask made
/// of positions, fall away.
static void simplifyAttentions(ModuleOp module) {
  SmallVector<AttentionOp> ops;
  module.walk([&](AttentionOp op) { ops.push_back(op); });
  IRRewriter rewriter(module.getContext());
  for (AttentionOp op : ops) {
    std::string reason;
    std::optional<AttentionMatch> match =
        AttentionMatcher(module.getContext(), reason).matchOp(op);
    if (match)
      rewriteAttention(rewriter, *match);
  }
}

static void raiseAttentions(ModuleOp module) {
  SmallVector<linalg::SoftmaxOp> softmaxes;
  // A router's softmax has no dimension of heads.
  module.walk([&](linalg::SoftmaxOp op) {
    if (cast<RankedTensorType>(op.getInput().getType()).getRank() == 4)
      softmaxes.push_back(op);
  });
  IRRewriter rewriter(module.getContext());
  int64_t count = 0;
  SmallVector<std::pair<Location, std::string>> others;
  for (linalg::SoftmaxOp softmax : softmaxes) {
    std::string reason;
    if (std::optional<AttentionMatch> match =
            AttentionMatcher(module.getContext(), reason)
                .matchSoftmax(softmax)) {
      rewriteAttention(rewriter, *match);
      ++count;
    } else {
      others.push_back({softmax.getLoc(), reason});
    }
  }
  if (softmaxes.empty())
    return;
  InFlightDiagnostic remark = emitRemark(module.getLoc())
                              << count << " of " << softmaxes.size()
                              << " softmaxes raised to attention";
  for (auto &[loc, reason] : others)
    remark.attachNote(loc) << getLocationName(loc) << ": " << reason;
}

/// x * (1 / sqrt(mean(x^2) + eps)) * w -> pquant.rms_norm
static void raiseNorms(ModuleOp module) {
  SmallVector<linalg::GenericOp> ops;
  module.walk([&](linalg::GenericOp op) { ops.push_back(op); });
  IRRewriter rewriter(module.getContext());
  for (linalg::GenericOp op : ops) {
    std::optional<RMSNormMatch> match = matchRMSNorm(op);
    if (!match || match->input.getType() != op.getResultTypes()[0])
      continue;
    rewriter.setInsertionPoint(op);
    rewriter.replaceOpWithNewOp<RMSNormOp>(
        op, match->input, match->weight, rewriter.getF32FloatAttr(match->eps));
  }
}

/// cos or sin in the body of an op over rows and pairs.
static Value createAngle(OpBuilder &builder, Location loc,
                         const AngleExpr &angle) {
  if (angle.op) {
    IRMapping mapping;
    for (auto [operand, value] :
         llvm::zip_equal(angle.operands, angle.op->getOperands()))
      mapping.map(value, createAngle(builder, loc, operand));
    return builder.clone(*angle.op, mapping)->getResult(0);
  }
  if (!angle.table)
    return arith::ConstantOp::create(builder, loc,
                                     builder.getF32FloatAttr(angle.number));
  auto type = cast<RankedTensorType>(angle.table.getType());
  Value row = linalg::IndexOp::create(builder, loc, 0);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  SmallVector<Value> at;
  for (int64_t size : type.getShape())
    at.push_back(size == 1 ? zero : row);
  at.back() = affine::AffineApplyOp::create(
      builder, loc,
      AffineMap::get(1, 0,
                     builder.getAffineDimExpr(0) * angle.stride + angle.offset),
      ValueRange{linalg::IndexOp::create(builder, loc, 1)});
  return tensor::ExtractOp::create(builder, loc, angle.table, at);
}

/// cos or sin as S x D/2: a table itself, or a new one that all layers share.
static Value createTable(OpBuilder &builder, Location loc,
                         const AngleExpr &angle, int64_t width) {
  Value table = angle.getTable();
  auto type = cast<RankedTensorType>(table.getType());
  if (!angle.op && type.getShape().back() == width) {
    SmallVector<ReassociationIndices> merged(2, {type.getRank() - 1});
    merged[0] = llvm::to_vector<2>(llvm::seq<int64_t>(0, type.getRank() - 1));
    return type.getRank() == 2
               ? table
               : tensor::CollapseShapeOp::create(builder, loc, table, merged);
  }
  SmallVector<OpFoldResult> sizes{builder.getIndexAttr(1),
                                  builder.getIndexAttr(width)};
  for (int64_t i = 0; i < type.getRank() - 1; ++i)
    if (type.getDimSize(i) != 1)
      sizes[0] = tensor::getMixedSize(builder, loc, table, i);
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), ValueRange(), empty,
             builder.getMultiDimIdentityMap(2), loops,
             [&](OpBuilder &b, Location l, ValueRange) {
               linalg::YieldOp::create(b, l, createAngle(b, l, angle));
             })
      .getResult(0);
}

/// x * cos + rotate(x) * sin -> pquant.rotary_embedding
static void rewriteRotary(IRRewriter &rewriter, Operation *op,
                          const RotaryMatch &match) {
  Location loc = op->getLoc();
  rewriter.setInsertionPoint(op);
  int64_t width =
      cast<RankedTensorType>(match.input.getType()).getDimSize(3) / 2;
  // Swapping heads and rows is its own inverse.
  SmallVector<int64_t, 4> order{0, match.row == 2 ? 1 : 2, match.row, 3};
  Value result = RotaryEmbeddingOp::create(
      rewriter, loc, createHeads(rewriter, loc, {match.input, order}),
      createTable(rewriter, loc, match.cos, width),
      createTable(rewriter, loc, match.sin, width),
      match.interleaved ? rewriter.getUnitAttr() : UnitAttr());
  rewriter.replaceOp(op, createHeads(rewriter, loc, {result, order}));
}

static void raiseRotaries(ModuleOp module) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<linalg::GenericOp, tensor::ConcatOp, tensor::CollapseShapeOp>(op) &&
        op->getNumResults() == 1)
      ops.push_back(op);
  });
  IRRewriter rewriter(module.getContext());
  int64_t count = 0;
  for (Operation *op : ops) {
    if (std::optional<RotaryMatch> match = matchRotary(op->getResult(0))) {
      rewriteRotary(rewriter, op, *match);
      ++count;
    }
  }
  if (count)
    emitRemark(module.getLoc())
        << count << " rotary embedding" << (count == 1 ? "" : "s") << " raised";
}

namespace {
struct RaiseDecoderPass : pquant::impl::RaiseDecoderPassBase<RaiseDecoderPass> {
  void runOnOperation() override {
    raiseNorms(getOperation());
    simplifyAttentions(getOperation());
    raiseAttentions(getOperation());
    raiseRotaries(getOperation());
  }
};
} // namespace
