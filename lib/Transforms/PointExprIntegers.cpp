//===- PointExprIntegers.cpp - Integers and conditions at a point ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Positions, and comparisons of them, as affine functions of the point. What
// exporters compute besides (whether positions of packed sequences follow one
// another: their difference is 1) comes out as a constant.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "pquant/Transforms/PointExpr.h"

using namespace pquant;
using namespace mlir;

/// The integer of a constant that is the same everywhere.
static std::optional<int64_t> getIntConstant(Operation *op) {
  Attribute value;
  if (!matchPattern(op, m_Constant(&value)))
    return std::nullopt;
  if (auto integer = dyn_cast<IntegerAttr>(value))
    return integer.getValue().getBitWidth() == 1
               ? integer.getValue().getZExtValue()
               : integer.getInt();
  auto elements = dyn_cast<DenseIntElementsAttr>(value);
  if (!elements || !elements.isSplat())
    return std::nullopt;
  APInt number = elements.getSplatValue<APInt>();
  return number.getBitWidth() == 1 ? number.getZExtValue()
                                   : number.getSExtValue();
}

/// A constant table of positions, c + sum_i s_i * index_i, at a point.
static std::optional<AffineExpr> getAffineTable(Operation *op,
                                                ArrayRef<AffineExpr> at) {
  DenseIntElementsAttr table;
  if (!matchPattern(op, m_Constant(&table)) || at.empty() ||
      table.getElementType().isInteger(1) || table.getNumElements() == 0)
    return std::nullopt;
  ArrayRef<int64_t> shape = table.getType().getShape();
  SmallVector<int64_t> values =
      llvm::map_to_vector(table.getValues<APInt>(),
                          [](const APInt &v) { return v.getSExtValue(); });
  // The slope along each dimension, from its first two elements.
  SmallVector<int64_t> slopes(shape.size(), 0), strides(shape.size(), 1);
  for (int64_t d = shape.size() - 1; d >= 0; --d) {
    if (d + 1 < static_cast<int64_t>(shape.size()))
      strides[d] = strides[d + 1] * shape[d + 1];
    if (shape[d] > 1)
      slopes[d] = values[strides[d]] - values[0];
  }
  for (auto [i, value] : llvm::enumerate(values)) {
    int64_t expected = values[0];
    for (size_t d = 0; d < shape.size(); ++d)
      expected += i / strides[d] % shape[d] * slopes[d];
    if (value != expected)
      return std::nullopt;
  }
  AffineExpr result = getAffineConstantExpr(values[0], op->getContext());
  for (auto [index, slope] : llvm::zip_equal(at, slopes))
    result = result + index * slope;
  return result;
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

/// A running sum, or another sum over a loop, of what is 0 everywhere.
static bool isSumOfZeros(linalg::GenericOp op,
                         llvm::function_ref<bool(Value)> isZero) {
  auto start = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto zero = start ? start.getInputs()[0].getDefiningOp() : nullptr;
  if (!zero || getIntConstant(zero) != 0 || op.getNumDpsInputs() != 1)
    return false;
  // Every value of the body that the result depends on is the sum so far, the
  // summand, a sum of the two, or one of them by a condition.
  SmallVector<Value> work{op.getBody()->getTerminator()->getOperand(0)};
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (value == op.getRegionOutputArgs()[0])
      continue;
    if (auto select = value.getDefiningOp<arith::SelectOp>())
      work.append({select.getTrueValue(), select.getFalseValue()});
    else if (auto sum = value.getDefiningOp<arith::AddIOp>())
      work.append({sum.getLhs(), sum.getRhs()});
    else if (!isZero(value))
      return false;
  }
  return true;
}

