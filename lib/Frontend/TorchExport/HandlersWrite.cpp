//===- HandlersWrite.cpp - Tensors with some elements replaced ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functional forms; caches are written by the in-place ones. Indices are
// checked at run time before anything is written.
//
//===----------------------------------------------------------------------===//

#include "AdvancedIndex.h"
#include "Handlers.h"
#include "Views.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

/// All of the tensor becomes what `src` broadcasts to.
static LogicalResult importCopy(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self");
  return ctx.setResult(Box(self).write(ctx, self, ctx.getTensor("src")));
}

static LogicalResult importSliceScatter(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self");
  if (failed(ctx.requireRank(self, 1, INT64_MAX)))
    return failure();
  Box box = getSliceBox(ctx, self);
  if (!box.isValid)
    return failure();
  return ctx.setResult(box.write(ctx, self, ctx.getTensor("src")));
}

static LogicalResult importSelectScatter(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self"), source = ctx.getTensor("src");
  if (failed(ctx.requireRank(self, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", self->getRank());
  Box box = getSelectBox(ctx, self, axis, ctx.getSize("index"));
  FailureOr<Tensor> slice = ctx.b.reshape(source, box.sizes);
  if (!box.isValid || failed(slice))
    return failure();
  return ctx.setResult(box.write(ctx, self, *slice));
}

//===----------------------------------------------------------------------===//
// Scatter: indices for every element
//===----------------------------------------------------------------------===//

/// What PyTorch calls the combinations of old and new elements.
static FailureOr<StringRef> getReduction(NodeContext &ctx,
                                         StringRef defaultOne) {
  std::string name = ctx.getString("reduce", defaultOne);
  static const std::pair<StringLiteral, StringLiteral> names[] = {
      {"none", "none"}, {"add", "add"},  {"sum", "add"},  {"multiply", "mul"},
      {"prod", "mul"},  {"amax", "max"}, {"amin", "min"},
  };
  for (const auto &[theirs, ours] : names)
    if (theirs == name)
      return StringRef(ours);
  return ctx.error() << "reduction '" << name << "' is not supported";
}

static LogicalResult scatterAlong(NodeContext &ctx, Tensor updates,
                                  StringRef reduction) {
  Tensor self = ctx.getTensor("self"), indices = ctx.getTensor("index");
  int64_t rank = self->getRank();
  if (failed(ctx.requireInteger(indices)) ||
      failed(ctx.requireRank(self, 1, INT64_MAX)) ||
      failed(ctx.requireRank(indices, rank, rank)) ||
      failed(ctx.requireRank(updates, rank, rank)))
    return failure();
  if (reduction != "none" && self->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  int64_t axis = ctx.getAxis("dim", rank);
  // Updates may be larger than the indices; only their corner counts.
  Box corner(updates);
  corner.sizes = indices->sizes;
  for (int64_t i = 0; i < rank; ++i)
    if (failed(requireAtMost(ctx, indices->sizes[i], updates->sizes[i])) ||
        (i != axis &&
         failed(requireAtMost(ctx, indices->sizes[i], self->sizes[i]))))
      return failure();
  updates = ctx.b.castElements(corner.read(ctx, updates), self->element);
  assertInRange(ctx.b, indices, self->sizes[axis]);
  Value where = ctx.b.getValue(indices);
  Value size = ctx.b.getIndexValue(self->sizes[axis]);
  return ctx.setResult(scatter(
      ctx.b, self, updates, reduction,
      [&](OpBuilder &b, Location loc, ValueRange position) {
        SmallVector<Value> at(position);
        Value index = tensor::ExtractOp::create(b, loc, where, position);
        at[axis] = ctx.b.wrapIndex(b, loc, index, size);
        return at;
      }));
}

static LogicalResult importScatter(NodeContext &ctx) {
  FailureOr<StringRef> reduction = getReduction(ctx, "none");
  if (failed(reduction))
    return failure();
  return scatterAlong(ctx, ctx.getTensor("src"), *reduction);
}

static LogicalResult importScatterAdd(NodeContext &ctx) {
  return scatterAlong(ctx, ctx.getTensor("src"), "add");
}

static LogicalResult importScatterValue(NodeContext &ctx) {
  FailureOr<StringRef> reduction = getReduction(ctx, "none");
  FailureOr<Tensor> updates =
      ctx.b.expand(ctx.getOperandAs("value", ctx.getTensor("self")->element),
                   ctx.getTensor("index")->sizes);
  if (failed(reduction) || failed(updates))
    return failure();
  return scatterAlong(ctx, *updates, *reduction);
}

//===----------------------------------------------------------------------===//
// IndexCopy, IndexPut: indices for slices
//===----------------------------------------------------------------------===//

/// Slice i of `source` goes to, or is added at, index[i].
template <bool adds>
static LogicalResult importIndexCopy(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self"), indices = ctx.getTensor("index");
  Tensor source = ctx.b.castElements(ctx.getTensor("source"), self->element);
  int64_t rank = self->getRank();
  if (failed(ctx.requireInteger(indices)) ||
      failed(ctx.requireRank(self, 1, INT64_MAX)) ||
      failed(ctx.requireRank(indices, 1, 1)) ||
      failed(ctx.requireRank(source, rank, rank)))
    return failure();
  if (ctx.getDouble("alpha", 1) != 1)
    return ctx.error() << "expected alpha of 1";
  int64_t axis = ctx.getAxis("dim", rank);
  SizeList sizes = self->sizes;
  sizes[axis] = indices->sizes[0];
  FailureOr<Tensor> updates = ctx.b.refineSizes(source, sizes);
  if (failed(updates))
    return failure();
  assertInRange(ctx.b, indices, self->sizes[axis]);
  Value where = ctx.b.getValue(indices);
  Value size = ctx.b.getIndexValue(self->sizes[axis]);
  return ctx.setResult(scatter(
      ctx.b, self, *updates, adds ? "add" : "none",
      [&](OpBuilder &b, Location loc, ValueRange position) {
        SmallVector<Value> at(position);
        Value index = tensor::ExtractOp::create(b, loc, where, position[axis]);
        at[axis] = ctx.b.wrapIndex(b, loc, index, size);
        return at;
      }));
}

static LogicalResult importIndexPut(NodeContext &ctx) {
  Tensor self = ctx.getTensor("self");
  FailureOr<AdvancedIndex> index = readIndices(ctx, self);
  if (failed(index))
    return failure();
  FailureOr<Tensor> updates =
      expandTo(ctx, ctx.b.castElements(ctx.getTensor("values"), self->element),
               index->sizes);
  if (failed(updates))
    return failure();
  bool adds = ctx.getBool("accumulate", false);
  if (adds && self->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  auto [sources, bounds] = index->getOperands(ctx, self);
  ArrayRef<Value> from(sources), limits(bounds);
  return ctx.setResult(
      scatter(ctx.b, self, *updates, adds ? "add" : "none",
              [&](OpBuilder &b, Location loc, ValueRange position) {
                return index->locate(ctx, b, loc, self, position, from, limits);
              }));
}

ArrayRef<HandlerRow> pt2::getWriteHandlers() {
  static const HandlerRow rows[] = {
      {"aten.copy.default", "self src", importCopy},
      {"aten.index_add.default", "self index source", importIndexCopy<true>,
       "alpha = 1"},
      {"aten.index_copy.default", "self index source", importIndexCopy<false>},
      {"aten.index_put.default", "self values", importIndexPut,
       "no masks as indices"},
      {"aten.scatter.reduce", "self index src", importScatter},
      {"aten.scatter.src", "self index src", importScatter},
      {"aten.scatter.value", "self index", importScatterValue},
      {"aten.scatter_add.default", "self index src", importScatterAdd},
      {"aten.select_scatter.default", "self src", importSelectScatter},
      {"aten.slice_scatter.default", "self src", importSliceScatter},
  };
  return rows;
}
