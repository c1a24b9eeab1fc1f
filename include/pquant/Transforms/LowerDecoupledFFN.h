//===- LowerDecoupledFFN.h - FFNs to linears, factors folded ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// alpha, beta and the probability of an expert are factors of a whole branch.
// Both ways to apply them cost no pass over memory: a constant is multiplied
// into the weight scale when compiling, anything else into the scale of the
// quantised activations, one number a row.
//
// The float32 product of factor and scale is rounded once more than in
// factor * (scale * acc), so a result may differ from the unfolded one in its
// last bits (relative 2^-23); the integer part does not change.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_LOWERDECOUPLEDFFN_H
#define PQUANT_TRANSFORMS_LOWERDECOUPLEDFFN_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/IR/PatternMatch.h"

namespace pquant {

/// The scales of one linear: of the rows of its quantised input, and of its
/// weight.
struct LinearScales {
  Value rows;
  SmallVector<Value> weights;
};

/// Multiplies the 0-D `factor` (null: 1) into the weight scales when both are
/// constants, otherwise into the row scale. True if into the weight scales.
bool foldFactor(OpBuilder &builder, Location loc, Value factor,
                LinearScales &scales);

/// `scale` with another static shape of as many elements.
Value reshapeScale(OpBuilder &builder, Location loc, Value scale,
                   ArrayRef<int64_t> shape);

/// Replaces a decoupled feed-forward layer by quantisers, linears and
/// elementwise ops; only the chosen expert of a routed layer is evaluated. The
/// down projections of a layer without a choice become one decoupled_linear.
void lowerDecoupledFFN(mlir::RewriterBase &rewriter, DecoupledFFNOp op);

} // namespace pquant

#endif // PQUANT_TRANSFORMS_LOWERDECOUPLEDFFN_H
