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

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// ScatterND, ScatterElements
//===----------------------------------------------------------------------===//

/// Runs `place` for every element of `updates`: it gives where in `data` the
/// element at `position` goes. Returns the updated tensor.
static Tensor scatter(
    NodeContext &ctx, Tensor data, Tensor updates, StringRef reduction,
    function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)> place) {
  OpBuilder &b = ctx.b.getBuilder();
  Location loc = ctx.b.getLoc();
  Value source = ctx.b.getValue(updates), init = ctx.b.getValue(data);
  Value zero = ctx.b.getIndexConstant(0), one = ctx.b.getIndexConstant(1);
  SmallVector<Value> lower(updates->getRank(), zero);
  SmallVector<Value> step(updates->getRank(), one), upper;
  for (const SizeExpr &size : updates->sizes)
    upper.push_back(ctx.b.getIndexValue(size));
  auto update = [&](OpBuilder &b, Location loc, ValueRange position,
                    ValueRange state) -> scf::ValueVector {
    SmallVector<Value> at = place(b, loc, position);
    Value value = tensor::ExtractOp::create(b, loc, source, position);
    if (reduction != "none") {
      ScalarOps o(b, loc, data->element);
      Value old = tensor::ExtractOp::create(b, loc, state[0], at);
      value = reduction == "add"   ? o.add(old, value)
              : reduction == "mul" ? o.mul(old, value)
              : reduction == "max" ? o.max(old, value)
                                   : o.min(old, value);
    }
    return {tensor::InsertOp::create(b, loc, value, state[0], at)};
  };
  scf::LoopNest nest =
      scf::buildLoopNest(b, loc, lower, upper, step, init, update);
  return ctx.b.makeTensor(nest.results.front(), data->element, data->sizes);
}

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
  Compose(ctx.b).assertInRange(indices, data->sizes[*axis],
                               /*allowsNegative=*/true);
  Value where = ctx.b.getValue(indices);
  Value size = ctx.b.getIndexValue(data->sizes[*axis]);
  ctx.setOutput(
      0, scatter(ctx, data, *refined, *reduction,
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
    c.assertInRange(c.slice(indices, tupleRank, i, i + 1), data->sizes[i],
                    /*allowsNegative=*/true);
    bounds.push_back(ctx.b.getIndexValue(data->sizes[i]));
    components.push_back(ctx.b.getIndexConstant(i));
  }
  ctx.setOutput(
      0, scatter(ctx, data, *refined, *reduction,
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

/// rank[i] = how many elements along the axis come before element i: they are
/// better, or equal and of smaller index.
static Tensor computeRanks(NodeContext &ctx, int64_t axis, bool largest) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  OpBuilder &builder = ctx.b.getBuilder();
  MLIRContext *context = builder.getContext();
  ElementType integer{builder.getI64Type()};
  Tensor zeros =
      ctx.b.fill(integer, input->sizes, builder.getI64IntegerAttr(0));
  AffineMap self =
      AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank);
  SmallVector<AffineExpr> exprs(self.getResults());
  exprs[axis] = builder.getAffineDimExpr(rank);
  AffineMap other = AffineMap::get(rank + 1, 0, exprs, context);
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  Value source = ctx.b.getValue(input);
  auto generic = linalg::GenericOp::create(
      builder, ctx.b.getLoc(), zeros->value.getType(),
      ValueRange{source, source}, zeros->value,
      ArrayRef<AffineMap>{self, other, self}, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, input->element), count(b, loc, integer);
        Value i = linalg::IndexOp::create(b, loc, axis);
        Value j = linalg::IndexOp::create(b, loc, rank);
        Value isEarlier =
            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, j, i);
        Value isBetter =
            largest ? o.greater(args[1], args[0]) : o.less(args[1], args[0]);
        Value isTie =
            arith::AndIOp::create(b, loc, isEarlier, o.equal(args[1], args[0]));
        Value comesFirst = arith::OrIOp::create(b, loc, isBetter, isTie);
        Value one = arith::ExtUIOp::create(b, loc, b.getI64Type(), comesFirst);
        linalg::YieldOp::create(b, loc, count.add(args[2], one));
      });
  return ctx.b.makeTensor(generic.getResult(0), integer, input->sizes);
}

/// Output element j is the input element of rank j: found by a loop over the
/// axis that keeps the one that matches.
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
  Tensor ranks = computeRanks(ctx, *axis, ctx.getInt("largest", 1));
  OpBuilder &builder = ctx.b.getBuilder();
  MLIRContext *context = builder.getContext();
  ElementType integer{builder.getI64Type()};
  SizeList sizes = input->sizes;
  sizes[*axis] = SizeExpr(*k);
  Tensor values = ctx.b.fill(input->element, sizes,
                             builder.getZeroAttr(input->element.type));
  Tensor indices = ctx.b.fill(integer, sizes, builder.getI64IntegerAttr(0));
  AffineMap out =
      AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank);
  SmallVector<AffineExpr> exprs(out.getResults());
  exprs[*axis] = builder.getAffineDimExpr(rank);
  AffineMap in = AffineMap::get(rank + 1, 0, exprs, context);
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  auto generic = linalg::GenericOp::create(
      builder, ctx.b.getLoc(),
      TypeRange{values->value.getType(), indices->value.getType()},
      ValueRange{ctx.b.getValue(input), ranks->value},
      ValueRange{values->value, indices->value},
      ArrayRef<AffineMap>{in, in, out, out}, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, integer);
        Value j = linalg::IndexOp::create(b, loc, *axis);
        Value i = linalg::IndexOp::create(b, loc, rank);
        j = arith::IndexCastOp::create(b, loc, b.getI64Type(), j);
        i = arith::IndexCastOp::create(b, loc, b.getI64Type(), i);
        Value isIt = o.equal(args[1], j);
        linalg::YieldOp::create(
            b, loc,
            {o.select(isIt, args[0], args[2]), o.select(isIt, i, args[3])});
      });
  ctx.setOutput(0,
                ctx.b.makeTensor(generic.getResult(0), input->element, sizes));
  ctx.setOutput(1, ctx.b.makeTensor(generic.getResult(1), integer, sizes));
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
