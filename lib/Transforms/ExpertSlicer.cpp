//===- ExpertSlicer.cpp - The arithmetic of one expert's weight -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The experts of a stack are quantised together, before or after the matrices
// of the chosen ones are gathered:
//
//   W: E x N x K,  q = f(W),  q[index]: rows x N x K
//   g = W[index]: rows x N x K,  f(g)
//
// f treats every matrix alike and apart from the others, so that both are f of
// one matrix of the constant. To see which, f is written once more for one
// expert: leading dimensions become 1, a gather becomes its source, and the
// constant a slice of itself. What is written is evaluated like the weight of
// any other linear.
//
//===----------------------------------------------------------------------===//

#include "MatchStacked.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The tensor with its leading dimensions 1; null when others are dynamic.
static RankedTensorType getSliceType(Value tensor, unsigned leading) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getRank() < static_cast<int64_t>(leading))
    return {};
  SmallVector<int64_t> shape(type.getShape());
  std::fill_n(shape.begin(), leading, 1);
  return ShapedType::isDynamicShape(shape)
             ? RankedTensorType()
             : RankedTensorType::get(shape, type.getElementType());
}

OpBuilder ExpertSlicer::makeBuilder() {
  OpBuilder builder(weight.tensor.getContext());
  builder.setInsertionPointToEnd(block.get());
  return builder;
}

Value ExpertSlicer::slice(int64_t number) {
  rebuilt.clear();
  block = std::make_unique<Block>();
  expert = number;
  isStack = weight.isStack;
  return rebuild(weight.tensor, weight.leading);
}

Value ExpertSlicer::rebuild(Value tensor, unsigned leading) {
  std::pair<Value, unsigned> key(tensor, 2 * leading + isStack);
  auto [it, isNew] = rebuilt.try_emplace(key);
  if (!isNew || rebuilt.size() > maxOps)
    return it->second;
  Value result = rebuildOp(tensor, leading);
  rebuilt[key] = result;
  return result;
}

Value ExpertSlicer::rebuildOp(Value tensor, unsigned leading) {
  Operation *op = tensor.getDefiningOp();
  if (!op || !getSliceType(tensor, leading))
    return {};
  if (isa<arith::ConstantOp>(op))
    return isStack && leading == 1 ? sliceConstant(tensor) : Value();
  if (isa<linalg::FillOp>(op))
    return rebuildInit(tensor, leading);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return rebuild(cast.getSource(), leading);
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
    return rebuildReshape(op, leading);
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return rebuildTranspose(transpose, leading);
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumResults() != 1)
    return {};
  Value gathered = rebuildGather(generic, leading);
  return gathered ? gathered : rebuildGeneric(generic, leading);
}

/// E x .. -> 1 x ..
Value ExpertSlicer::sliceConstant(Value constant) {
  auto type = cast<RankedTensorType>(constant.getType());
  int64_t size = type.getDimSize(0);
  if (experts && size != experts)
    return {};
  experts = size;
  if (expert >= experts)
    return {};
  OpBuilder builder = makeBuilder();
  auto offset = [&](int64_t i) { return builder.getIndexAttr(i); };
  SmallVector<OpFoldResult> offsets(type.getRank(), offset(0)), sizes;
  SmallVector<OpFoldResult> strides(type.getRank(), offset(1));
  offsets[0] = offset(expert);
  for (int64_t dim : getSliceType(constant, 1).getShape())
    sizes.push_back(offset(dim));
  return tensor::ExtractSliceOp::create(builder, constant.getLoc(), constant,
                                        offsets, sizes, strides);
}

/// What an op starts from: nothing, or one number.
Value ExpertSlicer::rebuildInit(Value init, unsigned leading) {
  RankedTensorType type = getSliceType(init, leading);
  auto fill = init.getDefiningOp<linalg::FillOp>();
  if (!type || (!fill && !init.getDefiningOp<tensor::EmptyOp>()))
    return {};
  OpBuilder builder = makeBuilder();
  Value empty = tensor::EmptyOp::create(builder, init.getLoc(), type.getShape(),
                                        type.getElementType());
  if (!fill)
    return empty;
  return linalg::FillOp::create(builder, init.getLoc(), fill.getInputs(), empty)
      .getResult(0);
}

Value ExpertSlicer::rebuildGather(linalg::GenericOp op, unsigned leading) {
  std::optional<GatherMatch> gather = matchGather(op, leading);
  if (!gather || isStack || (index && index != gather->index))
    return {};
  index = gather->index;
  isStack = true;
  Value source = rebuild(gather->source, 1);
  isStack = false;
  if (!source || leading == 1)
    return source;
  // 1 x .. -> 1 x 1 x ..
  RankedTensorType type = getSliceType(op.getResult(0), leading);
  SmallVector<ReassociationIndices> groups(1);
  for (int64_t i = 0; i < type.getRank(); ++i) {
    if (i >= static_cast<int64_t>(leading))
      groups.emplace_back();
    groups.back().push_back(i);
  }
  OpBuilder builder = makeBuilder();
  return tensor::ExpandShapeOp::create(builder, op.getLoc(), type, source,
                                       groups);
}