std::optional<AffineExpr> PointSpace::asIndexOfConcat(tensor::ConcatOp op,
                                                      ArrayRef<AffineExpr> at) {
  // Each part as a function of the index x; all must be the same function. A
  // part of one element is a number, which that function must have there.
  unsigned dim = op.getDim();
  AffineExpr x = getAffineDimExpr(sizes.size() + numExtraDims++, context);
  AffineExpr offset = getAffineConstantExpr(0, context), whole;
  SmallVector<std::pair<AffineExpr, AffineExpr>> single;
  bool isSame = true;
  for (Value input : op.getInputs()) {
    AffineExpr size = sizeOf(input, dim);
    bool isSingle = size == getAffineConstantExpr(1, context);
    PointExpr part{input, llvm::to_vector<4>(at)};
    part.at[dim] = isSingle ? getAffineConstantExpr(0, context) : x - offset;
    std::optional<AffineExpr> value = asIndex(part);
    if (!value) {
      --numExtraDims;
      return std::nullopt;
    }
    if (isSingle)
      single.push_back({offset, *value});
    else if (!whole)
      whole = simplify(*value);
    else
      isSame &= whole == simplify(*value);
    offset = simplify(offset + size);
  }
  for (auto [position, value] : single)
    isSame &= whole && simplify(whole.replace(x, position)) == simplify(value);
  --numExtraDims;
  if (!isSame || !whole)
    return std::nullopt;
  return simplify(whole.replace(x, at[dim]));
}

std::optional<AffineExpr> PointSpace::asIndexOfOp(Operation *op,
                                                  ArrayRef<AffineExpr> at) {
  auto get = [&](unsigned i) {
    return asIndex({op->getOperand(i), llvm::to_vector<4>(at)});
  };
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return at[index.getDim()];
  if (isa<arith::IndexCastOp, arith::ExtSIOp>(op))
    return get(0);
  if (isa<arith::ExtUIOp>(op) && op->getOperand(0).getType().isInteger(1)) {
    for (bool isFalse : {false, true}) {
      SmallVector<AffineExpr> conditions;
      PointExpr operand{op->getOperand(0), llvm::to_vector<4>(at)};
      if (succeeded(getConditions(operand, isFalse, conditions)) &&
          conditions.empty())
        return getAffineConstantExpr(!isFalse, context);
    }
    return std::nullopt;
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> which = dim.getConstantIndex();
    return which ? std::optional(sizeOf(dim.getSource(), *which))
                 : std::nullopt;
  }
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    AffineMap map = apply.getAffineMap();
    SmallVector<AffineExpr> operands;
    for (unsigned i = 0; i < op->getNumOperands(); ++i) {
      std::optional<AffineExpr> operand = get(i);
      if (!operand)
        return std::nullopt;
      operands.push_back(*operand);
    }
    ArrayRef<AffineExpr> all(operands);
    return map.getResult(0).replaceDimsAndSymbols(
        all.take_front(map.getNumDims()), all.drop_front(map.getNumDims()));
  }
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    SmallVector<AffineExpr> conditions;
    PointExpr condition{select.getCondition(), llvm::to_vector<4>(at)};
    for (bool isFalse : {false, true})
      if (succeeded(getConditions(condition, isFalse, conditions)) &&
          conditions.empty())
        return get(isFalse ? 2 : 1);
      else
        conditions.clear();
    return std::nullopt;
  }
  if (op->getNumOperands() != 2)
    return std::nullopt;
  std::optional<AffineExpr> left = get(0), right = get(1);
  if (!left || !right)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return *left + *right;
  if (isa<arith::SubIOp>(op))
    return *left - *right;
  if (isa<arith::MulIOp>(op) &&
      (left->isSymbolicOrConstant() || right->isSymbolicOrConstant()) &&
      (isa<AffineConstantExpr>(*left) || isa<AffineConstantExpr>(*right)))
    return *left * *right;
  bool isMin = isa<arith::MinSIOp>(op);
  if (!isMin && !isa<arith::MaxSIOp>(op))
    return std::nullopt;
  AffineExpr difference = simplify(*left - *right);
  if (isNonNegative(difference))
    return isMin ? right : left;
  if (isNonNegative(simplify(-difference)))
    return isMin ? left : right;
  return std::nullopt;
}

