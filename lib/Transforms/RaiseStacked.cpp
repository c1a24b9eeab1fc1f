//===- RaiseStacked.cpp - Stacked weights to expert linears ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   sum_k dequantise(quantise(x))[r.., k] * W[index[r..]](n, k)
//     -> pquant.expert_linear, with all matrices of W as INT8
//
// Where all experts are evaluated, the rows are those of x once for each
// expert, and the index is the expert's number.
//
//===----------------------------------------------------------------------===//

#include "LinearRaiser.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/Constants.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The sizes of the loops over the rows.
static SmallVector<OpFoldResult> getRowSizes(OpBuilder &builder,
                                             const StackedMatch &match) {
  linalg::GenericOp op = match.op;
  Value init = op.getDpsInits()[0];
  if (auto fill = init.getDefiningOp<linalg::FillOp>())
    init = fill.getOutputs()[0];
  auto empty = init.getDefiningOp<tensor::EmptyOp>();
  SmallVector<OpFoldResult> all =
      empty ? empty.getMixedSizes()
            : tensor::getMixedSizes(builder, op.getLoc(), init);
  AffineMap map = op.getIndexingMapsArray().back();
  SmallVector<OpFoldResult> sizes;
  for (unsigned row : match.rows)
    sizes.push_back(
        all[*map.getResultPosition(getAffineDimExpr(row, op.getContext()))]);
  return sizes;
}

/// A tensor over all rows (and k, as `inner`) of one whose dimensions follow
/// the loops `dims`.
static Value spreadRows(OpBuilder &builder, const StackedMatch &match,
                        Value tensor, ArrayRef<int64_t> dims, bool hasInner) {
  Location loc = match.op->getLoc();
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> sizes = getRowSizes(builder, match);
  if (hasInner)
    sizes.push_back(builder.getIndexAttr(type.getShape().back()));
  SmallVector<AffineExpr> exprs;
  for (int64_t dim : dims) {
    size_t row = llvm::find(match.rows, dim) - match.rows.begin();
    exprs.push_back(row < match.rows.size() ? builder.getAffineDimExpr(row)
                                            : builder.getAffineConstantExpr(0));
  }
  if (hasInner)
    exprs.push_back(builder.getAffineDimExpr(match.rows.size()));
  AffineMap maps[] = {
      AffineMap::get(sizes.size(), 0, exprs, builder.getContext()),
      builder.getMultiDimIdentityMap(sizes.size())};
  if (maps[0] == maps[1])
    return tensor;
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  SmallVector<utils::IteratorType> loops(sizes.size(),
                                         utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), tensor, empty, maps, loops,
             [](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(b, loc, args[0]);
             })
      .getResult(0);
}

/// Makes `count` dimensions one, behind `before` others.
static Value mergeDims(OpBuilder &builder, Value tensor, size_t before,
                       size_t count) {
  if (count == 1)
    return tensor;
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  SmallVector<ReassociationIndices> groups(rank + 1 - count);
  for (int64_t i = 0; i < rank; ++i) {
    size_t inside = std::clamp<int64_t>(i - before, 0, count - 1);
    groups[i - inside].push_back(i);
  }
  return tensor::CollapseShapeOp::create(builder, tensor.getLoc(), tensor,
                                         groups);
}

/// The last dimensions of an index made one, where there are fewer rows.
static Value mergeLast(OpBuilder &builder, Value index,
                       const StackedMatch &match) {
  size_t rank = cast<RankedTensorType>(index.getType()).getRank();
  size_t rows = match.rows.size();
  return mergeDims(builder, index, rows - 1, rank + 1 - rows);
}

/// i < 0 ? i + size : i
static Value wrapIndex(OpBuilder &b, Location loc, Value index, int64_t size) {
  Value plain = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value experts = arith::ConstantIndexOp::create(b, loc, size);
  Value isNegative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, plain, zero);
  Value wrapped = arith::AddIOp::create(b, loc, plain, experts);
  return arith::SelectOp::create(b, loc, isNegative, wrapped, plain);
}