/// Whether an operand follows the loops over the experts; no value when it does
/// in another way than dimension by dimension.
static std::optional<bool> followsLoops(AffineMap map,
                                        ArrayRef<unsigned> loops) {
  bool isLeading = map.getNumResults() >= loops.size();
  for (auto [i, loop] : llvm::enumerate(loops))
    isLeading = isLeading &&
                map.getResult(i) == getAffineDimExpr(loop, map.getContext());
  ArrayRef<AffineExpr> rest = map.getResults();
  if (isLeading)
    rest = rest.drop_front(loops.size());
  for (AffineExpr expr : rest)
    for (unsigned loop : loops)
      if (expr.isFunctionOfDim(loop))
        return std::nullopt;
  return isLeading;
}

/// Elementwise ops and reductions within a matrix.
Value ExpertSlicer::rebuildGeneric(linalg::GenericOp op, unsigned leading) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineMap result = maps.back();
  if (!result.isProjectedPermutation() || result.getNumResults() < leading)
    return {};
  SmallVector<unsigned> loops;
  for (unsigned i = 0; i < leading; ++i)
    loops.push_back(result.getDimPosition(i));
  bool readsPosition = llvm::any_of(
      op.getBody()->getOps<linalg::IndexOp>(), [&](linalg::IndexOp index) {
        return llvm::is_contained(loops, index.getDim());
      });
  if (readsPosition || !op.getBody()->getOps<tensor::ExtractOp>().empty())
    return {};
  SmallVector<Value> operands;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    std::optional<bool> follows =
        followsLoops(op.getMatchingIndexingMap(operand), loops);
    Value input = operand->get();
    if (!follows || (*follows && !(input = rebuild(input, leading))))
      return {};
    operands.push_back(input);
  }
  operands.push_back(rebuildInit(op.getDpsInits()[0], leading));
  if (!operands.back())
    return {};
  Operation *clone = op->clone();
  clone->setOperands(operands);
  clone->getResult(0).setType(operands.back().getType());
  block->push_back(clone);
  return clone->getResult(0);
}

/// Whether the first groups of a reshape are the leading dimensions, the last
/// of which may have neighbours of size 1.
static bool keepsLeading(ArrayRef<ReassociationIndices> groups,
                         ArrayRef<int64_t> shape, unsigned leading) {
  if (groups.size() < leading)
    return false;
  for (unsigned i = 0; i < leading; ++i) {
    bool isAlone = llvm::all_of(ArrayRef(groups[i]).drop_front(),
                                [&](int64_t dim) { return shape[dim] == 1; });
    if (groups[i].front() != i ||
        (groups[i].size() > 1 && (i + 1 < leading || !isAlone)))
      return false;
  }
  return true;
}

/// A reshape within the matrices, or one that makes all leading dimensions one.
Value ExpertSlicer::rebuildReshape(Operation *op, unsigned leading) {
  auto expand = dyn_cast<tensor::ExpandShapeOp>(op);
  auto groups =
      expand ? expand.getReassociationIndices()
             : cast<tensor::CollapseShapeOp>(op).getReassociationIndices();
  Value large = expand ? op->getResult(0) : op->getOperand(0);
  Value source;
  if (keepsLeading(groups, cast<RankedTensorType>(large.getType()).getShape(),
                   leading))
    source = rebuild(op->getOperand(0), leading);
  if (!source && !expand && !isStack && leading == 1 && !groups.empty())
    source = rebuild(op->getOperand(0), groups.front().size());
  if (!source)
    return {};
  OpBuilder builder = makeBuilder();
  RankedTensorType type = getSliceType(op->getResult(0), leading);
  if (expand)
    return tensor::ExpandShapeOp::create(builder, op->getLoc(), type, source,
                                         groups);
  return tensor::CollapseShapeOp::create(builder, op->getLoc(), type, source,
                                         groups);
}

Value ExpertSlicer::rebuildTranspose(linalg::TransposeOp op, unsigned leading) {
  for (unsigned i = 0; i < leading; ++i)
    if (op.getPermutation()[i] != i)
      return {};
  Value source = rebuild(op.getInput(), leading);
  Value init = rebuildInit(op.getInit(), leading);
  if (!source || !init)
    return {};
  OpBuilder builder = makeBuilder();
  return linalg::TransposeOp::create(builder, op.getLoc(), source, init,
                                     op.getPermutation())
      ->getResult(0);
}
