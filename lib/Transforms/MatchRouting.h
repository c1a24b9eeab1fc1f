//===- MatchRouting.h - What a top-1 router is made of ----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The parts that the choice of an expert (MatchChoice.cpp) is told from.
// Matching changes nothing.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHROUTING_H
#define PQUANT_LIB_TRANSFORMS_MATCHROUTING_H

#include "MatchFFN.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace pquant {

/// The row s of `argmax(s)` over its last dimension, the first of equal ones;
/// `expr` is normalised.
std::optional<TensorExpr> matchArgMax(const TensorExpr &expr);

/// The row s of `max(s)` over its last dimension; `expr` is normalised.
std::optional<TensorExpr> matchMaximum(const TensorExpr &expr);

/// The s[.., i] of `how many elements of the row s come before element i`:
/// those that are larger, or equal and of smaller index.
std::optional<TensorExpr> matchRank(const TensorExpr &expr);

/// Finds the one router that a choice is made by.
class RouterFinder {
public:
  explicit RouterFinder(ConstantEvaluator &constants) : constants(constants) {}

  /// Whether `row` is an element of the probabilities of the router, at any
  /// position of their last dimension. The first ones asked for are taken.
  bool isProbabilities(const TensorExpr &row);
  /// The same for a router that is raised; `result` is one of its results.
  bool isRouted(const TensorExpr &result);

  const std::optional<Router> &getRouter() const { return router; }
  int64_t getExperts() const;

private:
  ConstantEvaluator &constants;
  std::optional<Router> router;
  RouteOp route;
};

/// `init` with `update` at `index` of dimension `axis`, for every row.
struct ScatterMatch {
  Value init;
  /// Scalars that depend on the variables of the loops.
  Value update, index;
  /// The variables of the loops, with the dimension that each runs over; that
  /// over one update in a row, if it is there, is 0.
  SmallVector<std::pair<Value, int64_t>> loops;
  int64_t axis;
};

/// Recognises a nest of loops that scatters one element into each row of a
/// filled tensor.
std::optional<ScatterMatch> matchScatter(mlir::scf::ForOp outer);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHROUTING_H
