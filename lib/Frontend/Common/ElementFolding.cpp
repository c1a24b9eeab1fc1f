//===- ElementFolding.cpp - Arithmetic on shape vectors -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorOps.h"

using namespace mlir;
using namespace pquant;

std::optional<SizeExpr> fold::nothing(TensorBuilder &, const SizeExpr &,
                                      const SizeExpr &) {
  return std::nullopt;
}
std::optional<SizeExpr> fold::add(TensorBuilder &, const SizeExpr &a,
                                  const SizeExpr &b) {
  return a + b;
}
std::optional<SizeExpr> fold::sub(TensorBuilder &, const SizeExpr &a,
                                  const SizeExpr &b) {
  return a - b;
}
/// How much a polynomial holds: its terms times their atoms.
static size_t getExtent(const SizeExpr &size) {
  size_t extent = 1;
  for (const auto &[monomial, coefficient] : size.getTerms())
    extent += 1 + monomial.size();
  return extent;
}

std::optional<SizeExpr> fold::mul(TensorBuilder &, const SizeExpr &a,
                                  const SizeExpr &b) {
  // A hostile graph squares a sum again and again.
  constexpr size_t maxExtent = 256;
  if (getExtent(a) * getExtent(b) > maxExtent)
    return std::nullopt;
  return a * b;
}

std::optional<SizeExpr> fold::div(TensorBuilder &b, const SizeExpr &num,
                                  const SizeExpr &den) {
  std::optional<int64_t> divisor = den.getConstant();
  if (!divisor)
    return num.dividedExactlyBy(den);
  // ONNX rounds to zero: the same as down where nothing is negative.
  if (*divisor > 0 && b.isNonNegative(num))
    return b.divide(num, *divisor, /*up=*/false);
  if (std::optional<int64_t> number = num.getConstant())
    if (*divisor != 0 && *divisor != -1)
      return SizeExpr(*number / *divisor);
  return std::nullopt;
}
std::optional<SizeExpr> fold::mod(TensorBuilder &b, const SizeExpr &num,
                                  const SizeExpr &den) {
  std::optional<int64_t> divisor = den.getConstant();
  if (!divisor || *divisor <= 0 || !b.isNonNegative(num))
    return std::nullopt;
  return num - b.divide(num, *divisor, /*up=*/false) * SizeExpr(*divisor);
}
std::optional<SizeExpr> fold::max(TensorBuilder &b, const SizeExpr &x,
                                  const SizeExpr &y) {
  return b.maximum(x, y);
}
std::optional<SizeExpr> fold::min(TensorBuilder &b, const SizeExpr &x,
                                  const SizeExpr &y) {
  return b.minimum(x, y);
}
std::optional<SizeExpr> fold::equal(TensorBuilder &b, const SizeExpr &x,
                                    const SizeExpr &y) {
  if (x == y)
    return SizeExpr(1);
  SizeExpr one(1);
  // Constants that differ, or a size that is compared with a negative number.
  if (b.isNonNegative(x - y - one) || b.isNonNegative(y - x - one))
    return SizeExpr(0);
  return std::nullopt;
}
std::optional<SizeExpr> fold::less(TensorBuilder &b, const SizeExpr &x,
                                   const SizeExpr &y) {
  if (b.isNonNegative(y - x - SizeExpr(1)))
    return SizeExpr(1);
  if (b.isNonNegative(x - y))
    return SizeExpr(0);
  return std::nullopt;
}
std::optional<SizeExpr> fold::greater(TensorBuilder &b, const SizeExpr &x,
                                      const SizeExpr &y) {
  return less(b, y, x);
}

Tensor pquant::foldElements(TensorBuilder &b, Tensor left, Tensor right,
                            FoldFn function, ElementType result) {
  if (!left->elements || !right->elements || left->element.isFloat())
    return nullptr;
  size_t count = std::max(left->elements->size(), right->elements->size());
  SizeList elements;
  for (size_t i = 0; i < count; ++i) {
    const SizeList &l = *left->elements, &r = *right->elements;
    if ((l.size() != 1 && l.size() != count) ||
        (r.size() != 1 && r.size() != count))
      return nullptr;
    std::optional<SizeExpr> element =
        function(b, l[l.size() == 1 ? 0 : i], r[r.size() == 1 ? 0 : i]);
    if (!element)
      return nullptr;
    elements.push_back(*element);
  }
  if (count == 0)
    return nullptr;
  const TensorInfo &shape =
      left->getRank() < right->getRank() || left->elements->size() < count
          ? *right
          : *left;
  return b.makeElements(result, shape.sizes, elements);
}
