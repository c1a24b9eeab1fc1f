//===- MatchWeightSum.cpp - Binary-coded weights --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   W = s_1 B_1 + s_2 B_2 + .. + z     terms added and subtracted one by one
//   W = sum over p of s[p, n] B[p, n, k]   stacked in one tensor
//
// The B hold signs (or -1, 0 and 1: two planes each), s and z are one number
// or one for each row.
//
//===----------------------------------------------------------------------===//

#include "MatchWeight.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "pquant/Support/Constants.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// With more planes than that, INT8 is as good.
static constexpr size_t maxPlanes = 8;

//===----------------------------------------------------------------------===//
// Term by term
//===----------------------------------------------------------------------===//

namespace {
struct Term {
  TensorExpr expr;
  bool isNegative;
};
} // namespace

static void collectTerms(const TensorExpr &expr, bool isNegative,
                         SmallVectorImpl<Term> &terms) {
  if (terms.size() > maxPlanes)
    return;
  auto sum = matchExpr<arith::AddFOp>(expr);
  auto difference = matchExpr<arith::SubFOp>(expr);
  if (!sum && !difference) {
    terms.push_back({expr, isNegative});
    return;
  }
  auto &operands = sum ? *sum : *difference;
  collectTerms(operands[0], isNegative, terms);
  collectTerms(operands[1], isNegative != difference.has_value(), terms);
}

/// Adds one number, or one for each row, to those of an offset.
static void addOffset(ArrayRef<float> values, std::vector<float> &offset) {
  if (offset.size() < values.size())
    offset.resize(values.size(), offset.empty() ? 0 : offset.front());
  for (size_t i = 0; i < offset.size() && !values.empty(); ++i)
    offset[i] += values[values.size() == 1 ? 0 : i];
}

/// Adds what is the same along whole rows to the weight's offset.
static bool addRows(ConstantEvaluator &evaluator, const Term &term,
                    WeightMatch &match) {
  auto values = evaluateVector(evaluator, term.expr, 0, match.rows);
  if (!values)
    return false;
  if (term.isNegative)
    multiplyScales(*values, {-1});
  addOffset(*values, match.offset);
  return true;
}

//===----------------------------------------------------------------------===//
// Stacked
//===----------------------------------------------------------------------===//

namespace {
/// The factors of `sum over p of scale * signs`.
struct Stack {
  TensorExpr signs, scales;
  int64_t planes;
};
} // namespace

static std::optional<Stack> matchStack(const TensorExpr &weight) {
  std::optional<TensorExpr> element = matchSumReduction(weight);
  std::optional<Stack> stack;
  if (element)
    matchCommutative<arith::MulFOp>(*element, [&](auto &a, auto &b) {
      auto signs = a.asTensor(), scales = b.asTensor();
      if (!signs || !scales || !a.normalized().dependsOn(1) ||
          b.normalized().dependsOn(1))
        return false;
      auto shape = cast<RankedTensorType>(signs->value.getType()).getShape();
      auto reduced = llvm::find(signs->dims, TensorExpr::reducedDim);
      if (reduced == signs->dims.end())
        return false;
      stack = Stack{*signs, *scales, shape[reduced - signs->dims.begin()]};
      return true;
    });
  return stack;
}

/// Elements between neighbours along each dimension of `expr` where planes of
/// rows x columns lie one after the other; no value when there are not as many.
static std::optional<SmallVector<int64_t>>
getStackStrides(const TensorExpr &expr, int64_t planes, int64_t rows,
                int64_t columns) {
  auto type = cast<RankedTensorType>(expr.value.getType());
  if (!type.hasStaticShape() ||
      type.getNumElements() != planes * rows * columns)
    return std::nullopt;
  SmallVector<int64_t> strides;
  for (int64_t dim : expr.dims)
    strides.push_back(dim == TensorExpr::reducedDim ? rows * columns
                      : dim == 0                    ? columns
                      : dim == 1                    ? 1
                                                    : 0);
  return strides;
}

static std::optional<WeightMatch> matchStacked(ConstantEvaluator &evaluator,
                                               const Stack &stack, int64_t rows,
                                               int64_t columns) {
  if (stack.planes < 1 || stack.planes > static_cast<int64_t>(maxPlanes))
    return std::nullopt;
  auto strides = getStackStrides(stack.signs, stack.planes, rows, columns);
  // One number a plane, or one for each of its rows.
  int64_t scaleRows = llvm::is_contained(stack.scales.dims, 0) ? rows : 1;
  auto scaleStrides = getStackStrides(stack.scales, stack.planes, scaleRows, 1);
  if (!strides || !scaleStrides)
    return std::nullopt;
  std::vector<float> scales(stack.planes * scaleRows);
  auto integers = evaluateIntegers(evaluator, stack.signs, *strides,
                                   stack.planes * rows * columns);
  if (!integers || integers->largest != 1 || integers->zeros ||
      failed(forEachElement(evaluator, stack.scales, *scaleStrides,
                            [&](int64_t at, float v) { scales[at] = v; })))
    return std::nullopt;
  WeightMatch match;
  match.rows = rows;
  match.columns = columns;
  for (int64_t p = 0; p < stack.planes; ++p) {
    AsmResourceBlob plane = allocateBlob(rows * columns);
    llvm::copy(
        integers->values.getData().slice(p * rows * columns, rows * columns),
        plane.getMutableData().begin());
    match.scales.assign(scales.begin() + p * scaleRows,
                        scales.begin() + (p + 1) * scaleRows);
    storeIntegers(std::move(plane), 0, /*isBits=*/true, match);
  }
  match.scales.clear();
  return match;
}

std::optional<WeightMatch> pquant::matchWeightSum(ConstantEvaluator &evaluator,
                                                  const TensorExpr &weight,
                                                  int64_t rows, int64_t columns,
                                                  const WeightOptions &options,
                                                  Mismatch &mismatch) {
  if (std::optional<Stack> stack = matchStack(weight))
    return matchStacked(evaluator, *stack, rows, columns);
  SmallVector<Term> terms;
  collectTerms(weight, false, terms);
  if (terms.size() < 2 || terms.size() > maxPlanes)
    return std::nullopt;
  WeightMatch match;
  match.rows = rows;
  match.columns = columns;
  for (const Term &term : terms) {
    if (!term.expr.normalized().dependsOn(1)) {
      if (!addRows(evaluator, term, match))
        return std::nullopt;
      continue;
    }
    std::optional<TensorExpr> tensor = term.expr.asTensor();
    if (!tensor)
      return std::nullopt;
    Mismatch inner;
    auto plane = matchWeight(evaluator, *tensor, rows, columns, options, inner);
    if (inner.isError)
      mismatch = inner;
    if (!plane || plane->isInt8() || plane->deviation > 0)
      return std::nullopt;
    if (term.isNegative)
      plane->scaleBy({-1});
    addOffset(plane->offset, match.offset);
    llvm::move(plane->planes, std::back_inserter(match.planes));
  }
  return match.planes.empty() ? std::nullopt : std::optional(std::move(match));
}
