//===- MatchRotary.cpp - Rotary embedding, written out --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters write a rotation as x * cos + concat(-x'', x') * sin with tables
// whose halves are equal, or as concat(x' * cos - x'' * sin, x'' * cos + x' *
// sin) with tables of half the width. Both are looked at from the two elements
// of a pair in the result: each is a sum of two products of an element of x and
// one of a table, where the points of the space are (b, h, s, i) for pair i.
//
//===----------------------------------------------------------------------===//

#include "MatchRotary.h"
#include "MatchAttention.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "pquant/Support/TensorBuilders.h"

using namespace pquant;
using namespace mlir;

namespace {
/// A product of two factors, or its negation.
struct Product {
  PointExpr factors[2];
  bool isNegative;
};

/// An element of the rotated tensor, or its negation.
struct RotatedElement {
  Value tensor;
  bool isNegative;
};

/// cos or sin of an angle, and where the walk to its tables started.
struct AngleElement {
  AngleExpr angle;
  PointExpr start;
};

/// One element of a pair: x[own] * c + x[partner] * s.
struct Turned {
  Value input;
  AngleElement cos, sin;
  bool isSinNegative;
};

/// The walk from the two elements of a pair to what they are computed from.
class RotaryMatcher {
public:
  RotaryMatcher(Value result, unsigned row, bool interleaved);
  std::optional<RotaryMatch> match();

private:
  static constexpr unsigned pair = 3;

  AffineExpr coordinate(unsigned dim) const;
  AffineExpr columnOf(bool isSecond) const;
  bool collectProducts(const PointExpr &expr, bool isNegative,
                       SmallVectorImpl<Product> &products);
  std::optional<RotatedElement> asRotated(PointExpr expr, AffineExpr column);
  std::optional<AngleExpr> asTable(const PointExpr &expr);
  std::optional<AngleExpr> findAngle(PointExpr expr);
  std::optional<Turned> matchElement(bool isSecond);
  bool isSame(PointExpr a, PointExpr b);
  bool isSameConstant(const PointExpr &a, const PointExpr &b);

  Value result;
  RankedTensorType type;
  PointSpace space;
  RotaryMatch found;
};
} // namespace

Value AngleExpr::getTable() const {
  if (table)
    return table;
  for (const AngleExpr &operand : operands)
    if (Value found = operand.getTable())
      return found;
  return Value();
}

/// A scalar operation of arithmetic.
static bool isArithmetic(Operation *op) {
  return op && op->getNumResults() == 1 && op->getNumOperands() > 0 &&
         !isa<RankedTensorType>(op->getResult(0).getType()) &&
         isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         isPure(op);
}

RotaryMatcher::RotaryMatcher(Value result, unsigned row, bool interleaved)
    : result(result), type(cast<RankedTensorType>(result.getType())),
      space(result.getContext()) {
  for (unsigned i = 0; i < pair; ++i)
    space.addDim(space.sizeOf(result, i));
  space.addDim(
      getAffineConstantExpr(type.getDimSize(pair) / 2, space.getContext()));
  found.row = row;
  found.interleaved = interleaved;
}

/// The only element of a dimension is element 0.
AffineExpr RotaryMatcher::coordinate(unsigned dim) const {
  AffineExpr zero = getAffineConstantExpr(0, space.getContext());
  return space.size(dim) == zero + 1 ? zero : space.dim(dim);
}

