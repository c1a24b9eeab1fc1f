//===- MatchAttention.cpp - Attention, written out ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters write attention as
//
//   l = (Q * c) (K * d)^T * e + where(visible, 0, -inf);  softmax(l) V
//
// with any of the three factors, the mask added or selected, negated or not,
// keys and values repeated for the heads that share them, and views between.
// Everything is looked at from the softmax, whose elements (b, h, s, t) are the
// points of the space: Q is the tensor that is read at (b, h, s, d), K the one
// that is read at (b, h floordiv R, t, d). A mask is causal when its condition
// comes out as t <= s + (T - S); any other is kept as a tensor.
//
//===----------------------------------------------------------------------===//

#include "MatchAttention.h"
#include "MatchQuantizers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace pquant;
using namespace mlir;

/// Whether a result's dimensions are the loops but one, which is reduced.
static bool reducesOneLoop(linalg::GenericOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() != 1)
    return false;
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  return map.isProjectedPermutation() &&
         map.getNumResults() == op.getNumParallelLoops();
}

/// A `linalg.generic` that sums products over one loop, from zero.
static bool isProduct(linalg::GenericOp op) {
  return op && op.getNumDpsInputs() == 2 && reducesOneLoop(op) &&
         isMultiplyAdd(op.getBody()) && startsFromZero(op);
}

//===----------------------------------------------------------------------===//
// The logits
//===----------------------------------------------------------------------===//

bool AttentionMatcher::matchSum(const PointExpr &logits,
                                const PointExpr &mask) {
  std::optional<float> number = getFloat(space, mask);
  return number ? *number == 0 && matchLogits(logits)
                : matchLogits(logits) && matchMask(mask);
}

/// Logits by a factor, which must leave hidden what a mask behind it hides.
bool AttentionMatcher::matchScaled(const PointExpr &logits, float factor) {
  size_t numMasks = masks.size();
  result.scale *= factor;
  if (!matchLogits(logits))
    return false;
  for (MaskTensor &mask : MutableArrayRef(masks).drop_front(numMasks)) {
    mask.hidden *= factor;
    if (mask.kind == MaskTensor::Added || !(mask.hidden <= hidden))
      return fail("a scale is applied behind its mask");
  }
  return std::isfinite(factor) || fail("the scale of its logits is not finite");
}

/// Factors, masks, and then the product with the keys.
bool AttentionMatcher::matchLogits(PointExpr expr) {
  PointExpr root = space.normalized(expr);
  Operation *op = root.value.getDefiningOp();
  auto operand = [&](unsigned i) {
    return PointExpr{op->getOperand(i), root.at};
  };
  if (isa_and_nonnull<arith::SelectOp>(op)) {
    for (bool isHiddenFirst : {false, true}) {
      std::optional<float> number =
          getFloat(space, operand(isHiddenFirst ? 1 : 2));
      if (number && *number <= hidden)
        return matchVisible(operand(0), isHiddenFirst, *number) &&
               matchLogits(operand(isHiddenFirst ? 2 : 1));
    }
    return fail("a selection hides no keys");
  }
  if (isa_and_nonnull<arith::MulFOp, arith::DivFOp>(op)) {
    for (unsigned i : {1, 0}) {
      std::optional<float> factor = getFloat(space, operand(i));
      if (factor && (i == 1 || isa<arith::MulFOp>(op)))
        return matchScaled(operand(1 - i),
                           isa<arith::DivFOp>(op) ? 1 / *factor : *factor);
    }
    return fail("the scale of its logits is not a constant");
  }
  if (isa_and_nonnull<arith::AddFOp>(op)) {
    // The logits are the operand that a product is found behind.
    AttentionMatch before = result;
    size_t numConditions = conditions.size(), numMasks = masks.size();
    bool wasPositional = isPositional;
    if (matchSum(operand(0), operand(1)))
      return true;
    result = before;
    conditions.truncate(numConditions);
    masks.truncate(numMasks);
    isPositional = wasPositional;
    return matchSum(operand(1), operand(0));
  }
  return matchScaledProduct(root);
}

/// An element of an operand of a product, by the loops as functions of the
/// point.
static PointExpr readOperand(const PointSpace &space, linalg::GenericOp op,
                             unsigned i, ArrayRef<AffineExpr> loops) {
  OpOperand *operand = op.getDpsInputOperand(i);
  PointExpr element{operand->get(), {}};
  for (AffineExpr index : op.getMatchingIndexingMap(operand).getResults())
    element.at.push_back(
        space.simplify(index.replaceDimsAndSymbols(loops, {})));
  return element;
}