std::optional<AffineExpr> PointSpace::asIndex(const PointExpr &expr) {
  if (auto it = bound.find(expr.value); it != bound.end())
    return it->second;
  PointExpr root = normalized(expr);
  Operation *op = root.value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (std::optional<int64_t> number = getIntConstant(op))
    return getAffineConstantExpr(*number, context);
  if (std::optional<AffineExpr> table = getAffineTable(op, root.at))
    return simplify(*table);
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return asIndexOfConcat(concat, root.at);
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (generic && generic.getNumReductionLoops() == 1 &&
      generic.getNumResults() == 1 &&
      generic.getIndexingMapsArray().back().isProjectedPermutation()) {
    SmallVector<AffineExpr, 4> loops(
        generic.getNumLoops(),
        getAffineDimExpr(sizes.size() + numExtraDims++, context));
    AffineMap out =
        generic.getIndexingMapMatchingResult(cast<OpResult>(root.value));
    for (auto [target, index] : llvm::zip_equal(out.getResults(), root.at))
      loops[cast<AffineDimExpr>(target).getPosition()] = index;
    bool isZero = isSumOfZeros(generic, [&](Value value) {
      std::optional<AffineExpr> number = asIndex({value, loops});
      return number && *number == getAffineConstantExpr(0, context);
    });
    --numExtraDims;
    return isZero ? std::optional(getAffineConstantExpr(0, context))
                  : std::nullopt;
  }
  if (isa<RankedTensorType>(root.value.getType()))
    return std::nullopt;
  std::optional<AffineExpr> result = asIndexOfOp(op, root.at);
  return result ? std::optional(simplify(*result)) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Conditions
//===----------------------------------------------------------------------===//

LogicalResult PointSpace::getComparison(arith::CmpIOp op,
                                        ArrayRef<AffineExpr> at, bool negate,
                                        SmallVectorImpl<AffineExpr> &result) {
  std::optional<AffineExpr> left =
      asIndex({op.getLhs(), llvm::to_vector<4>(at)});
  std::optional<AffineExpr> right =
      asIndex({op.getRhs(), llvm::to_vector<4>(at)});
  if (!left || !right)
    return failure();
  arith::CmpIPredicate predicate =
      negate ? arith::invertPredicate(op.getPredicate()) : op.getPredicate();
  AffineExpr difference = simplify(*left - *right);
  switch (predicate) {
  case arith::CmpIPredicate::sge:
    break;
  case arith::CmpIPredicate::sgt:
    difference = difference - 1;
    break;
  case arith::CmpIPredicate::sle:
    difference = -difference;
    break;
  case arith::CmpIPredicate::slt:
    difference = -difference - 1;
    break;
  default: {
    // Equal or different everywhere, or not affine.
    auto number = dyn_cast<AffineConstantExpr>(difference);
    bool isEquality = predicate == arith::CmpIPredicate::eq;
    if (!number || (!isEquality && predicate != arith::CmpIPredicate::ne))
      return failure();
    if ((number.getValue() == 0) != isEquality)
      result.push_back(getAffineConstantExpr(-1, context));
    return success();
  }
  }
  difference = simplify(difference);
  if (!isNonNegative(difference))
    result.push_back(difference);
  return success();
}

LogicalResult PointSpace::getConditions(const PointExpr &condition, bool negate,
                                        SmallVectorImpl<AffineExpr> &result) {
  PointExpr root = normalized(condition);
  Operation *op = root.value.getDefiningOp();
  if (!op)
    return failure();
  auto get = [&](Value value, bool isNegated) {
    return getConditions({value, root.at}, isNegated, result);
  };
  if (std::optional<int64_t> number = getIntConstant(op)) {
    if ((*number != 0) == negate)
      result.push_back(getAffineConstantExpr(-1, context));
    return success();
  }
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    return getComparison(compare, root.at, negate, result);
  if (isa<arith::XOrIOp>(op)) {
    for (unsigned i : {0, 1}) {
      Operation *other = op->getOperand(i).getDefiningOp();
      std::optional<int64_t> number =
          other ? getIntConstant(other) : std::nullopt;
      if (number)
        return get(op->getOperand(1 - i), negate != (*number != 0));
    }
    return failure();
  }
  // A conjunction, or the negation of a disjunction.
  if (negate ? isa<arith::OrIOp>(op) : isa<arith::AndIOp>(op))
    return success(succeeded(get(op->getOperand(0), negate)) &&
                   succeeded(get(op->getOperand(1), negate)));
  return failure();
}