/// The number of the expert of each row, from 0.
Value LinearRaiser::makeIndex(const StackedMatch &match) {
  Location loc = match.op->getLoc();
  OpBuilder::InsertionGuard guard(rewriter);
  SmallVector<OpFoldResult> sizes;
  SmallVector<Value> inputs;
  unsigned position = 0;
  if (match.index) {
    if (Value known = indices.lookup({match.index, match.experts}))
      return mergeLast(rewriter, known, match);
    rewriter.setInsertionPointAfterValue(match.index);
    sizes = tensor::getMixedSizes(rewriter, loc, match.index);
    inputs.push_back(match.index);
  } else {
    sizes = getRowSizes(rewriter, match);
    position = llvm::find(match.rows, *match.expertLoop) - match.rows.begin();
  }
  Value empty =
      tensor::EmptyOp::create(rewriter, loc, sizes, rewriter.getI64Type());
  SmallVector<AffineMap> maps(inputs.size() + 1,
                              rewriter.getMultiDimIdentityMap(sizes.size()));
  SmallVector<utils::IteratorType> loops(sizes.size(),
                                         utils::IteratorType::parallel);
  Value result =
      linalg::GenericOp::create(
          rewriter, loc, empty.getType(), inputs, empty, maps, loops,
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Value number =
                inputs.empty()
                    ? Value(linalg::IndexOp::create(b, loc, position))
                    : wrapIndex(b, loc, args[0], match.experts);
            Value wide =
                arith::IndexCastOp::create(b, loc, b.getI64Type(), number);
            linalg::YieldOp::create(b, loc, wide);
          })
          .getResult(0);
  if (match.index)
    indices[{match.index, match.experts}] = result;
  return mergeLast(rewriter, result, match);
}

/// The result of the product with the dimensions of size 1 that the rows do not
/// have.
static Value restoreUnits(OpBuilder &builder, const StackedMatch &match,
                          Value result) {
  linalg::GenericOp op = match.op;
  AffineMap map = op.getIndexingMapsArray().back();
  SmallVector<OpFoldResult> rowSizes = getRowSizes(builder, match), sizes;
  auto type = cast<RankedTensorType>(op.getResultTypes()[0]);
  SmallVector<ReassociationIndices> groups;
  size_t next = 0;
  for (unsigned i = 0; i < map.getNumResults(); ++i) {
    unsigned loop = map.getDimPosition(i);
    bool isRow = llvm::is_contained(match.rows, loop);
    bool isUnit = !isRow && loop != match.n;
    if (groups.empty() || (!isUnit && next > 0))
      groups.emplace_back();
    next += !isUnit;
    groups.back().push_back(i);
    if (isRow)
      sizes.push_back(rowSizes[next - 1]);
    else
      sizes.push_back(builder.getIndexAttr(type.getDimSize(i)));
  }
  auto from = cast<RankedTensorType>(result.getType());
  if (from.getRank() != type.getRank()) {
    SmallVector<int64_t> shape;
    SmallVector<Value> ignored;
    dispatchIndexOpFoldResults(sizes, ignored, shape);
    result = tensor::ExpandShapeOp::create(
        builder, op.getLoc(),
        RankedTensorType::get(shape, type.getElementType()), result, groups,
        sizes);
  }
  if (result.getType() != type)
    result = tensor::CastOp::create(builder, op.getLoc(), type, result);
  return result;
}

LogicalResult LinearRaiser::raiseStacked(const StackedMatch &match) {
  linalg::GenericOp op = match.op;
  Mismatch mismatch;
  std::optional<StackedRows> rows = getRows(match);
  std::optional<Source> source;
  if (rows)
    source = findSource(rows->tensor.value);
  if (!source || !source->match.isDequantized)
    return success();
  std::optional<StackedInt8> weight =
      matchStackedInt8(match, options, mismatch);
  if (!weight)
    return mismatch.isError ? op.emitError(mismatch.reason) : success();
  if (weight->deviation > 0)
    emitSnapRemark(op, weight->deviation);

  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  Quantized input = getReshaped(*source, loc);
  ArrayRef<int64_t> dims = ArrayRef(rows->tensor.dims).drop_back();
  auto spread = [&](Value value, bool hasInner) {
    return rows->merged ? mergeDims(rewriter, value, 0, rows->merged)
                        : spreadRows(rewriter, match, value, dims, hasInner);
  };
  Value values = spread(input.values, true);
  Value scale = spread(input.scale, false);
  Value index = makeIndex(match);
  auto indexType =
      cast<RankedTensorType>(index.getType())
          .clone(cast<RankedTensorType>(scale.getType()).getShape());
  if (index.getType() != indexType)
    index = tensor::CastOp::create(rewriter, loc, indexType, index);

  auto type = RankedTensorType::get(
      {match.experts, weight->rows, weight->columns}, rewriter.getI8Type());
  ElementsAttr stack =
      type.getNumElements() > maxInlineElements
          ? ElementsAttr(makeResourceAttr(type, std::move(weight->values),
                                          weight->name + ".int8"))
          : makeConstantAttr(type, weight->values.getData(), weight->name);
  int64_t scales = weight->scales.size();
  ArrayRef<char> scaleBytes(reinterpret_cast<char *>(weight->scales.data()),
                            scales * sizeof(float));
  ElementsAttr steps = makeConstantAttr(
      RankedTensorType::get({match.experts, scales / match.experts},
                            rewriter.getF32Type()),
      scaleBytes, weight->name + ".scale");
  Value result = ExpertLinearOp::create(rewriter, loc, values, scale, index,
                                        makeConstant(loc, stack),
                                        makeConstant(loc, steps));
  rewriter.replaceOp(op, restoreUnits(rewriter, match, result));
  return success();
}