/// The loops of a product at `at` of its result; `reduced` is what it sums
/// over.
static SmallVector<AffineExpr, 4>
getLoops(linalg::GenericOp op, ArrayRef<AffineExpr> at, AffineExpr reduced) {
  SmallVector<AffineExpr, 4> loops(op.getNumLoops(), reduced);
  AffineMap out =
      op.getIndexingMapMatchingResult(cast<OpResult>(op.getResult(0)));
  for (auto [target, index] : llvm::zip_equal(out.getResults(), at))
    loops[cast<AffineDimExpr>(target).getPosition()] = index;
  return loops;
}

/// l[b, h, s, t] = sum_d Q[b, h, s, d] K[b, h floordiv R, t, d].
bool AttentionMatcher::matchScaledProduct(const PointExpr &expr) {
  auto op = expr.value.getDefiningOp<linalg::GenericOp>();
  if (!isProduct(op))
    return fail("its logits are not a product of queries and keys");
  SmallVector<unsigned> reduced;
  op.getReductionDims(reduced);
  int64_t depth = op.getStaticLoopRanges()[reduced.front()];
  if (ShapedType::isDynamic(depth))
    return fail("the width of its heads is not static");
  unsigned d = space.addDim(getAffineConstantExpr(depth, space.getContext()));
  SmallVector<AffineExpr, 4> loops = getLoops(op, expr.at, space.dim(d));
  for (bool isSwapped : {false, true}) {
    float scale = result.scale;
    auto query = matchHeads(readOperand(space, op, isSwapped, loops), false,
                            queryRow, d);
    auto key =
        matchHeads(readOperand(space, op, !isSwapped, loops), true, keyRow, d);
    if (query && key) {
      result.query = *query;
      result.key = *key;
      return true;
    }
    result.scale = scale;
  }
  return fail("its queries or keys are not read head by head");
}

/// Whether heads are read in order: each by itself, or R = H / G that follow
/// one another share one of G.
bool AttentionMatcher::isHeadIndex(AffineExpr index, int64_t size,
                                   bool isRepeated) const {
  auto all = dyn_cast<AffineConstantExpr>(space.size(head));
  if (!all || size <= 0 || all.getValue() % size != 0)
    return false;
  int64_t share = all.getValue() / size;
  if (share == 1)
    return index == space.dim(head);
  return isRepeated && index == space.simplify(space.dim(head).floorDiv(share));
}

/// The dimensions of a tensor of rank 4 as those of heads, read at (b, h, row,
/// column).
std::optional<HeadTensor>
AttentionMatcher::asHeads(const PointExpr &expr, bool isRepeated, unsigned row,
                          unsigned column, bool isSliced) {
  auto type = dyn_cast<RankedTensorType>(expr.value.getType());
  if (!type || type.getRank() != 4)
    return std::nullopt;
  HeadTensor heads{expr.value, SmallVector<int64_t, 4>(4, -1)};
  auto claim = [&](unsigned which, int64_t dim) {
    bool isFree = heads.permutation[which] < 0;
    if (isFree)
      heads.permutation[which] = dim;
    return isFree;
  };
  SmallVector<int64_t> units;
  for (auto [dim, index] : llvm::enumerate(expr.at)) {
    AffineExpr at = space.simplify(index), size = space.sizeOf(expr.value, dim);
    // The whole of the dimension is read: it is no slice of a longer one.
    auto isAll = [&](unsigned coordinate) {
      return at == space.dim(coordinate) &&
             (!isSliced || size == space.size(coordinate));
    };
    if (type.getDimSize(dim) == 1)
      units.push_back(dim);
    else if (!(isAll(row) && claim(2, dim)) &&
             !(isAll(column) && claim(3, dim)) &&
             !(isAll(batch) && claim(0, dim)) &&
             !(isHeadIndex(at, type.getDimSize(dim), isRepeated) &&
               claim(1, dim)))
      return std::nullopt;
  }
  // Dimensions of size 1 are those that are left, whichever is which.
  AffineExpr one = getAffineConstantExpr(1, space.getContext());
  const unsigned coordinates[] = {batch, head, row, column};
  for (auto [which, dim] : llvm::enumerate(coordinates))
    if (!units.empty() &&
        (space.size(dim) == one || (which == 1 && isRepeated)))
      if (claim(which, units.front()))
        units.erase(units.begin());
  return llvm::is_contained(heads.permutation, -1) ? std::nullopt
                                                   : std::optional(heads);
}

