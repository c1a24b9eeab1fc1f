//===- HandlersIndexing.cpp - Reads at indices ----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AdvancedIndex.h"
#include "Handlers.h"
#include "Views.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static LogicalResult importEmbedding(NodeContext &ctx) {
  Tensor weight = ctx.getTensor("weight"), indices = ctx.getTensor("indices");
  if (failed(ctx.requireInteger(indices)) ||
      failed(ctx.requireRank(weight, 2, 2)))
    return failure();
  return ctx.setResult(gather(ctx.b, weight, indices, 0));
}

static LogicalResult importIndexSelect(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self"), indices = ctx.getTensor("index");
  if (failed(ctx.requireInteger(indices)) ||
      failed(ctx.requireRank(input, 1, INT64_MAX)) ||
      failed(ctx.requireRank(indices, 1, 1)))
    return failure();
  return ctx.setResult(
      gather(ctx.b, input, indices, ctx.getAxis("dim", input->getRank())));
}

static LogicalResult importGather(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self"), indices = ctx.getTensor("index");
  int64_t rank = input->getRank();
  if (failed(ctx.requireInteger(indices)) ||
      failed(ctx.requireRank(input, 1, INT64_MAX)) ||
      failed(ctx.requireRank(indices, rank, rank)))
    return failure();
  int64_t axis = ctx.getAxis("dim", rank);
  for (int64_t i = 0; i < rank; ++i)
    if (i != axis &&
        failed(requireAtMost(ctx, indices->sizes[i], input->sizes[i])))
      return failure();
  return ctx.setResult(gatherElements(ctx.b, input, indices, axis));
}

/// The difference of neighbours, once.
static LogicalResult importDiff(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  if (ctx.getInt("n", 1) != 1)
    return ctx.error() << "expected n of 1";
  int64_t axis = ctx.getAxis("dim", input->getRank(), -1);
  SmallVector<Tensor> parts;
  for (Tensor part : {ctx.getOptionalTensor("prepend"), input,
                      ctx.getOptionalTensor("append")}) {
    if (!part)
      continue;
    if (failed(ctx.requireRank(part, input->getRank(), input->getRank())))
      return failure();
    parts.push_back(ctx.b.castElements(part, input->element));
  }
  FailureOr<Tensor> joined = ctx.b.concat(parts, axis);
  if (failed(joined))
    return failure();
  Box left(*joined), right(*joined);
  left.sizes[axis] = ctx.b.maximum(left.sizes[axis] - SizeExpr(1), SizeExpr(0));
  right.sizes = left.sizes;
  right.offsets[axis] = SizeExpr(1);
  return ctx.setResult(
      mapElements(ctx.b, right.read(ctx, *joined), left.read(ctx, *joined),
                  [](ScalarOps &o, Value x, Value y) -> Value {
                    if (o.element.isBool())
                      return arith::XOrIOp::create(o.b, o.loc, x, y);
                    return o.sub(x, y);
                  }));
}

//===----------------------------------------------------------------------===//
// NumPy's indexing by tensors
//===----------------------------------------------------------------------===//

FailureOr<AdvancedIndex> pt2::readIndices(NodeContext &ctx, Tensor self) {
  AdvancedIndex index;
  SmallVector<ArrayRef<SizeExpr>> shapes;
  SmallVector<Tensor> given = ctx.getTensors("indices");
  if (given.size() > self->sizes.size())
    return ctx.error() << "expected at most " << self->sizes.size()
                       << " indices, but got " << given.size();
  for (auto [axis, tensor] : llvm::enumerate(given)) {
    if (!tensor)
      continue;
    if (tensor->element.isBool())
      return ctx.error() << "a mask as index is not supported";
    if (failed(ctx.requireInteger(tensor)))
      return failure();
    index.axes.push_back(axis);
    index.tensors.push_back(tensor);
    shapes.push_back(tensor->sizes);
  }
  if (index.axes.empty())
    return ctx.error() << "expected an index";
  FailureOr<SizeList> broadcast = ctx.b.broadcast(shapes);
  if (failed(broadcast))
    return failure();
  index.indexRank = broadcast->size();
  // Neighbouring indices stay where they are; others move to the front.
  bool areNeighbours = index.axes.back() - index.axes.front() + 1 ==
                       static_cast<int64_t>(index.axes.size());
  index.position = areNeighbours ? index.axes.front() : 0;
  for (int64_t axis = 0; axis < self->getRank(); ++axis) {
    if (static_cast<int64_t>(index.sizes.size()) == index.position &&
        !index.isPlaced)
      index.place(*broadcast);
    if (!llvm::is_contained(index.axes, axis))
      index.sizes.push_back(self->sizes[axis]);
  }
  if (!index.isPlaced)
    index.place(*broadcast);
  for (auto [tensor, axis] : llvm::zip_equal(index.tensors, index.axes))
    if (!ctx.b.getConstantInts(tensor) || !self->sizes[axis].getConstant())
      assertInRange(ctx.b, tensor, self->sizes[axis]);
  return index;
}

