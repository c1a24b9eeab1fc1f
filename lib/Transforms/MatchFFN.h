//===- MatchFFN.h - Feed-forward layers of raised linears ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the two branches of a decoupled feed-forward layer are made of. Matching
// changes nothing.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHFFN_H
#define PQUANT_LIB_TRANSFORMS_MATCHFFN_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Transforms/ConstantEvaluator.h"
#include "pquant/Transforms/TensorExpr.h"

namespace pquant {

/// `down(act(gate(q(x))) * up(q(x)))` or `down(act(up(q(x))))`, all linears of
/// one kind, each with one scale for the whole matrix.
struct FeedForward {
  bool isInt8;
  TensorExpr input;
  QuantizerAttr quantizer;
  Activation activation;
  /// `pquant.binary_linear`, `pquant.int8_linear` or `pquant.expert_linear`
  /// ops; `gate` may be null.
  Operation *gate, *up, *down;
  /// The one that is taken of stacks.
  int64_t expert = 0;
  /// Whether a reshape makes one dimension of all rows before the layer, and
  /// one takes that apart behind it: `input` is of rank 2.
  bool isFlat = false;
};

/// The expert that an index says, when it is the same for all rows.
using GetExpertFn = function_ref<std::optional<int64_t>(const TensorExpr &)>;

/// Recognises a feed-forward layer by its result; `reason` says what is in the
/// way when the result is that of a linear. Without `getExpert` linears with
/// stacked weights are none.
std::optional<FeedForward> matchFeedForward(const TensorExpr &result,
                                            std::string &reason,
                                            GetExpertFn getExpert = nullptr);

/// `argmax` and `max` of `softmax(x W)` over the experts.
struct Router {
  Value input;
  /// H x E or E x H constant, as element (e, h) in the space of E x H.
  TensorExpr weight;
  int64_t experts, width;
  mlir::linalg::SoftmaxOp probabilities;
};

/// One of E results, chosen for each row by a router and multiplied with its
/// probability.
struct RoutedChoice {
  /// The E candidates: INT8 layers.
  SmallVector<FeedForward> experts;
  Router router;
};

/// Recognises `factor * expr` as the result of one expert, whatever the form
/// (MatchChoice.cpp); `reason` says what is in the way when there is a router.
std::optional<RoutedChoice>
matchRoutedChoice(ConstantEvaluator &constants, const TensorExpr &expr,
                  const std::optional<TensorExpr> &factor, std::string &reason);

/// Whether the condition of an assertion, that something holds for all rows,
/// does so whatever experts a `pquant.route` chooses for them.
bool holdsForAllExperts(ConstantEvaluator &constants, Value condition);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHFFN_H
