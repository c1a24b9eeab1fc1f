//===- MatchRotary.h - Rotary embedding, written out -----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHROTARY_H
#define PQUANT_LIB_TRANSFORMS_MATCHROTARY_H

#include "pquant/Transforms/PointExpr.h"
#include <vector>

namespace pquant {

/// cos or sin of the angles, as arithmetic on tables: one of a table, a number,
/// and an operation on such.
struct AngleExpr {
  /// Angle i of row s is at column `offset + stride * i` of row s. All other
  /// dimensions are of size 1.
  Value table;
  int64_t offset = 0, stride = 1;
  float number = 0;
  mlir::Operation *op = nullptr;
  std::vector<AngleExpr> operands;

  /// The first table, or null.
  Value getTable() const;
};

/// Pairs (x, x') of a head's row turned: x c - x' s and x' c + x s.
struct RotaryMatch {
  /// B x H x S x D, or B x S x H x D when `row` is 1; of the result's type.
  Value input;
  AngleExpr cos, sin;
  /// The dimension that tells the rows of the tables apart.
  unsigned row = 2;
  bool interleaved = false;
};

/// Recognises rotary embedding by its result: a sum, or the concatenation of
/// both elements of the pairs.
std::optional<RotaryMatch> matchRotary(Value result);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHROTARY_H
