//===- MatchWeightByValue.cpp - Quantised weights by their values ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// W is a constant (or evaluates to one) that holds +-s, {-s, 0, s} or k * s,
// k / S for integers k, per tensor or per row. A form is exact only when it
// rebuilds every element bit for bit. Sums of planes: MatchPlanesByValue.cpp.
//
// Exporters that fold the straight-through residue `w + (q - w)` in float leave
// values that are off by the last bits, each differently. Such a form is found
// as well, with the largest deviation, and is the caller's to accept.
//
//===----------------------------------------------------------------------===//

#include "MatchWeight.h"
#include "pquant/Support/Constants.h"
#include <cmath>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// Of a step: how far a value may lie from the grid to be near it. A folded
/// residue is off by 1e-5 at most; 64 random values are all this near with
/// probability 1e-172.
static constexpr float nearness = 1e-3f;

//===----------------------------------------------------------------------===//
// Bit for bit
//===----------------------------------------------------------------------===//

static float getLargest(ArrayRef<float> values) {
  float largest = 0;
  for (float value : values)
    if (!(std::fabs(value) <= largest))
      largest = std::fabs(value); // NaN sticks, and matches nothing
  return largest;
}

/// Whether all values are +-s, or one of +-s and 0.
static bool isTwoOrThreeValued(ArrayRef<float> values, float s,
                               int64_t &zeros) {
  for (float value : values) {
    if (value == 0)
      ++zeros;
    else if (std::fabs(value) != s)
      return false;
  }
  return true;
}

/// Whether every value is k * step (or k / step) for an integer k.
static bool isOnGrid(ArrayRef<float> values, float step, bool isDivision,
                     int8_t *integers) {
  for (auto [i, value] : llvm::enumerate(values)) {
    float k = std::nearbyint(isDivision ? value * step : value / step);
    if (!(k >= -128 && k <= 127) || (isDivision ? k / step : k * step) != value)
      return false;
    integers[i] = static_cast<int8_t>(k);
  }
  return true;
}

/// Finds the grid from the largest magnitude: it is `k` steps for some k, and
/// the step is the quotient or a neighbour of it, since one rounding lies
/// between them. Returns the dequantisation step.
static std::optional<float> findGrid(ArrayRef<float> values, int8_t *integers) {
  float largest = getLargest(values);
  if (largest == 0)
    return isOnGrid(values, 1, false, integers) ? std::optional(0.f)
                                                : std::nullopt;
  if (!std::isfinite(largest))
    return std::nullopt;
  SmallVector<int> counts{127, 128};
  for (int k = 126; k > 1; --k)
    counts.push_back(k);
  for (int k : counts)
    for (bool isDivision : {false, true}) {
      float step = isDivision ? k / largest : largest / k;
      if (!std::isnormal(step))
        continue;
      float below = std::nextafter(std::nextafter(step, 0.f), 0.f);
      for (int i = 0; i < 5; ++i) {
        if (isOnGrid(values, below, isDivision, integers))
          return isDivision ? 1 / below : below;
        below = std::nextafter(below, INFINITY);
      }
    }
  return std::nullopt;
}

/// Signs of a two- or three-valued matrix as integers.
static AsmResourceBlob getSigns(ArrayRef<float> values) {
  AsmResourceBlob blob = allocateBlob(values.size());
  for (auto [value, sign] : llvm::zip_equal(values, blob.getMutableData()))
    sign = value > 0 ? 1 : value < 0 ? -1 : 0;
  return blob;
}

/// 1 bit or ternary, with one scale for all rows or one for each.
static bool matchSigns(ArrayRef<float> values, bool isPerRow,
                       WeightMatch &match) {
  int64_t zeros = 0;
  int64_t size = isPerRow ? match.columns : values.size();
  match.scales.clear();
  for (int64_t at = 0; at < static_cast<int64_t>(values.size()); at += size) {
    ArrayRef<float> part = values.slice(at, size);
    match.scales.push_back(getLargest(part));
    if (!std::isfinite(match.scales.back()) ||
        !isTwoOrThreeValued(part, match.scales.back(), zeros))
      return false;
  }
  storeIntegers(getSigns(values), zeros, /*isBits=*/true, match);
  return true;
}

