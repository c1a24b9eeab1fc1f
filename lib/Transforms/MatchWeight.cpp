//===- MatchWeight.cpp - Quantised weights, by arithmetic and by value ----===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By arithmetic: `W = Q * s` or `Q / S`, perhaps inside the straight-through
// residue `w + (W - w)`, where Q evaluates to small integers and s to one
// number or one for each row. Q and s are evaluated apart, so both are exact.
//
// By value: W is a constant (or evaluates to one) that holds +-s, {-s, 0, s} or
// k * s, k / S for integers k, per tensor or per row. A form is accepted only
// when it rebuilds every element bit for bit.
//
//===----------------------------------------------------------------------===//

#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

std::string pquant::getWeightName(Value tensor) {
  llvm::SetVector<Value> seen;
  seen.insert(tensor);
  DenseResourceElementsAttr best;
  for (size_t i = 0; i < seen.size(); ++i) {
    Operation *op = seen[i].getDefiningOp();
    if (!op)
      continue;
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto attr = dyn_cast<DenseResourceElementsAttr>(constant.getValue());
      if (attr && (!best || attr.getNumElements() > best.getNumElements()))
        best = attr;
    }
    seen.insert_range(op->getOperands());
  }
  return best ? best.getRawHandle().getKey().str() : "weight";
}

//===----------------------------------------------------------------------===//
// Reading matrices
//===----------------------------------------------------------------------===//

/// Elements between (n, k) and its neighbours in row-major order, for every
/// dimension of the tensor; no value when the tensor is not the whole matrix.
static std::optional<SmallVector<int64_t>>
getMatrixStrides(const TensorExpr &expr, int64_t rows, int64_t columns) {
  auto type = cast<RankedTensorType>(expr.value.getType());
  if (!type.hasStaticShape() || type.getNumElements() != rows * columns)
    return std::nullopt;
  SmallVector<int64_t> strides;
  for (int64_t dim : expr.dims)
    strides.push_back(dim == 0 ? columns : dim == 1 ? 1 : 0);
  return strides;
}

