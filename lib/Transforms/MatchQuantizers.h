//===- MatchQuantizers.h - Quantiser arithmetic in float -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What raising recognises on the two sides of a linear layer. Matching changes
// nothing.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHQUANTIZERS_H
#define PQUANT_LIB_TRANSFORMS_MATCHQUANTIZERS_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/IR/AsmState.h"
#include "pquant/Transforms/ConstantEvaluator.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/TensorExpr.h"

namespace pquant {

/// Why something was not recognised.
struct Mismatch {
  std::string reason;
  /// Whether quantiser arithmetic was seen, so that the model meant to
  /// quantise.
  bool isQuantizer = false;
  /// Whether the model cannot be compiled as it is: `reason` is an error.
  bool isError = false;
};

/// The scale of the rows of an AbsMax quantiser, as the model computes it; the
/// expressions are in the space of the rows.
struct RowScale {
  Formula formula = Formula::MulRecip;
  /// The guarded maximum, and what the row is multiplied with or divided by.
  TensorExpr maximum, factor;

  /// Whether the expression is, up to one rounding, what rows are multiplied
  /// with, or its inverse.
  bool isGain(const TensorExpr &expr) const;
  bool isStep(const TensorExpr &expr) const;
};

/// An activation that is `quantizer` of the rows of `input`.
struct ActivationMatch {
  Value input;
  QuantizerAttr quantizer;
  RowScale scale;
  /// Whether the integers are multiplied with their step again.
  bool isDequantized;
};

/// Recognises `quantise(x)` and `dequantise(quantise(x))`, the latter with or
/// without the straight-through residue `x + (q - x)`.
std::optional<ActivationMatch> matchActivation(Value tensor,
                                               Mismatch &mismatch);

/// Whether rows are quantised, perhaps before a reshape that keeps them.
bool isQuantized(Value activation, Mismatch &mismatch);

/// Signs of N x K, one bit an element (Constants.h), and 1 or N scales.
struct WeightPlane {
  mlir::AsmResourceBlob bits;
  std::vector<float> scales;
};

/// A weight matrix of N x K: the sum of its planes, or integers.
struct WeightMatch {
  int64_t rows, columns;
  /// None for INT8. Ternary weights are two planes with half the scale: +1 in
  /// the first one, and +1 or 0 in the second.
  SmallVector<WeightPlane, 2> planes;
  /// INT8: one byte an element.
  mlir::AsmResourceBlob values;
  /// What is added to the rows, 1 or N numbers; empty: nothing.
  std::vector<float> offset;
  /// 1 or N steps of the integers; none for a sum of several matrices.
  std::vector<float> scales;
  /// How far the values are from the form's, in steps; 0 when it rebuilds them.
  float deviation = 0;

  bool isInt8() const { return planes.empty(); }
  /// Whether the integers are the weights.
  bool isUnscaled() const {
    return !scales.empty() &&
           llvm::all_of(scales, [](float scale) { return scale == 1; });
  }
  /// Multiplies the weights with 1 or N numbers.
  void scaleBy(ArrayRef<float> factors);
};

/// What is taken for a quantised weight.
struct WeightOptions {
  SignZero signZero = SignZero::Error;
  /// Values near a grid as well.
  bool snap = false;
};

/// Recognises a quantised weight. `weight` is the expression of element (n, k)
/// in a space of `rows` x `columns`.
std::optional<WeightMatch> matchWeight(ConstantEvaluator &evaluator,
                                       const TensorExpr &weight, int64_t rows,
                                       int64_t columns,
                                       const WeightOptions &options,
                                       Mismatch &mismatch);

/// Whether the weight is computed by quantiser arithmetic, recognised or not.
bool hasWeightQuantizer(const TensorExpr &weight);

/// A matrix product of an activation and a constant matrix.
struct LinearMatch {
  mlir::linalg::GenericOp op;
  /// .. x K.
  Value activation;
  /// Element (n, k) in the space of N x K.
  TensorExpr weight;
  int64_t rows, columns;
};

/// The two factors of a body that yields `sum + a * b`.
std::optional<std::pair<Value, Value>> matchMultiplyAdd(Block *body);
/// Whether a, b are the block's first two arguments.
bool isMultiplyAdd(Block *body);
/// Whether a sum starts from zero.
bool startsFromZero(mlir::linalg::GenericOp op);

/// Recognises `y[.., n] = sum_k x[.., k] * W(n, k)`, W of rank 2 made of
/// constants, x not; the sum starts from zero.
std::optional<LinearMatch> matchLinear(ConstantEvaluator &evaluator,
                                       mlir::linalg::GenericOp op);

/// What follows a matrix product: factors of its rows and columns.
struct OutputScale {
  /// The product, with all factors applied.
  Value result;
  /// Whether the step of the activations is one of them.
  bool hasStep = false;
  /// The others: one number, or one for each output.
  std::vector<float> factors{1};
};

/// Follows `product`, whose leading dimensions are those of the space of `step`
/// (may be null), through multiplications and divisions.
OutputScale matchOutputScale(ConstantEvaluator &evaluator, Value product,
                             const RowScale *step);

/// The numbers of a constant expression that follows no dimension but `dim`, of
/// size `count`: one, or `count` of them.
std::optional<std::vector<float>> evaluateVector(ConstantEvaluator &evaluator,
                                                 const TensorExpr &expr,
                                                 int64_t dim, int64_t count);

/// Elementwise `to * factors`, each 1 or N numbers.
void multiplyScales(std::vector<float> &to, ArrayRef<float> factors);

/// The name of the constant that a weight is made of, or "weight".
std::string getWeightName(Value tensor);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHQUANTIZERS_H