/// Where the element `position` of the result lies in the tensor.
SmallVector<Value> AdvancedIndex::locate(NodeContext &ctx, OpBuilder &b,
                                         Location loc, Tensor self,
                                         ValueRange position,
                                         ValueRange sources,
                                         ValueRange bounds) const {
  SmallVector<Value> at;
  size_t next = 0;
  for (int64_t axis = 0; axis < self->getRank(); ++axis) {
    const auto *found = llvm::find(axes, axis);
    if (found == axes.end()) {
      if (static_cast<int64_t>(next) == this->position)
        next += indexRank;
      at.push_back(position[next++]);
      continue;
    }
    size_t i = found - axes.begin();
    // The index tensor is aligned with the end of the broadcast dimensions.
    SmallVector<Value> from;
    int64_t rank = tensors[i]->getRank();
    for (int64_t d = 0; d < rank; ++d)
      from.push_back(tensors[i]->sizes[d].isConstant(1)
                         ? Value(arith::ConstantIndexOp::create(b, loc, 0))
                         : position[this->position + indexRank - rank + d]);
    Value index = tensor::ExtractOp::create(b, loc, sources[i], from);
    at.push_back(ctx.b.wrapIndex(b, loc, index, bounds[i]));
  }
  return at;
}

std::pair<SmallVector<Value>, SmallVector<Value>>
AdvancedIndex::getOperands(NodeContext &ctx, Tensor self) const {
  SmallVector<Value> sources, bounds;
  for (auto [tensor, axis] : llvm::zip_equal(tensors, axes)) {
    sources.push_back(ctx.b.getValue(tensor));
    bounds.push_back(ctx.b.getIndexValue(self->sizes[axis]));
  }
  return {sources, bounds};
}

static LogicalResult importIndex(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self");
  FailureOr<AdvancedIndex> index = readIndices(ctx, self);
  if (failed(index))
    return failure();
  if (index->axes.size() == 1)
    return ctx.setResult(
        gather(ctx.b, self, index->tensors.front(), index->axes.front()));
  auto [sources, bounds] = index->getOperands(ctx, self);
  ArrayRef<Value> from(sources), limits(bounds);
  Value source = ctx.b.getValue(self);
  return ctx.setResult(ctx.b.parallel(
      self->element, index->sizes, {}, {},
      [&](OpBuilder &b, Location loc, ValueRange) {
        SmallVector<Value> position;
        appendIndices(b, loc, 0, index->sizes.size(), position);
        return tensor::ExtractOp::create(
                   b, loc, source,
                   index->locate(ctx, b, loc, self, position, from, limits))
            .getResult();
      }));
}

ArrayRef<HandlerRow> pt2::getIndexingHandlers() {
  static const HandlerRow rows[] = {
      {"aten.diff.default", "self", importDiff, "n = 1"},
      {"aten.embedding.default", "weight indices", importEmbedding},
      {"aten.gather.default", "self index", importGather},
      {"aten.index.Tensor", "self", importIndex, "no masks as indices"},
      {"aten.index_select.default", "self index", importIndexSelect},
  };
  return rows;
}