/// Where an element of a pair is in its row.
AffineExpr RotaryMatcher::columnOf(bool isSecond) const {
  AffineExpr i = coordinate(pair);
  if (found.interleaved)
    return space.simplify(i * 2 + isSecond);
  return isSecond ? space.simplify(i + space.size(pair)) : i;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

bool RotaryMatcher::collectProducts(const PointExpr &expr, bool isNegative,
                                    SmallVectorImpl<Product> &products) {
  PointExpr root = space.normalized(expr);
  Operation *op = root.value.getDefiningOp();
  auto operand = [&](unsigned i) {
    return PointExpr{op->getOperand(i), root.at};
  };
  if (isa_and_nonnull<arith::NegFOp>(op))
    return collectProducts(operand(0), !isNegative, products);
  if (isa_and_nonnull<arith::AddFOp, arith::SubFOp>(op))
    return collectProducts(operand(0), isNegative, products) &&
           collectProducts(operand(1), isNegative != isa<arith::SubFOp>(op),
                           products);
  if (!isa_and_nonnull<arith::MulFOp>(op) || products.size() == 2)
    return false;
  products.push_back({{operand(0), operand(1)}, isNegative});
  return true;
}

/// The tensor furthest behind `expr` that is read at (b, h, s, column) and is
/// as large as the result.
std::optional<RotatedElement> RotaryMatcher::asRotated(PointExpr expr,
                                                       AffineExpr column) {
  RotatedElement element{Value(), false};
  while (true) {
    bool isWanted =
        expr.value.getType() == type && space.simplify(expr.at[pair]) == column;
    for (unsigned i = 0; isWanted && i < pair; ++i)
      isWanted = type.getDimSize(i) == 1 ||
                 (space.simplify(expr.at[i]) == coordinate(i) &&
                  space.sizeOf(expr.value, i) == space.size(i));
    if (isWanted)
      element.tensor = expr.value;
    if (std::optional<PointExpr> next = space.lookThrough(expr)) {
      expr = std::move(*next);
      continue;
    }
    auto negation = expr.value.getDefiningOp<arith::NegFOp>();
    if (element.tensor || !negation)
      break;
    element.isNegative = !element.isNegative;
    expr.value = negation.getOperand();
  }
  return element.tensor ? std::optional(element) : std::nullopt;
}

/// Whether a tensor is a table of S rows whose columns are read in order.
std::optional<AngleExpr> RotaryMatcher::asTable(const PointExpr &expr) {
  auto table = dyn_cast<RankedTensorType>(expr.value.getType());
  if (!table || table.getRank() < 2 || !table.getElementType().isF32())
    return std::nullopt;
  int64_t last = table.getRank() - 1;
  bool hasRow = type.getDimSize(found.row) == 1;
  for (int64_t i = 0; i < last; ++i) {
    if (table.getDimSize(i) == 1)
      continue;
    if (hasRow || table.getDimSize(i) != type.getDimSize(found.row) ||
        space.simplify(expr.at[i]) != coordinate(found.row) ||
        space.sizeOf(expr.value, i) != space.size(found.row))
      return std::nullopt;
    hasRow = true;
  }
  AffineExpr zero = getAffineConstantExpr(0, space.getContext());
  AffineExpr i = space.dim(pair), column = expr.at[last];
  auto offset =
      dyn_cast<AffineConstantExpr>(space.simplify(column.replace(i, zero)));
  auto stride = dyn_cast<AffineConstantExpr>(
      space.simplify(column.replace(i, i + 1) - column));
  if (!hasRow || !offset || !stride || stride.getValue() < 1 ||
      table.isDynamicDim(last))
    return std::nullopt;
  AngleExpr angle;
  angle.table = expr.value;
  angle.offset = offset.getValue();
  angle.stride = stride.getValue();
  return angle;
}

/// The table furthest behind `expr` when it holds nothing but the angles of
/// pairs; otherwise the arithmetic behind it, as far as it is on tables.
std::optional<AngleExpr> RotaryMatcher::findAngle(PointExpr expr) {
  std::optional<AngleExpr> table;
  while (true) {
    if (std::optional<AngleExpr> next = asTable(expr))
      table = next;
    std::optional<PointExpr> next = space.lookThrough(expr);
    if (!next)
      break;
    expr = std::move(*next);
  }
  Operation *op = expr.value.getDefiningOp();
  bool isWhole =
      table &&
      cast<RankedTensorType>(table->table.getType()).getShape().back() * 2 ==
          type.getDimSize(pair);
  if (isWhole || !isArithmetic(op))
    return table;
  AngleExpr angle;
  angle.op = op;
  for (Value value : op->getOperands()) {
    PointExpr operand{value, expr.at};
    std::optional<AngleExpr> part = findAngle(operand);
    std::optional<float> number = getFloat(space, operand);
    if (number && value.getType().isF32()) {
      part.emplace();
      part->number = *number;
    }
    if (!part)
      return table;
    angle.operands.push_back(std::move(*part));
  }
  return angle;
}

std::optional<Turned> RotaryMatcher::matchElement(bool isSecond) {
  PointExpr sum{result, {}};
  for (unsigned i = 0; i < pair; ++i)
    sum.at.push_back(coordinate(i));
  sum.at.push_back(columnOf(isSecond));
  SmallVector<Product, 2> products;
  if (!collectProducts(sum, false, products) || products.size() != 2)
    return std::nullopt;
  Turned turned;
  Value partnerInput;
  for (const Product &product : products) {
    for (unsigned i : {0, 1}) {
      std::optional<AngleExpr> angle = findAngle(product.factors[1 - i]);
      if (!angle || !angle->getTable())
        continue;
      AngleElement element{*angle, product.factors[1 - i]};
      // What is rotated is read at the pair's other element behind a tensor of
      // the result's size that is read at its own.
      auto partner = asRotated(product.factors[i], columnOf(!isSecond));
      if (partner && !partnerInput) {
        partnerInput = partner->tensor;
        turned.sin = element;
        turned.isSinNegative = partner->isNegative != product.isNegative;
        break;
      }
      auto own = asRotated(product.factors[i], columnOf(isSecond));
      if (own && !turned.input && own->isNegative == product.isNegative) {
        turned.input = own->tensor;
        turned.cos = element;
        break;
      }
    }
  }
  return turned.input && turned.input == partnerInput ? std::optional(turned)
                                                      : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Equality
//===----------------------------------------------------------------------===//

/// Whether two columns of a constant hold the same numbers, for all pairs.
bool RotaryMatcher::isSameConstant(const PointExpr &a, const PointExpr &b) {
  std::optional<AngleExpr> left = asTable(a), right = asTable(b);
  std::optional<SmallVector<float>> values = readFloats(a.value);
  if (!left || !right || !values || left->stride != right->stride)
    return false;
  int64_t width = cast<RankedTensorType>(a.value.getType()).getShape().back();
  int64_t count = type.getDimSize(pair) / 2;
  for (size_t row = 0; row < values->size(); row += width)
    for (int64_t i = 0; i < count; ++i)
      if ((*values)[row + left->offset + i * left->stride] !=
          (*values)[row + right->offset + i * right->stride])
        return false;
  return true;
}

/// Whether two elements are computed by the same arithmetic from the same
/// elements.
bool RotaryMatcher::isSame(PointExpr a, PointExpr b) {
  for (PointExpr *expr : {&a, &b}) {
    *expr = space.normalized(std::move(*expr));
    for (AffineExpr &index : expr->at)
      index = space.simplify(index);
  }
  if (a.value == b.value && a.at == b.at)
    return true;
  if (a.value == b.value && isa<RankedTensorType>(a.value.getType()))
    return isSameConstant(a, b);
  Operation *left = a.value.getDefiningOp(), *right = b.value.getDefiningOp();
  if (!left || !right || left->getName() != right->getName() ||
      left->getNumOperands() != right->getNumOperands() ||
      left->getAttrDictionary() != right->getAttrDictionary() ||
      !(isArithmetic(left) || isa<arith::ConstantOp>(left)) ||
      a.value.getType() != b.value.getType())
    return false;
  for (auto [x, y] : llvm::zip_equal(left->getOperands(), right->getOperands()))
    if (!isSame({x, a.at}, {y, b.at}))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

std::optional<RotaryMatch> RotaryMatcher::match() {
  std::optional<Turned> first = matchElement(false);
  std::optional<Turned> second = first ? matchElement(true) : std::nullopt;
  if (!second || first->input != second->input || !first->isSinNegative ||
      second->isSinNegative || !isSame(first->cos.start, second->cos.start) ||
      !isSame(first->sin.start, second->sin.start))
    return std::nullopt;
  found.input = first->input;
  found.cos = first->cos.angle;
  found.sin = first->sin.angle;
  return found;
}

std::optional<RotaryMatch> pquant::matchRotary(Value result) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!type || type.getRank() != 4 || !type.getElementType().isF32() ||
      type.isDynamicDim(3) || type.getDimSize(3) < 2 ||
      type.getDimSize(3) % 2 != 0)
    return std::nullopt;
  for (bool interleaved : {false, true})
    for (unsigned row : {2, 1})
      if (auto match = RotaryMatcher(result, row, interleaved).match())
        return match;
  return std::nullopt;
}
