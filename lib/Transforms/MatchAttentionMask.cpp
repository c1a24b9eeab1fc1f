//===- MatchAttentionMask.cpp - What attention does not see ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A mask that is added to logits, or selects them, is made of positions when
// each of its conditions is an affine function of the query's and the key's row
// that is not negative. It is causal when that function is s + (T - S) - t.
//
//===----------------------------------------------------------------------===//

#include "MatchAttention.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace pquant;
using namespace mlir;

std::optional<float> pquant::getFloat(PointSpace &space,
                                      const PointExpr &expr) {
  PointExpr root = space.normalized(expr);
  Attribute value;
  if (!root.value.getDefiningOp() ||
      !matchPattern(root.value, m_Constant(&value)))
    return std::nullopt;
  if (auto elements = dyn_cast<DenseFPElementsAttr>(value))
    if (elements.isSplat() && elements.getElementType().isF32())
      return elements.getSplatValue<float>();
  auto number = dyn_cast<FloatAttr>(value);
  return number && number.getType().isF32()
             ? std::optional(number.getValue().convertToFloat())
             : std::nullopt;
}

bool AttentionMatcher::matchVisible(const PointExpr &condition, bool negate,
                                    float hiddenLogit) {
  masks.push_back({negate ? MaskTensor::Hidden : MaskTensor::Visible, condition,
                   hiddenLogit});
  isPositional &= succeeded(space.getConditions(condition, negate, conditions));
  return true;
}

/// A mask that is added: 0 where a key is visible, or any numbers.
bool AttentionMatcher::matchMask(const PointExpr &expr) {
  PointExpr root = space.normalized(expr);
  if (std::optional<float> number = getFloat(space, root);
      number && *number == 0)
    return true;
  if (auto select = root.value.getDefiningOp<arith::SelectOp>()) {
    std::optional<float> on = getFloat(space, {select.getTrueValue(), root.at});
    std::optional<float> off =
        getFloat(space, {select.getFalseValue(), root.at});
    if (on && off && *on == 0 && *off <= hidden)
      return matchVisible({select.getCondition(), root.at}, false, *off);
    if (on && off && *off == 0 && *on <= hidden)
      return matchVisible({select.getCondition(), root.at}, true, *on);
  }
  masks.push_back({MaskTensor::Added, expr, 0});
  isPositional = false;
  return true;
}

//===----------------------------------------------------------------------===//
// The mask
//===----------------------------------------------------------------------===//

bool AttentionMatcher::hasOneQuery() const {
  return space.size(queryRow) == getAffineConstantExpr(1, space.getContext());
}

/// Whether the masks, if any, come out as t <= s + `before`. A condition that
/// follows from that says nothing.
bool AttentionMatcher::isCausal(AffineExpr before) {
  AffineExpr zero = getAffineConstantExpr(0, space.getContext());
  AffineExpr row = hasOneQuery() ? zero : space.dim(queryRow);
  AffineExpr causal = space.simplify(row - space.dim(keyRow) + before);
  bool isThere = conditions.empty();
  for (AffineExpr condition : conditions) {
    if (hasOneQuery())
      condition = condition.replace(space.dim(queryRow), zero);
    AffineExpr slack = space.simplify(condition - causal);
    isThere |= slack == zero;
    if (!space.isNonNegative(slack))
      return false;
  }
  return isPositional && isThere;
}

/// The tensor behind an element of a mask, read by rows of queries and keys.
std::optional<PointExpr> AttentionMatcher::findMaskTensor(PointExpr element) {
  AffineExpr zero = getAffineConstantExpr(0, space.getContext());
  auto isRow = [&](Value tensor, int64_t dim, AffineExpr at) {
    if (at == zero)
      return true;
    for (unsigned coordinate : {batch, queryRow, keyRow})
      if (at == space.dim(coordinate))
        return space.sizeOf(tensor, dim) == space.size(coordinate);
    return false;
  };
  while (true) {
    auto type = dyn_cast<RankedTensorType>(element.value.getType());
    if (type &&
        (type.getElementType().isF32() || type.getElementType().isInteger(1))) {
      bool isRead = true;
      for (auto [dim, at] : llvm::enumerate(element.at))
        isRead &= isRow(element.value, dim, at);
      if (isRead)
        return element;
    }
    std::optional<PointExpr> next = space.lookThrough(element);
    if (!next)
      return std::nullopt;
    element = std::move(*next);
  }
}