/// The tensor behind `expr` that is furthest from it and read head by head. A
/// constant factor on the way belongs to the scale.
std::optional<HeadTensor> AttentionMatcher::matchHeads(PointExpr expr,
                                                       bool isRepeated,
                                                       unsigned row,
                                                       unsigned column) {
  std::optional<HeadTensor> best;
  float factor = 1, bestFactor = 1;
  bool isSliced = false;
  while (true) {
    if (auto heads = asHeads(expr, isRepeated, row, column, isSliced);
        heads && heads->getNumHeads() >= fewestHeads) {
      best = heads;
      bestFactor = factor;
    }
    if (std::optional<PointExpr> next = space.lookThrough(expr)) {
      isSliced |= isa_and_nonnull<tensor::ExtractSliceOp, tensor::ExtractOp>(
          expr.value.getDefiningOp());
      expr = std::move(*next);
      continue;
    }
    Operation *op = expr.value.getDefiningOp();
    if (!isa_and_nonnull<arith::MulFOp, arith::DivFOp>(op))
      break;
    std::optional<float> number = getFloat(space, {op->getOperand(1), expr.at});
    if (!number)
      break;
    factor *= isa<arith::DivFOp>(op) ? 1 / *number : *number;
    expr.value = op->getOperand(0);
  }
  result.scale *= bestFactor;
  return best;
}

//===----------------------------------------------------------------------===//
// The values
//===----------------------------------------------------------------------===//

/// Follows the probabilities through views, and a selection of 0 where they are
/// not a number, to the one product that they are for.
linalg::GenericOp AttentionMatcher::findProduct() {
  linalg::GenericOp product;
  SmallVector<Value> work{softmax.getResult()[0]};
  llvm::SmallPtrSet<Operation *, 8> seen;
  while (!work.empty()) {
    for (Operation *user : work.pop_back_val().getUsers()) {
      if (!seen.insert(user).second || isa<tensor::DimOp>(user))
        continue;
      auto generic = dyn_cast<linalg::GenericOp>(user);
      bool isView =
          generic || isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp,
                         tensor::CastOp, linalg::TransposeOp>(user);
      if (!isView || (product && isProduct(generic))) {
        fail("its probabilities have another use");
        return nullptr;
      }
      if (isProduct(generic))
        product = generic;
      else
        work.append(user->result_begin(), user->result_end());
    }
  }
  if (!product)
    fail("no product with values follows");
  return product;
}

/// x behind `x xor true`.
static std::optional<PointExpr> getNegated(PointSpace &space,
                                           const PointExpr &expr) {
  PointExpr root = space.normalized(expr);
  auto negation = root.value.getDefiningOp<arith::XOrIOp>();
  if (!negation || !matchPattern(negation.getRhs(), m_One()))
    return std::nullopt;
  return space.normalized({negation.getLhs(), root.at});
}

/// not any_t(not (l[b, h, s, t] == -inf)), l being what the softmax is of.
bool AttentionMatcher::isHiddenRow(const PointExpr &condition) {
  std::optional<PointExpr> any = getNegated(space, condition);
  auto op = any ? any->value.getDefiningOp<linalg::GenericOp>() : nullptr;
  if (!op || op.getNumDpsInputs() != 1 || !reducesOneLoop(op))
    return false;
  auto either = op.getBody()
                    ->getTerminator()
                    ->getOperand(0)
                    .getDefiningOp<arith::OrIOp>();
  auto start = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!either || !start || !matchPattern(start.getInputs()[0], m_Zero()) ||
      !llvm::is_contained(either->getOperands(), op.getRegionInputArgs()[0]) ||
      !llvm::is_contained(either->getOperands(), op.getRegionOutputArgs()[0]))
    return false;
  SmallVector<AffineExpr, 4> loops = getLoops(op, any->at, space.dim(keyRow));
  std::optional<PointExpr> hides =
      getNegated(space, {op.getRegionInputArgs()[0], loops});
  auto compare = hides ? hides->value.getDefiningOp<arith::CmpFOp>() : nullptr;
  if (!compare || compare.getPredicate() != arith::CmpFPredicate::OEQ ||
      getFloat(space, {compare.getRhs(), hides->at}) !=
          -std::numeric_limits<float>::infinity())
    return false;
  PointExpr tested = space.normalized({compare.getLhs(), hides->at});
  PointExpr logit{softmax.getInput(), {}};
  for (unsigned i = 0; i < 4; ++i)
    logit.at.push_back(space.dim(i));
  logit = space.normalized(logit);
  // The only row of a dimension is row 0.
  AffineExpr zero = getAffineConstantExpr(0, space.getContext());
  auto isSameIndex = [&](AffineExpr a, AffineExpr b) {
    AffineExpr difference = a - b;
    for (unsigned i = 0; i < 4; ++i)
      if (space.size(i) == zero + 1)
        difference = difference.replace(space.dim(i), zero);
    return space.simplify(difference) == zero;
  };
  return tested.value == logit.value &&
         llvm::all_of_zip(tested.at, logit.at, isSameIndex);
}