/// Calls `store(matrixIndex, element)` for every element of the tensor.
template <typename Fn>
static LogicalResult forEachElement(ConstantEvaluator &evaluator,
                                    const TensorExpr &expr,
                                    ArrayRef<int64_t> strides, Fn store) {
  ArrayRef<int64_t> shape =
      cast<RankedTensorType>(expr.value.getType()).getShape();
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

//===----------------------------------------------------------------------===//
// By arithmetic
//===----------------------------------------------------------------------===//

/// Whether a rounding feeds the expression: its integers are a grid, not signs.
static bool isRounded(const TensorExpr &expr, unsigned depth = 8) {
  TensorExpr root = expr.normalized();
  Operation *op = root.value.getDefiningOp();
  if (!op || depth == 0 || isa<RankedTensorType>(root.value.getType()))
    return false;
  return isa<math::RoundEvenOp>(op) ||
         llvm::any_of(op->getOperands(), [&](Value operand) {
           return isRounded({operand, root.dims}, depth - 1);
         });
}

namespace {
/// W = integers * scale, or integers / scale.
struct ScaledIntegers {
  TensorExpr integers, scale;
  bool isDivision;
};
} // namespace

/// One number, or one for each row.
static bool isRowScale(const TensorExpr &expr) {
  return !expr.normalized().dependsOn(1);
}

static std::optional<ScaledIntegers> matchScaled(const TensorExpr &expr) {
  auto accept = [](const TensorExpr &a, const TensorExpr &b,
                   bool isDivision) -> std::optional<ScaledIntegers> {
    std::optional<TensorExpr> integers = a.asTensor(), scale = b.asTensor();
    if (!integers || !scale || isRowScale(a) || !isRowScale(b))
      return std::nullopt;
    return ScaledIntegers{*integers, *scale, isDivision};
  };
  if (auto quotient = matchExpr<arith::DivFOp>(expr))
    return accept((*quotient)[0], (*quotient)[1], true);
  std::optional<ScaledIntegers> result;
  matchCommutative<arith::MulFOp>(expr, [&](auto &a, auto &b) {
    result = accept(a, b, false);
    return result.has_value();
  });
  return result;
}

/// The quantised weight W of `w + (W - w)`.
static std::optional<TensorExpr> matchResidue(const TensorExpr &expr) {
  std::optional<TensorExpr> result;
  matchCommutative<arith::AddFOp>(expr, [&](auto &shadow, auto &rest) {
    auto difference = matchExpr<arith::SubFOp>(rest);
    if (!difference || !isSameExpr(shadow, (*difference)[1]))
      return false;
    result = (*difference)[0];
    return true;
  });
  return result;
}

/// The scales as steps: 1 or `rows` of them.
static std::optional<std::vector<float>>
evaluateScales(ConstantEvaluator &evaluator, const ScaledIntegers &scaled,
               int64_t rows) {
  FailureOr<std::vector<float>> values =
      evaluator.getFloats(scaled.scale.value);
  if (failed(values) ||
      (values->size() != 1 && static_cast<int64_t>(values->size()) != rows))
    return std::nullopt;
  for (float &value : *values) {
    if (scaled.isDivision)
      value = 1 / value;
    if (!std::isfinite(value))
      return std::nullopt;
  }
  return *values;
}

/// Bits of `values` that are at least `threshold`.
static AsmResourceBlob packPlane(ArrayRef<char> values, int threshold) {
  AsmResourceBlob blob = allocateBlob(llvm::divideCeil(values.size(), 8));
  auto *bits = reinterpret_cast<unsigned char *>(blob.getMutableData().data());
  auto isSet = [&](size_t i) -> unsigned {
    return static_cast<int8_t>(values[i]) >= threshold;
  };
  size_t whole = values.size() / 8;
  for (size_t byte = 0; byte < whole; ++byte) {
    unsigned packed = 0;
    for (unsigned bit = 0; bit < 8; ++bit)
      packed |= isSet(8 * byte + bit) << bit;
    bits[byte] = packed;
  }
  for (size_t i = 8 * whole; i < values.size(); ++i)
    bits[whole] |= isSet(i) << (i % 8);
  return blob;
}

/// Turns integers of a matrix into the planes or bytes that hold them.
static void storeIntegers(AsmResourceBlob integers, int64_t zeros, bool isBits,
                          WeightMatch &match) {
  if (!isBits) {
    match.kind = WeightMatch::Kind::Int8;
    match.values = std::move(integers);
    return;
  }
  match.kind = zeros ? WeightMatch::Kind::Ternary : WeightMatch::Kind::Binary;
  match.plane = packPlane(integers.getData(), 0);
  if (!zeros)
    return;
  match.secondPlane = packPlane(integers.getData(), 1);
  for (float &scale : match.scales)
    scale /= 2;
}

/// The integers of Q, one byte each; no value when there is another number.
static std::optional<AsmResourceBlob>
evaluateIntegers(ConstantEvaluator &evaluator, const TensorExpr &expr,
                 int64_t rows, int64_t columns, int64_t &zeros, int &largest) {
  auto strides = getMatrixStrides(expr, rows, columns);
  if (!strides)
    return std::nullopt;
  AsmResourceBlob blob = allocateBlob(rows * columns);
  int8_t *to = reinterpret_cast<int8_t *>(blob.getMutableData().data());
  bool isInteger = true;
  int low = 0, high = 0;
  if (failed(forEachElement(evaluator, expr, *strides,
                            [&](int64_t at, float number) {
                              bool isInRange = number >= -128 && number <= 127;
                              int integer =
                                  isInRange ? static_cast<int>(number) : 0;
                              isInteger &=
                                  static_cast<float>(integer) == number;
                              low = std::min(low, integer);
                              high = std::max(high, integer);
                              zeros += integer == 0;
                              to[at] = static_cast<int8_t>(integer);
                            })) ||
      !isInteger)
    return std::nullopt;
  largest = std::max(-low, high);
  return blob;
}

static std::optional<WeightMatch>
matchByArithmetic(ConstantEvaluator &evaluator, const ScaledIntegers &scaled,
                  int64_t rows, int64_t columns, SignZero signZero,
                  Mismatch &mismatch) {
  auto scales = evaluateScales(evaluator, scaled, rows);
  if (!scales) {
    mismatch.reason = "the scale of the weights is not a finite number, or one "
                      "for each row";
    return std::nullopt;
  }
  int64_t zeros = 0;
  int largest = 0;
  auto integers = evaluateIntegers(evaluator, scaled.integers, rows, columns,
                                   zeros, largest);
  if (!integers) {
    mismatch.reason = "the weights are not integers in [-128, 127] times a "
                      "scale";
    return std::nullopt;
  }
  bool isBits = largest == 1;
  if (isBits && zeros && !isRounded(scaled.integers)) {
    if (signZero == SignZero::Error) {
      mismatch.isError = true;
      mismatch.reason = "weight '" + getWeightName(scaled.integers.value) +
                        "' has " + std::to_string(zeros) + " of " +
                        std::to_string(rows * columns) +
                        " signs that are zero, which 1 bit cannot hold";
      return std::nullopt;
    }
    char replacement = signZero == SignZero::Plus ? 1 : -1;
    for (char &integer : integers->getMutableData())
      if (integer == 0)
        integer = replacement;
    zeros = 0;
  }
  WeightMatch match;
  match.rows = rows;
  match.columns = columns;
  match.scales = std::move(*scales);
  storeIntegers(std::move(*integers), zeros, isBits, match);
  return match;
}

bool pquant::hasWeightQuantizer(const TensorExpr &weight) {
  std::optional<TensorExpr> inner = matchResidue(weight);
  std::optional<ScaledIntegers> scaled = matchScaled(inner ? *inner : weight);
  return scaled && (inner || isRounded(scaled->integers));
}

//===----------------------------------------------------------------------===//
// By value
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

static std::optional<WeightMatch> matchByValue(ConstantEvaluator &evaluator,
                                               const TensorExpr &expr,
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
  return std::nullopt;
}

std::optional<WeightMatch> pquant::matchWeight(ConstantEvaluator &evaluator,
                                               const TensorExpr &weight,
                                               int64_t rows, int64_t columns,
                                               SignZero signZero,
                                               Mismatch &mismatch) {
  mismatch.reason = "the weights are not quantised";
  if (rows * columns == 0 || !evaluator.canEvaluate(weight.value)) {
    mismatch.reason = "the weights cannot be evaluated at compile time";
    return std::nullopt;
  }
  std::optional<TensorExpr> inner = matchResidue(weight);
  std::optional<ScaledIntegers> scaled = matchScaled(inner ? *inner : weight);
  mismatch.isQuantizer = inner && scaled;
  if (scaled) {
    std::optional<WeightMatch> match = matchByArithmetic(
        evaluator, *scaled, rows, columns, signZero, mismatch);
    if (match || mismatch.isError) {
      mismatch.isQuantizer = true;
      return match;
    }
  }
  // With the residue the values are those of no grid, by rounding.
  if (inner)
    return std::nullopt;
  std::optional<TensorExpr> source = weight.normalized().asTensor();
  if (!source)
    source = weight;
  std::optional<WeightMatch> match =
      matchByValue(evaluator, *source, rows, columns);
  mismatch.isQuantizer |= match.has_value();
  if (!match && !scaled)
    mismatch.reason = "the weights are not quantised: their values are neither "
                      "+-s, {-s, 0, s} nor integers times a scale";
  return match;
}