bool AttentionMatcher::matchMasks() {
  if (isCausal(space.size(keyRow) - space.size(queryRow))) {
    result.causal |= !conditions.empty();
    return true;
  }
  if (masks.size() != 1)
    return fail("it has several masks that are not positions");
  std::optional<PointExpr> tensor = findMaskTensor(masks[0].element);
  if (!tensor)
    return fail("its mask is neither causal nor a tensor");
  result.mask = {masks[0].kind, *tensor, masks[0].hidden};
  return true;
}

//===----------------------------------------------------------------------===//
// Attention that the file itself says
//===----------------------------------------------------------------------===//

void AttentionMatcher::startFrom(AttentionOp op) {
  space.addDim(space.sizeOf(op.getQuery(), 0));
  space.addDim(space.sizeOf(op.getQuery(), 1));
  space.addDim(space.sizeOf(op.getQuery(), 2));
  space.addDim(space.sizeOf(op.getKey(), 2));
}

bool AttentionMatcher::isCausalFrom(AttentionOp op, Value position) {
  startFrom(op);
  simplifyMask(op);
  if (!position && result.causal && !result.mask)
    return true;
  AffineExpr before = space.size(keyRow) - space.size(queryRow);
  if (position)
    before = *space.asIndex({position, {}});
  // One query is behind all keys, and nothing is hidden from it.
  bool isLast =
      conditions.empty() && isPositional && !position && hasOneQuery();
  return isLast || (!conditions.empty() && isCausal(before));
}

bool pquant::seesWhatIsBefore(AttentionOp op, Value position) {
  std::string reason;
  return AttentionMatcher(op.getContext(), reason).isCausalFrom(op, position);
}

/// Drops the mask of `op` when it is made of positions.
void AttentionMatcher::simplifyMask(AttentionOp op) {
  result.causal = op.getCausal();
  if (!op.getMask())
    return;
  PointExpr mask{op.getMask(), {space.dim(queryRow), space.dim(keyRow)}};
  auto type = cast<RankedTensorType>(op.getMask().getType());
  if (type.getRank() == 4) {
    AffineExpr zero = getAffineConstantExpr(0, space.getContext());
    mask.at.insert(mask.at.begin(), zero);
    mask.at.insert(mask.at.begin(),
                   type.getDimSize(0) == 1 ? zero : space.dim(batch));
  }
  if (matchMask(mask) && isCausal(space.size(keyRow) - space.size(queryRow)))
    result.causal |= !conditions.empty();
  else
    result.mask = {MaskTensor::Added, mask, 0};
}

std::optional<AttentionMatch> AttentionMatcher::matchOp(AttentionOp op) {
  startFrom(op);
  result.root = op;
  result.scale = op.getScale().convertToFloat();
  simplifyMask(op);
  auto sizeAt = [](Value value, int64_t dim) {
    return cast<RankedTensorType>(value.getType()).getDimSize(dim);
  };
  int64_t share = sizeAt(op.getQuery(), 1) / sizeAt(op.getKey(), 1);
  auto matchOperand = [&](Value value, bool isRepeated, unsigned row) {
    unsigned column = space.addDim(
        getAffineConstantExpr(sizeAt(value, 3), space.getContext()));
    AffineExpr heads = space.dim(head);
    if (isRepeated && share != 1)
      heads = space.simplify(heads.floorDiv(share));
    PointExpr element{
        value, {space.dim(batch), heads, space.dim(row), space.dim(column)}};
    return matchHeads(element, isRepeated, row, column);
  };
  float scale = result.scale;
  auto value = matchOperand(op.getValue(), true, keyRow);
  if (!value || result.scale != scale) // a factor of the result
    value = HeadTensor{op.getValue(), {0, 1, 2, 3}};
  result.scale = scale;
  auto query = matchOperand(op.getQuery(), false, queryRow);
  auto key = matchOperand(op.getKey(), true, keyRow);
  if (!query || !key)
    return std::nullopt;
  result.query = *query;
  result.key = *key;
  result.value = *value;
  if (int64_t heads = getUnequalHeads())
    return AttentionMatcher(space.getContext(), reason, heads).matchOp(op);
  return result;
}
