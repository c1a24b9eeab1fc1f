//===- MatchAttention.h - Attention, written out ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H
#define PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Transforms/PointExpr.h"

namespace pquant {

/// The float32 number that an element is, if it is a constant.
std::optional<float> getFloat(PointSpace &space, const PointExpr &expr);

/// A tensor of rank 4 whose dimensions, in the order of `permutation`, are
/// those that attention wants: element (i, j, k, l) is at the indices
/// `permutation` of the tensor.
struct HeadTensor {
  Value tensor;
  /// permutation[i]: the dimension of the tensor that holds dimension i.
  SmallVector<int64_t, 4> permutation;

  int64_t getNumHeads() const {
    return mlir::cast<mlir::RankedTensorType>(tensor.getType())
        .getDimSize(permutation[1]);
  }
};

/// What hides keys: a tensor of numbers that are added to the logits, or one of
/// conditions under which a key is visible, or is hidden. Its indices are among
/// the batch, the query's and the key's row, and 0.
struct MaskTensor {
  enum Kind { Added, Visible, Hidden } kind;
  PointExpr element;
  float hidden; ///< what a hidden logit becomes
};

/// softmax(scale * Q K^T + mask) V.
struct AttentionMatch {
  /// The product with V, B x H x S x E or B H x S x E, or a pquant.attention.
  mlir::Operation *root = nullptr;
  HeadTensor query, key, value;
  float scale = 1;
  bool causal = false;
  /// A mask that is not made of positions.
  std::optional<MaskTensor> mask;
};

/// The walk from a softmax up to Q, K and the mask, and down to V; or the same
/// from the operands of a pquant.attention.
class AttentionMatcher {
public:
  /// `reason` says what is in the way. Keys and values are not followed to
  /// tensors of fewer heads than `fewestHeads`.
  AttentionMatcher(mlir::MLIRContext *context, std::string &reason,
                   int64_t fewestHeads = 1)
      : space(context), reason(reason), fewestHeads(fewestHeads) {}

  /// Attention written out around a softmax that is B x H x S x T.
  std::optional<AttentionMatch> matchSoftmax(mlir::linalg::SoftmaxOp op);
  /// The tensors behind the views and repetitions of an operation's operands,
  /// and its mask when it is not made of positions.
  std::optional<AttentionMatch> matchOp(AttentionOp op);

  /// Whether the masks of `op` are t <= s + `position`, where that is the
  /// number of keys before the first query (null: T - S).
  bool isCausalFrom(AttentionOp op, Value position);

private:
  /// The dimensions of the space.
  enum : unsigned { batch, head, queryRow, keyRow };
  /// What hides a logit is at most this; exporters use -inf, the lowest float32
  /// and -1e9. exp(l - max) is 0 for either.
  static constexpr float hidden = -1e8f;

  bool matchLogits(PointExpr expr);
  bool matchScaled(const PointExpr &logits, float factor);
  bool matchSum(const PointExpr &logits, const PointExpr &mask);
  bool matchMask(const PointExpr &expr);
  bool matchVisible(const PointExpr &condition, bool negate, float hidden);
  bool matchScaledProduct(const PointExpr &expr);
  bool hasOneQuery() const;
  bool isCausal(mlir::AffineExpr before);
  void startFrom(AttentionOp op);
  bool matchMasks();
  std::optional<PointExpr> findMaskTensor(PointExpr element);
  bool isHeadIndex(mlir::AffineExpr index, int64_t size, bool isRepeated) const;
  std::optional<HeadTensor> asHeads(const PointExpr &expr, bool isRepeated,
                                    unsigned row, unsigned column,
                                    bool isSliced);
  std::optional<HeadTensor> matchHeads(PointExpr expr, bool isRepeated,
                                       unsigned row, unsigned column);
  mlir::linalg::GenericOp findProduct();
  bool isHiddenRow(const PointExpr &condition);
  bool isProbability(const PointExpr &expr);
  bool matchValue();
  int64_t getUnequalHeads() const;
  void simplifyMask(AttentionOp op);
  bool fail(const mlir::Twine &message) {
    reason = message.str();
    return false;
  }

  PointSpace space;
  std::string &reason;
  int64_t fewestHeads;
  mlir::linalg::SoftmaxOp softmax;
  AttentionMatch result;
  SmallVector<MaskTensor, 2> masks;
  /// All e >= 0 where a key is visible, if the masks are made of positions.
  SmallVector<mlir::AffineExpr> conditions;
  bool isPositional = true;
};

/// Whether each query of `op` sees the keys up to its own, which `position`
/// keys come before (null: as many as there are more keys than queries).
bool seesWhatIsBefore(AttentionOp op, Value position);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H
