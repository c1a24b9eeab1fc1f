//===- LinearRaiser.h - Linears to pquant ops -------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of `--pquant-raise` that runs first, one product after the other.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_LINEARRAISER_H
#define PQUANT_LIB_TRANSFORMS_LINEARRAISER_H

#include "MatchStacked.h"
#include "mlir/IR/PatternMatch.h"

namespace pquant {

/// Says that weights were not those of their grid.
void emitSnapRemark(Operation *op, float deviation);

/// Raises the linears of one module.
class LinearRaiser {
public:
  LinearRaiser(mlir::MLIRContext *context, const WeightOptions &options)
      : rewriter(context), options(options) {}

  /// Fails after an error was emitted.
  LogicalResult raise(mlir::linalg::GenericOp op);

private:
  /// The INT8 rows and their steps.
  struct Quantized {
    Value values, scale;
  };
  /// A quantised activation, and the reshapes that follow, the first one last.
  struct Source {
    ActivationMatch match;
    SmallVector<Operation *, 2> reshapes;
  };
  std::optional<Source> findSource(Value activation);
  Quantized getQuantized(const ActivationMatch &match, Location loc);
  Quantized getReshaped(const Source &source, Location loc);
  Value getUnitSteps(Value steps, Location loc);
  Value createLinear(Location loc, const Quantized &input, WeightMatch weight,
                     StringRef name);
  void replace(mlir::linalg::GenericOp op, const Source &source,
               WeightMatch weight, const OutputScale &output, StringRef name);
  LogicalResult raiseLinear(ConstantEvaluator &evaluator,
                            const LinearMatch &linear);
  Value makeConstant(Location loc, mlir::ElementsAttr attr);

  //===--- Stacked weights (RaiseStacked.cpp) -----------------------------===//
  LogicalResult raiseStacked(const StackedMatch &match);
  Value makeIndex(const StackedMatch &match);

  mlir::IRRewriter rewriter;
  WeightOptions options;
  /// One quantisation for all linears that read the same rows.
  llvm::DenseMap<std::pair<Value, Attribute>, QuantizeOp> quantizations;
  llvm::DenseMap<std::pair<Value, Operation *>, Quantized> reshaped;
  llvm::DenseMap<Value, Value> unitSteps;
  /// One index for all linears that gather by the same.
  llvm::DenseMap<std::pair<Value, int64_t>, Value> indices;
};

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_LINEARRAISER_H