/// Whether an operand is the probabilities at the point.
bool AttentionMatcher::isProbability(const PointExpr &expr) {
  Value probabilities = softmax.getResult()[0];
  PointExpr root = space.normalized(expr);
  // select(p is not a number, 0, p), or select(all keys are hidden, 0, p)
  auto select = root.value.getDefiningOp<arith::SelectOp>();
  if (select && isHiddenRow({select.getCondition(), root.at}) &&
      getFloat(space, {select.getTrueValue(), root.at}) == 0.f) {
    root = space.normalized({select.getFalseValue(), root.at});
  } else if (select) {
    PointExpr condition = space.normalized({select.getCondition(), root.at});
    auto compare = condition.value.getDefiningOp<arith::CmpFOp>();
    if (!compare || compare.getPredicate() != arith::CmpFPredicate::UNO ||
        getFloat(space, {select.getTrueValue(), root.at}) != 0.f)
      return false;
    PointExpr tested = space.normalized({compare.getLhs(), condition.at});
    root = space.normalized({select.getFalseValue(), root.at});
    if (tested.value != root.value || tested.at != root.at)
      return false;
  }
  if (root.value != probabilities)
    return false;
  AffineExpr one = getAffineConstantExpr(1, space.getContext());
  for (unsigned i = 0; i < 4; ++i)
    if (space.simplify(root.at[i]) != space.dim(i) && space.size(i) != one)
      return false;
  return true;
}

bool AttentionMatcher::matchValue() {
  linalg::GenericOp product = findProduct();
  if (!product)
    return false;
  // The result is read at (b, h, s, e), or (b H + h, s, e); t is summed over.
  auto type = cast<RankedTensorType>(product.getResultTypes()[0]);
  auto heads = dyn_cast<AffineConstantExpr>(space.size(head));
  int64_t rank = type.getRank(), width = type.getShape().back();
  if ((rank != 4 && rank != 3) || !heads || ShapedType::isDynamic(width))
    return fail("its heads are not static, or its result has rank " +
                Twine(rank));
  unsigned e = space.addDim(getAffineConstantExpr(width, space.getContext()));
  SmallVector<AffineExpr, 4> at{space.dim(batch), space.dim(head),
                                space.dim(queryRow), space.dim(e)};
  if (rank == 3)
    at = {at[batch] * heads.getValue() + at[head], at[queryRow], space.dim(e)};
  // The only row of a dimension is row 0.
  AffineExpr one = getAffineConstantExpr(1, space.getContext());
  for (AffineExpr &index : at)
    for (unsigned i : {batch, queryRow})
      if (space.size(i) == one)
        index = index.replace(space.dim(i), one - 1);
  SmallVector<AffineExpr, 4> loops = getLoops(product, at, space.dim(keyRow));
  for (unsigned i : {0, 1}) {
    if (!isProbability(readOperand(space, product, i, loops)))
      continue;
    float scale = result.scale;
    auto value =
        matchHeads(readOperand(space, product, 1 - i, loops), true, keyRow, e);
    if (!value || result.scale != scale)
      return fail("its values are not read head by head");
    result.value = *value;
    result.root = product;
    return true;
  }
  return fail("the product with its values is not by its probabilities");
}

/// The larger number of heads when keys and values have been followed to
/// different ones, else 0.
int64_t AttentionMatcher::getUnequalHeads() const {
  int64_t keys = result.key.getNumHeads(), values = result.value.getNumHeads();
  return keys == values ? 0 : std::max(keys, values);
}

std::optional<AttentionMatch>
AttentionMatcher::matchSoftmax(linalg::SoftmaxOp op) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  if (type.getRank() != 4 || op.getDimension() != 3 ||
      !type.getElementType().isF32()) {
    reason = "its softmax is not one of float32 batch x heads x queries x keys "
             "over the keys";
    return std::nullopt;
  }
  softmax = op;
  for (int64_t i = 0; i < 4; ++i)
    space.addDim(space.sizeOf(op.getInput(), i));
  PointExpr logits{op.getInput(), {}};
  for (unsigned i = 0; i < 4; ++i)
    logits.at.push_back(space.dim(i));
  if (!matchLogits(logits) || !matchMasks() || !matchValue())
    return std::nullopt;
  if (int64_t heads = getUnequalHeads())
    return AttentionMatcher(space.getContext(), reason, heads).matchSoftmax(op);
  return result;
}
