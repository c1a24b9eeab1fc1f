//===- MatchWeight.h - What the ways to match a weight share ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHWEIGHT_H
#define PQUANT_LIB_TRANSFORMS_MATCHWEIGHT_H

#include "MatchQuantizers.h"

namespace pquant {

/// Elements between (n, k) and its neighbours in row-major order, for every
/// dimension of the tensor; no value when the tensor is not the whole matrix.
std::optional<llvm::SmallVector<int64_t>>
getMatrixStrides(const TensorExpr &expr, int64_t rows, int64_t columns);

/// Calls `store(matrixIndex, element)` for every element of the tensor.
template <typename Fn>
mlir::LogicalResult forEachElement(ConstantEvaluator &evaluator,
                                   const TensorExpr &expr,
                                   llvm::ArrayRef<int64_t> strides, Fn store) {
  llvm::ArrayRef<int64_t> shape =
      mlir::cast<mlir::RankedTensorType>(expr.value.getType()).getShape();
  int64_t inner = shape.empty() ? 1 : shape.back();
  int64_t step = strides.empty() ? 1 : strides.back();
  return evaluator.evaluate(expr.value, [&](const ConstantBlock &block) {
    for (int64_t done = 0; done < block.size;) {
      int64_t rest = block.offset + done, to = 0;
      int64_t run = std::min(block.size - done, inner - rest % inner);
      for (int64_t d = shape.size() - 1; d >= 0; --d) {
        to += rest % shape[d] * strides[d];
        rest /= shape[d];
      }
      const float *from = block.floats + done;
      for (int64_t i = 0; i < run; ++i)
        store(to + i * step, from[i]);
      done += run;
    }
  });
}

/// Turns integers of a matrix into the planes or bytes that hold them. isBits:
/// they are -1, 0 and 1, `zeros` of them 0.
void storeIntegers(mlir::AsmResourceBlob integers, int64_t zeros, bool isBits,
                   WeightMatch &match);

/// The integers of a matrix, or of several, one byte each.
struct WeightIntegers {
  mlir::AsmResourceBlob values;
  int64_t zeros = 0;
  /// The largest magnitude.
  int largest = 0;
};

/// Evaluates `expr`, whose elements are `strides` apart in the result; no value
/// when one of `count` elements is no integer in [-128, 127].
std::optional<WeightIntegers> evaluateIntegers(ConstantEvaluator &evaluator,
                                               const TensorExpr &expr,
                                               ArrayRef<int64_t> strides,
                                               int64_t count);

/// Recognises a sum of 1-bit and ternary weights, and what is added to whole
/// rows.
std::optional<WeightMatch> matchWeightSum(ConstantEvaluator &evaluator,
                                          const TensorExpr &weight,
                                          int64_t rows, int64_t columns,
                                          const WeightOptions &options,
                                          Mismatch &mismatch);

/// Recognises a sum of planes and an offset by its values, for all rows at once
/// or each by itself; rows, columns and nothing else of `match` are set.
bool matchPlanesByValue(ArrayRef<float> values, bool isPerRow,
                        WeightMatch &match);

/// Recognises a weight by its values, whatever made them. When no form rebuilds
/// them bit for bit, a form that does to a thousandth of its step is returned
/// with `deviation` set; it is the caller's to accept.
std::optional<WeightMatch> matchWeightByValue(ConstantEvaluator &evaluator,
                                              const TensorExpr &expr,
                                              int64_t rows, int64_t columns);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHWEIGHT_H
