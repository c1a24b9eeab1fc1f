//===- MatchPlanesByValue.cpp - Binary-coded weights by their values ------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters that add up s_1 B_1 + s_2 B_2 + .. + z themselves leave at most 2^P
// different numbers in a row. The smallest is z - s_1 - s_2 - .., and every
// other one lies twice the sum of some of the s above it:
//
//   v - v_0 = 2 (sum of a subset of the s)
//
// so the smallest difference that the s found so far do not explain is the next
// of them. The rounding of the exporter's sums is all that a rebuilt weight may
// be off by.
//
//===----------------------------------------------------------------------===//

#include "MatchWeight.h"
#include "pquant/Support/Constants.h"
#include <cmath>

using namespace pquant;
using namespace mlir;

static constexpr size_t maxPlanes = 4;

namespace {
/// The numbers of one part of a weight: z and the s, the largest last.
struct Code {
  float offset = 0;
  SmallVector<float, maxPlanes> scales;
};
} // namespace

/// The different numbers, ascending; none when one is not finite or there are
/// too many, which in a short row may be few: any four numbers are a code.
static SmallVector<float> getLevels(ArrayRef<float> values) {
  SmallVector<float> levels;
  for (float value : values) {
    auto *at = llvm::lower_bound(levels, value);
    if (at != levels.end() && *at == value)
      continue;
    if (!std::isfinite(value) || levels.size() == size_t(1) << maxPlanes)
      return {};
    levels.insert(at, value);
  }
  if (4 * levels.size() > values.size())
    return {};
  return levels;
}

/// The number that a code gives for a set of planes with bit 1.
static double decode(const Code &code, unsigned bits) {
  double sum = code.offset;
  for (auto [p, scale] : llvm::enumerate(code.scales))
    sum += (bits >> p & 1) ? scale : -scale;
  return sum;
}

/// The planes with bit 1 that make up `value`, or -1.
static int encode(const Code &code, float value, double tolerance) {
  for (unsigned bits = 0; bits < 1u << code.scales.size(); ++bits)
    if (std::fabs(decode(code, bits) - value) <= tolerance)
      return bits;
  return -1;
}

static std::optional<Code> findCode(ArrayRef<float> levels, double tolerance) {
  SmallVector<double> sums{0}; // of subsets of the s
  Code code;
  double total = 0;
  for (float level : levels) {
    double distance = (double(level) - levels.front()) / 2;
    if (llvm::any_of(sums, [&](double sum) {
          return std::fabs(sum - distance) <= tolerance;
        }))
      continue;
    if (code.scales.size() == maxPlanes)
      return std::nullopt;
    code.scales.push_back(distance);
    total += distance;
    for (size_t i = 0, e = sums.size(); i < e; ++i)
      sums.push_back(sums[i] + distance);
  }
  double offset = levels.front() + total;
  code.offset = std::fabs(offset) <= tolerance ? 0 : offset;
  return code;
}

/// The code of `values`, and the planes with bit 1 of each of them.
static std::optional<Code> encodeAll(ArrayRef<float> values,
                                     MutableArrayRef<char> bits) {
  SmallVector<float> levels = getLevels(values);
  if (levels.empty())
    return std::nullopt;
  // Two roundings of the largest number.
  double tolerance = std::ldexp(
      std::max(std::fabs(levels.front()), std::fabs(levels.back())), -22);
  std::optional<Code> code = findCode(levels, tolerance);
  if (!code)
    return std::nullopt;
  for (auto [value, set] : llvm::zip_equal(values, bits)) {
    int planes = encode(*code, value, tolerance);
    if (planes < 0)
      return std::nullopt;
    set = planes;
  }
  return code;
}

bool pquant::matchPlanesByValue(ArrayRef<float> values, bool isPerRow,
                                WeightMatch &match) {
  int64_t size = isPerRow ? match.columns : values.size();
  AsmResourceBlob sets = allocateBlob(values.size());
  SmallVector<Code> codes;
  size_t planes = 0;
  for (int64_t at = 0; at < static_cast<int64_t>(values.size()); at += size) {
    auto code = encodeAll(values.slice(at, size),
                          sets.getMutableData().slice(at, size));
    if (!code)
      return false;
    planes = std::max(planes, code->scales.size());
    codes.push_back(std::move(*code));
  }
  if (planes == 0)
    return false;
  for (size_t p = 0; p < planes; ++p) {
    match.scales.clear();
    for (const Code &code : codes)
      match.scales.push_back(p < code.scales.size() ? code.scales[p] : 0);
    AsmResourceBlob signs = allocateBlob(values.size());
    for (auto [set, sign] :
         llvm::zip_equal(sets.getData(), signs.getMutableData()))
      sign = (set >> p & 1) ? 1 : -1;
    storeIntegers(std::move(signs), 0, /*isBits=*/true, match);
  }
  match.scales.clear();
  if (llvm::any_of(codes, [](const Code &code) { return code.offset != 0; }))
    for (const Code &code : codes)
      match.offset.push_back(code.offset);
  return true;
}
