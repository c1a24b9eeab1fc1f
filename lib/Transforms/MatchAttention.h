//===- MatchAttention.h - Attention, written out ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H
#define PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H

#include "pquant/Transforms/PointExpr.h"

namespace pquant {

/// A tensor of rank 4 whose dimensions, in the order of `permutation`, are
/// those that attention wants: element (i, j, k, l) is at the indices
/// `permutation` of the tensor.
struct HeadTensor {
  Value tensor;
  /// permutation[i]: the dimension of the tensor that holds dimension i.
  SmallVector<int64_t, 4> permutation;
};

/// softmax(scale * Q K^T + mask) V.
struct AttentionMatch {
  /// The product with V: B x H x S x E, or B H x S x E.
  mlir::linalg::GenericOp product;
  HeadTensor query, key, value;
  float scale;
  bool causal;
  /// An added mask that is no causal one, S x T or B x 1 x S x T; may be null.
  Value mask;
};

/// Recognises attention by its softmax, which is B x H x S x T; `reason` says
/// what is in the way.
std::optional<AttentionMatch> matchAttention(mlir::linalg::SoftmaxOp softmax,
                                             std::string &reason);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHATTENTION_H
