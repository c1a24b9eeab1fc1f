//===- RaiseSummary.h - Which linears are quantised ------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `--pquant-raise` tells its user, computed from the IR so that a driver
// can ask for it at any time between raising and packing.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_RAISESUMMARY_H
#define PQUANT_TRANSFORMS_RAISESUMMARY_H

#include "pquant/Support/LLVM.h"

namespace pquant {

/// A linear layer that stays in float.
struct FloatLinear {
  /// The name in its location, e.g. that of the ONNX node.
  std::string name;
  /// Why, as a clause: "activations are not quantised".
  std::string reason;
  Location loc;
  /// Whether the model quantises its weight or its activation, so that floating
  /// point is not what its author wanted.
  bool isQuantizedInModel;
};

/// Counts over a module.
struct RaiseSummary {
  unsigned binary = 0;  ///< linears with one plane of 1-bit weights
  unsigned ternary = 0; ///< with two planes of one scale
  unsigned coded = 0;   ///< with several planes otherwise
  unsigned int8 = 0;    ///< linears with INT8 weights, every expert counted
  SmallVector<FloatLinear> floats;

  unsigned getRaised() const { return binary + ternary + coded + int8; }
  /// "20 of 21 linears raised (14 1-bit, 6 INT8), 1 left in float".
  std::string getHeadline() const;
};

/// Looks at all linears of a raised module: products of an activation and a
/// constant matrix, and the `pquant` ops that stand for some.
RaiseSummary summarizeRaising(ModuleOp module);

/// The name in a location: that of the innermost NameLoc, or "file:line:col".
std::string getLocationName(Location loc);

} // namespace pquant

#endif // PQUANT_TRANSFORMS_RAISESUMMARY_H
