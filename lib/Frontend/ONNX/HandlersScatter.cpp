//===- HandlersScatter.cpp - ScatterND, ScatterElements, TopK -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Updates are written one after the other by `scf.for` loops that carry the
// tensor, in the order that ONNX gives them. Nothing is written before every
// index has been checked.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// ScatterND, ScatterElements
//===----------------------------------------------------------------------===//

static FailureOr<std::string> getReduction(NodeContext &ctx) {
  std::string reduction = ctx.getString("reduction", "none");
  if (!llvm::is_contained({"none", "add", "mul", "max", "min"},
                          StringRef(reduction)))
    return ctx.error() << "expected reduction none, add, mul, max or min, but "
                          "got '"
                       << reduction << "'";
  if (reduction != "none" && ctx.getInput(0)->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  return reduction;
}

static LogicalResult requireIndices(NodeContext &ctx) {
  if (ctx.getInput(1)->element.isInteger())
    return success();
  return ctx.error() << "expected integer input 1, but got "
                     << getNumPyName(ctx.getInput(1)->element);
}

static LogicalResult importScatterElements(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  Tensor updates = ctx.getInput(2);
  FailureOr<int64_t> axis = ctx.getAxis("axis", 0, data->getRank());
  FailureOr<std::string> reduction = getReduction(ctx);
  if (failed(axis) || failed(reduction) || failed(requireIndices(ctx)) ||
      failed(ctx.requireSameType(0, 2)) ||
      failed(ctx.requireRank(1, data->getRank())) ||
      failed(ctx.requireRank(2, data->getRank())))
    return failure();
  FailureOr<Tensor> refined = ctx.b.refineSizes(updates, indices->sizes);
  if (failed(refined))
    return failure();
  assertInRange(ctx.b, indices, data->sizes[*axis],
                /*allowsNegative=*/true);
  Value where = ctx.b.getValue(indices);
  Value size = ctx.b.getIndexValue(data->sizes[*axis]);
  ctx.setOutput(
      0, scatter(ctx.b, data, *refined, *reduction,
                 [&](OpBuilder &b, Location loc, ValueRange position) {
                   SmallVector<Value> at(position);
                   Value index =
                       tensor::ExtractOp::create(b, loc, where, position);
                   at[*axis] = ctx.b.wrapIndex(b, loc, index, size);
                   return at;
                 }));
  return success();
}

static LogicalResult importScatterND(NodeContext &ctx) {
  Tensor data = ctx.getInput(0), indices = ctx.getInput(1);
  Tensor updates = ctx.getInput(2);
  FailureOr<std::string> reduction = getReduction(ctx);
  if (failed(reduction) || failed(requireIndices(ctx)) ||
      failed(ctx.requireSameType(0, 2)) || failed(ctx.requireMinRank(1, 1)))
    return failure();
  std::optional<int64_t> depth = indices->sizes.back().getConstant();
  if (!depth || *depth < 1 || *depth > data->getRank())
    return ctx.error() << "expected index tuples of static size that fit rank "
                       << data->getRank();
  int64_t tupleRank = indices->getRank() - 1;
  SizeList sizes(indices->sizes.begin(), indices->sizes.end() - 1);
  sizes.append(data->sizes.begin() + *depth, data->sizes.end());
  if (failed(ctx.requireRank(2, sizes.size())))
    return failure();
  FailureOr<Tensor> refined = ctx.b.refineSizes(updates, sizes);
  if (failed(refined))
    return failure();
  Value tuples = ctx.b.getValue(indices);
  SmallVector<Value> bounds, components;
  Compose c(ctx.b);
  for (int64_t i = 0; i < *depth; ++i) {
    assertInRange(ctx.b, c.slice(indices, tupleRank, i, i + 1), data->sizes[i],
                  /*allowsNegative=*/true);
    bounds.push_back(ctx.b.getIndexValue(data->sizes[i]));
    components.push_back(ctx.b.getIndexConstant(i));
  }
  ctx.setOutput(
      0, scatter(ctx.b, data, *refined, *reduction,
                 [&](OpBuilder &b, Location loc, ValueRange position) {
                   SmallVector<Value> at;
                   for (int64_t i = 0; i < *depth; ++i) {
                     SmallVector<Value> tuple(position.take_front(tupleRank));
                     tuple.push_back(components[i]);
                     Value index =
                         tensor::ExtractOp::create(b, loc, tuples, tuple);
                     at.push_back(ctx.b.wrapIndex(b, loc, index, bounds[i]));
                   }
                   at.append(position.begin() + tupleRank, position.end());
                   return at;
                 }));
  return success();
}

//===----------------------------------------------------------------------===//
// TopK
//===----------------------------------------------------------------------===//

static LogicalResult importTopK(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  FailureOr<int64_t> axis = ctx.getAxis("axis", -1, rank);
  FailureOr<SizeList> count = ctx.getElements(1);
  if (failed(axis) || failed(count))
    return failure();
  if (count->size() != 1)
    return ctx.error() << "expected k to be one number";
  std::optional<int64_t> k = count->front().getConstant();
  std::optional<int64_t> size = input->sizes[*axis].getConstant();
  if (!k || *k < 0 || (size && *k > *size))
    return ctx.error() << "expected a constant k of at most the axis' size";
  auto [values, indices] =
      findBest(ctx.b, input, *axis, *k, ctx.getInt("largest", 1));
  ctx.setOutput(0, values);
  ctx.setOutput(1, indices);
  return success();
}

ArrayRef<HandlerRow> pquant::getScatterHandlers() {
  static const HandlerRow rows[] = {
      {"", "ScatterElements", 13, 3, 3, 1, importScatterElements},
      {"", "ScatterND", 13, 3, 3, 1, importScatterND},
      {"", "TopK", 13, 2, 2, 2, importTopK, "constant k"},
  };
  return rows;
}