static bool matchGrid(ArrayRef<float> values, bool isPerRow,
                      WeightMatch &match) {
  int64_t size = isPerRow ? match.columns : values.size();
  AsmResourceBlob blob = allocateBlob(values.size());
  auto *integers = reinterpret_cast<int8_t *>(blob.getMutableData().data());
  match.scales.clear();
  for (int64_t at = 0; at < static_cast<int64_t>(values.size()); at += size) {
    std::optional<float> step = findGrid(values.slice(at, size), integers + at);
    if (!step)
      return false;
    match.scales.push_back(*step);
  }
  storeIntegers(std::move(blob), 0, /*isBits=*/false, match);
  return true;
}

//===----------------------------------------------------------------------===//
// Near a grid
//===----------------------------------------------------------------------===//

/// The integers of `values` if all lie within `nearness` of a multiple, up to
/// `limit`, of `step`.
static bool isNearGrid(ArrayRef<float> values, float step, float limit,
                       int8_t *integers) {
  for (auto [i, value] : llvm::enumerate(values)) {
    float quotient = value / step, k = std::nearbyint(quotient);
    if (!(std::fabs(quotient - k) <= nearness && std::fabs(k) <= limit))
      return false;
    integers[i] = static_cast<int8_t>(k);
  }
  return true;
}

/// The step that fits best, in the sense of least squares; raises `deviation`
/// to the largest distance from the grid, in steps.
static float fitStep(ArrayRef<float> values, ArrayRef<int8_t> integers,
                     float &deviation) {
  double product = 0, square = 0;
  for (auto [value, k] : llvm::zip_equal(values, integers)) {
    product += static_cast<double>(value) * k;
    square += static_cast<double>(k) * k;
  }
  float step = product / square;
  for (auto [value, k] : llvm::zip_equal(values, integers))
    deviation = std::max(deviation, std::fabs(value / step - k));
  return step;
}

/// Signs for counts of {1}, INT8 for those up to 127; per tensor or per row.
static bool matchNear(ArrayRef<float> values, bool isPerRow, bool isBits,
                      WeightMatch &match) {
  int64_t size = isPerRow ? match.columns : values.size();
  AsmResourceBlob blob = allocateBlob(values.size());
  auto *integers = reinterpret_cast<int8_t *>(blob.getMutableData().data());
  match.scales.clear();
  match.deviation = 0;
  for (int64_t at = 0; at < static_cast<int64_t>(values.size()); at += size) {
    ArrayRef<float> part = values.slice(at, size);
    float largest = getLargest(part);
    if (!std::isnormal(largest))
      return false;
    int count = isBits ? 1 : 127;
    while (count && !isNearGrid(part, largest / count, count, integers + at))
      count = isBits ? 0 : count - 1;
    if (count == 0)
      return false;
    match.scales.push_back(
        fitStep(part, ArrayRef(integers + at, size), match.deviation));
  }
  int64_t zeros = llvm::count(ArrayRef(integers, values.size()), 0);
  storeIntegers(std::move(blob), zeros, isBits, match);
  return true;
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

std::optional<WeightMatch>
pquant::matchWeightByValue(ConstantEvaluator &evaluator, const TensorExpr &expr,
                           int64_t rows, int64_t columns) {
  auto strides = getMatrixStrides(expr, rows, columns);
  if (!strides)
    return std::nullopt;
  std::vector<float> copy;
  ArrayRef<float> values;
  FailureOr<ConstantBuffer> buffer = evaluator.materialize(expr.value);
  if (failed(buffer))
    return std::nullopt;
  bool isRowMajor =
      expr.dims.size() == 2 && expr.dims.back() != 0 && expr.dims.front() != 1;
  auto address = reinterpret_cast<uintptr_t>(buffer->bytes.data());
  if (isRowMajor && !buffer->isSplat && address % alignof(float) == 0) {
    values = ArrayRef(reinterpret_cast<const float *>(buffer->bytes.data()),
                      rows * columns);
  } else {
    copy.resize(rows * columns);
    if (failed(forEachElement(evaluator, expr, *strides,
                              [&](int64_t at, float v) { copy[at] = v; })))
      return std::nullopt;
    values = copy;
  }
  WeightMatch match;
  match.rows = rows;
  match.columns = columns;
  for (bool isPerRow : {false, true})
    if (matchSigns(values, isPerRow, match))
      return match;
  for (bool isPerRow : {false, true})
    if (matchGrid(values, isPerRow, match))
      return match;
  for (bool isPerRow : {false, true})
    if (matchPlanesByValue(values, isPerRow, match))
      return match;
  for (bool isBits : {true, false})
    for (bool isPerRow : {false, true})
      if (matchNear(values, isPerRow, isBits, match))
        return match;
  return std::nullopt;
}
