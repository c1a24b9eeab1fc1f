//===- MatchStacked.h - Products with one matrix of a stack -----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Linears of experts whose weights are stacked in one tensor. Matching changes
// nothing.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHSTACKED_H
#define PQUANT_LIB_TRANSFORMS_MATCHSTACKED_H

#include "MatchQuantizers.h"
#include "mlir/IR/Builders.h"

namespace pquant {

/// What stands for one matrix of a stack, for each row or each expert.
struct StackedWeight {
  /// E x .., with the matrices' dimensions behind; or its slices, gathered.
  Value tensor;
  /// The leading dimensions that slices replace by 1: those of rows, or the one
  /// of experts.
  unsigned leading;
  bool isStack;
};

/// Rewrites the arithmetic of a stacked weight, in a block of its own, to that
/// of one expert. The module stays as it is.
class ExpertSlicer {
public:
  /// More ops than a quantiser of weights has.
  static constexpr unsigned maxOps = 100;

  explicit ExpertSlicer(const StackedWeight &weight) : weight(weight) {}

  /// The matrix of an expert with leading dimensions of 1, valid until the next
  /// call; null when the weight is not made of constant stacks in a way that
  /// keeps experts apart.
  Value slice(int64_t expert);

  /// What is known after the first call: the index that matrices are gathered
  /// at, null when they are not, and how many there are.
  Value getIndex() const { return index; }
  int64_t getExperts() const { return experts; }

private:
  mlir::OpBuilder makeBuilder();
  Value rebuild(Value tensor, unsigned leading);
  Value rebuildOp(Value tensor, unsigned leading);
  Value rebuildGather(mlir::linalg::GenericOp op, unsigned leading);
  Value rebuildGeneric(mlir::linalg::GenericOp op, unsigned leading);
  Value rebuildInit(Value init, unsigned leading);
  Value rebuildReshape(Operation *op, unsigned leading);
  Value rebuildTranspose(mlir::linalg::TransposeOp op, unsigned leading);
  Value sliceConstant(Value constant);

  StackedWeight weight;
  std::unique_ptr<mlir::Block> block;
  /// By the tensor, its leading dimensions, and whether those are experts.
  llvm::DenseMap<std::pair<Value, unsigned>, Value> rebuilt;
  bool isStack = false;
  Value index;
  int64_t experts = 0, expert = 0;
};

/// `y[r.., n] = sum_k x[r.., k] * W_e(n, k)` with an e for each row.
struct StackedMatch {
  mlir::linalg::GenericOp op;
  /// The factor x as a function of the loops.
  TensorExpr activation;
  StackedWeight weight;
  /// Whether the matrices' last dimension is n.
  bool isTransposed;
  /// The loops over rows, in the order of the result, and those over n and k.
  SmallVector<unsigned> rows;
  unsigned n, k;
  /// The number of the expert: a tensor whose elements are the rows, in order;
  /// or the loop over it.
  Value index;
  std::optional<unsigned> expertLoop;
  int64_t experts;
};

/// Recognises a product whose weight is stacked: gathered for each row (by an
/// op of its own, or where the product reads it), or taken for all experts.
std::optional<StackedMatch> matchStacked(ConstantEvaluator &evaluator,
                                         mlir::linalg::GenericOp op);

/// Whether quantised rows are multiplied with something that is made of a
/// stack, in a way that `matchStacked` does not recognise.
bool looksStacked(ConstantEvaluator &evaluator, mlir::linalg::GenericOp op);

/// The matrices of all experts: INT8, each with one step, or one for each row.
struct StackedInt8 {
  int64_t rows, columns;
  mlir::AsmResourceBlob values;
  std::vector<float> scales;
  /// The largest of their deviations (WeightMatch).
  float deviation = 0;
  std::string name;
};
/// Recognises the weights of all experts.
std::optional<StackedInt8> matchStackedInt8(const StackedMatch &match,
                                            const WeightOptions &options,
                                            Mismatch &mismatch);

/// Whether the weights are computed by quantiser arithmetic, recognised or not.
bool hasStackedQuantizer(const StackedMatch &match);

/// The tensor that x is read from with k as its last dimension.
struct StackedRows {
  /// Dimension i of those that a reshape has made the only row is this less i.
  static constexpr int64_t mergedDim = -100;

  /// The other dimensions are loops over rows, or 1; or they are `merged`.
  TensorExpr tensor;
  size_t merged = 0;
};
std::optional<StackedRows> getRows(const StackedMatch &match);

/// Slices of a stack, gathered along its first dimension; the index has the
/// shape of the first loops, and perhaps dimensions of size 1 behind.
struct GatherMatch {
  Value source, index;
};
/// Recognises `source[index[i..], j, ..]` with loops i.., the first `leading`
/// ones, and j, .. behind them.
std::optional<GatherMatch> matchGather(mlir::linalg::GenericOp op,
                                       unsigned leading);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHSTACKED_H
