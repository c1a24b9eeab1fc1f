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

/// An activation that is `quantizer` of the rows of `input`, dequantised.
struct ActivationMatch {
  Value input;
  QuantizerAttr quantizer;
};

/// Recognises `dequantise(quantise(x))` with or without the straight-through
/// residue `x + (q - x)`.
std::optional<ActivationMatch> matchActivation(Value tensor,
                                               Mismatch &mismatch);

/// Whether rows are quantised, perhaps before a reshape that keeps them.
bool isQuantized(Value activation, Mismatch &mismatch);

/// A weight matrix of N x K.
struct WeightMatch {
  enum class Kind { Binary, Ternary, Int8 };
  Kind kind;
  int64_t rows, columns;
  /// Binary, Ternary: one bit an element (Constants.h). Ternary: +1 in the
  /// first plane, and +1 or 0 in the second.
  mlir::AsmResourceBlob plane, secondPlane;
  /// Int8: one byte an element.
  mlir::AsmResourceBlob values;
  /// 1 or N numbers. Ternary: already halved.
  std::vector<float> scales;
  /// How far the values are from the form's, in steps; 0 when it rebuilds them.
  float deviation = 0;
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
/// Whether a sum starts from zero.
bool startsFromZero(mlir::linalg::GenericOp op);

/// Recognises `y[.., n] = sum_k x[.., k] * W(n, k)`, W of rank 2 made of
/// constants, x not; the sum starts from zero.
std::optional<LinearMatch> matchLinear(ConstantEvaluator &evaluator,
                                       mlir::linalg::GenericOp op);

/// The name of the constant that a weight is made of, or "weight".
std::string getWeightName(Value tensor);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHQUANTIZERS_H
