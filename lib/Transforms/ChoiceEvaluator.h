//===- ChoiceEvaluator.h - Values under a choice of the router --*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values of expressions for rows whose router chose a certain expert.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_CHOICEEVALUATOR_H
#define PQUANT_LIB_TRANSFORMS_CHOICEEVALUATOR_H

#include "MatchRouting.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace pquant {

/// `number * p * base`: a number, the probability, and what is opaque; the last
/// two may be missing.
struct Chosen {
  int64_t number = 1;
  bool isWeighed = false;
  std::optional<TensorExpr> base;
  /// Whether `base` is in the space of rows as one dimension.
  bool isFlat = false;

  bool isNumber() const { return !isWeighed && !base; }
};
/// Evaluates expressions for rows whose router chose `expert`.
class ChoiceEvaluator {
public:
  using Result = std::optional<Chosen>;

  /// `reason` gets what is in the way of an evaluation.
  ChoiceEvaluator(RouterFinder &finder, std::string &reason)
      : finder(finder), reason(reason) {}

  Result evaluate(const TensorExpr &expr);
  std::optional<int64_t> getNumber(const TensorExpr &expr);

  /// The expert that the router chose.
  int64_t expert = 0;
  /// Expressions looked at so far.
  unsigned steps = 0;
  /// Whether the space is that of rows which a reshape has made one dimension:
  /// (row, k) instead of (r, s, .., k).
  bool isFlat = false;

private:
  Result evaluateRouting(const TensorExpr &root, bool &isRouting);
  Result evaluateArithmetic(Operation *op, const TensorExpr &root);
  Result evaluateCompare(mlir::arith::CmpIOp op, ArrayRef<int64_t> dims);
  Result evaluateConstant(mlir::Attribute attr, ArrayRef<int64_t> dims);
  Result evaluateExtract(mlir::tensor::ExtractOp op, ArrayRef<int64_t> dims);
  Result evaluateConcat(mlir::tensor::ConcatOp op, TensorExpr root);
  Result evaluateSlice(mlir::tensor::ExtractSliceOp op, ArrayRef<int64_t> dims);
  Result evaluateReduction(mlir::linalg::GenericOp op, const TensorExpr &root);
  Result evaluateScatter(mlir::scf::ForOp op, ArrayRef<int64_t> dims);
  Result evaluateSplit(mlir::tensor::ExpandShapeOp op, const TensorExpr &root);
  Result evaluateMerge(mlir::tensor::CollapseShapeOp op,
                       const TensorExpr &root);
  Result evaluateIf(mlir::scf::IfOp op, const TensorExpr &root);
  /// What a scalar index of a tensor access follows.
  std::optional<int64_t> getPosition(Value index, ArrayRef<int64_t> dims);
  Result fail(const llvm::Twine &why) {
    reason = why.str();
    return std::nullopt;
  }

  RouterFinder &finder;
  std::string &reason;
  /// The value so far of results of the reductions that are written out.
  llvm::DenseMap<Value, Chosen> accumulators;
  /// What the loops of a scatter follow.
  llvm::DenseMap<Value, int64_t> loops;
};

/// The product of two values, when it is one.
ChoiceEvaluator::Result multiply(const ChoiceEvaluator::Result &a,
                                 const ChoiceEvaluator::Result &b);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_CHOICEEVALUATOR_H
