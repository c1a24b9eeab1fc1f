//===- MatchWeight.cpp - Quantised weights by their arithmetic ------------===//
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
// By value, where the arithmetic is gone: MatchWeightByValue.cpp.
//
//===----------------------------------------------------------------------===//

#include "MatchWeight.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

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
// Reading and storing matrices
//===----------------------------------------------------------------------===//

std::optional<SmallVector<int64_t>>
pquant::getMatrixStrides(const TensorExpr &expr, int64_t rows,
                         int64_t columns) {
  auto type = cast<RankedTensorType>(expr.value.getType());
  if (!type.hasStaticShape() || type.getNumElements() != rows * columns)
    return std::nullopt;
  SmallVector<int64_t> strides;
  for (int64_t dim : expr.dims)
    strides.push_back(dim == 0 ? columns : dim == 1 ? 1 : 0);
  return strides;
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

void pquant::storeIntegers(AsmResourceBlob integers, int64_t zeros, bool isBits,
                           WeightMatch &match) {
  if (!isBits) {
    match.values = std::move(integers);
    return;
  }
  match.planes.push_back({packPlane(integers.getData(), 0), match.scales});
  if (!zeros)
    return;
  match.planes.push_back({packPlane(integers.getData(), 1), match.scales});
  for (WeightPlane &plane : match.planes)
    for (float &scale : plane.scales)
      scale /= 2;
}

void pquant::multiplyScales(std::vector<float> &to, ArrayRef<float> factors) {
  if (to.size() < factors.size())
    to.assign(factors.size(), to.front());
  for (size_t i = 0; i < to.size(); ++i)
    to[i] *= factors[factors.size() == 1 ? 0 : i];
}

void WeightMatch::scaleBy(ArrayRef<float> factors) {
  if (!scales.empty())
    multiplyScales(scales, factors);
  if (!offset.empty())
    multiplyScales(offset, factors);
  for (WeightPlane &plane : planes)
    multiplyScales(plane.scales, factors);
}

//===----------------------------------------------------------------------===//
// By arithmetic
//===----------------------------------------------------------------------===//

/// Whether an op that `isSource` accepts feeds the expression.
static bool comesFrom(const TensorExpr &expr,
                      llvm::function_ref<bool(Operation *)> isSource,
                      unsigned depth = 8) {
  TensorExpr root = expr.normalized();
  Operation *op = root.value.getDefiningOp();
  if (!op || depth == 0 || isa<RankedTensorType>(root.value.getType()))
    return false;
  return isSource(op) || llvm::any_of(op->getOperands(), [&](Value operand) {
           return comesFrom({operand, root.dims}, isSource, depth - 1);
         });
}

static bool isRounded(const TensorExpr &expr) {
  return comesFrom(expr,
                   [](Operation *op) { return isa<math::RoundEvenOp>(op); });
}

/// Whether the integers are a grid, not signs: rounded, or stored as integers.
static bool isGrid(const TensorExpr &expr) {
  return comesFrom(expr, [](Operation *op) {
    return isa<math::RoundEvenOp>(op) ||
           (isa<arith::SIToFPOp, arith::UIToFPOp>(op) &&
            !op->getOperand(0).getType().isInteger(1));
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

std::optional<WeightIntegers>
pquant::evaluateIntegers(ConstantEvaluator &evaluator, const TensorExpr &expr,
                         ArrayRef<int64_t> strides, int64_t count) {
  WeightIntegers result{allocateBlob(count)};
  auto *to = reinterpret_cast<int8_t *>(result.values.getMutableData().data());
  bool isInteger = true;
  int low = 0, high = 0;
  auto store = [&](int64_t at, float number) {
    bool isInRange = number >= -128 && number <= 127;
    int integer = isInRange ? static_cast<int>(number) : 0;
    isInteger &= static_cast<float>(integer) == number;
    low = std::min(low, integer);
    high = std::max(high, integer);
    result.zeros += integer == 0;
    to[at] = static_cast<int8_t>(integer);
  };
  if (failed(forEachElement(evaluator, expr, strides, store)) || !isInteger)
    return std::nullopt;
  result.largest = std::max(-low, high);
  return result;
}

/// Makes the zeros of signs bits; fails when they are to be an error.
static LogicalResult replaceZeroSigns(WeightIntegers &integers,
                                      const TensorExpr &expr, SignZero signZero,
                                      Mismatch &mismatch) {
  MutableArrayRef<char> values = integers.values.getMutableData();
  if (signZero == SignZero::Error) {
    mismatch.isError = true;
    mismatch.reason = "weight '" + getWeightName(expr.value) + "' has " +
                      std::to_string(integers.zeros) + " of " +
                      std::to_string(values.size()) +
                      " signs that are zero, which 1 bit cannot hold";
    return failure();
  }
  for (char &integer : values)
    if (integer == 0)
      integer = signZero == SignZero::Plus ? 1 : -1;
  integers.zeros = 0;
  return success();
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
  auto strides = getMatrixStrides(scaled.integers, rows, columns);
  std::optional<WeightIntegers> integers;
  if (strides)
    integers =
        evaluateIntegers(evaluator, scaled.integers, *strides, rows * columns);
  if (!integers) {
    mismatch.reason = "the weights are not integers in [-128, 127] times a "
                      "scale";
    return std::nullopt;
  }
  bool isBits = integers->largest == 1;
  if (isBits && integers->zeros && !isGrid(scaled.integers) &&
      failed(replaceZeroSigns(*integers, scaled.integers, signZero, mismatch)))
    return std::nullopt;
  WeightMatch match;
  match.rows = rows;
  match.columns = columns;
  match.scales = std::move(*scales);
  storeIntegers(std::move(integers->values), integers->zeros, isBits, match);
  return match;
}

bool pquant::hasWeightQuantizer(const TensorExpr &weight) {
  std::optional<TensorExpr> inner = matchResidue(weight);
  std::optional<ScaledIntegers> scaled = matchScaled(inner ? *inner : weight);
  return scaled && (inner || isRounded(scaled->integers));
}

std::optional<WeightMatch> pquant::matchWeight(ConstantEvaluator &evaluator,
                                               const TensorExpr &weight,
                                               int64_t rows, int64_t columns,
                                               const WeightOptions &options,
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
        evaluator, *scaled, rows, columns, options.signZero, mismatch);
    if (match || mismatch.isError) {
      mismatch.isQuantizer = true;
      return match;
    }
  }
  // With the residue the values are those of no grid, by rounding.
  if (inner)
    return std::nullopt;
  std::optional<WeightMatch> sum =
      matchWeightSum(evaluator, weight, rows, columns, options, mismatch);
  if (sum || mismatch.isError)
    return sum;
  std::optional<TensorExpr> source = weight.normalized().asTensor();
  if (!source)
    source = weight;
  std::optional<WeightMatch> match =
      matchWeightByValue(evaluator, *source, rows, columns);
  mismatch.isQuantizer |= match.has_value();
  if (match && match->deviation > 0 && !options.snap) {
    mismatch.reason =
        llvm::formatv("the weights are off a quantiser's grid by up to {0:e1} "
                      "steps, as a folded straight-through residue leaves them "
                      "(--snap-weights takes them for the grid's)",
                      match->deviation)
            .str();
    return std::nullopt;
  }
  if (!match && !scaled)
    mismatch.reason = "the weights are not quantised: their values are neither "
                      "+-s, {-s, 0, s} nor integers times a scale";
  return match;
}
