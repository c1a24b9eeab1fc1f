//===- TensorOpsIndexing.cpp - Reads and writes at indices ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Data-dependent reads are `tensor.extract` inside a `linalg.generic` whose
// input is the index tensor. Updates are written one after the other by
// `scf.for` loops that carry the tensor. Negative indices count from the end.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

void pquant::appendIndices(OpBuilder &b, Location loc, int64_t begin,
                           int64_t end, SmallVectorImpl<Value> &indices) {
  for (int64_t i = begin; i < end; ++i)
    indices.push_back(linalg::IndexOp::create(b, loc, i));
}

/// Whether known indices are in range.
static LogicalResult checkIndices(TensorBuilder &tensors,
                                  ArrayRef<int64_t> indices,
                                  const SizeExpr &size) {
  std::optional<int64_t> bound = size.getConstant();
  for (int64_t index : indices)
    if (bound && (index < -*bound || index >= *bound))
      return tensors.error() << "expected indices in [" << -*bound << ", "
                             << *bound - 1 << "], but got " << index;
  return success();
}

void pquant::assertInRange(TensorBuilder &tensors, Tensor indices,
                           const SizeExpr &size, bool allowsNegative) {
  OpBuilder &builder = tensors.getBuilder();
  Type integer = indices->element.type;
  Value bound = tensors.getIndexValue(size);
  Value high = arith::IndexCastOp::create(builder, tensors.getLoc(),
                                          builder.getI64Type(), bound);
  ElementType wide{builder.getI64Type()}, truth{builder.getI1Type()};
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, indices->getRank()));
  Tensor areValid = tensors.reduce(
      indices, axes, /*keepDims=*/false, truth, builder.getBoolAttr(true),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, wide);
        Value index = args[0];
        if (integer.getIntOrFloatBitWidth() < 64)
          index =
              indices->element.isUnsigned
                  ? arith::ExtUIOp::create(b, loc, wide.type, index).getResult()
                  : arith::ExtSIOp::create(b, loc, wide.type, index)
                        .getResult();
        Value low = allowsNegative ? o.neg(high) : o.constant(0);
        Value isValid = arith::AndIOp::create(
            b, loc, o.greaterOrEqual(index, low), o.less(index, high));
        return arith::AndIOp::create(b, loc, args[1], isValid).getResult();
      });
  Value isValid = tensor::ExtractOp::create(
      builder, tensors.getLoc(), tensors.getValue(areValid), ValueRange());
  tensors.assertAtRunTime(isValid, "expected indices in range");
}

/// One known index: a slice without the dimension.
static FailureOr<Tensor> gatherSlice(TensorBuilder &tensors, Tensor data,
                                     int64_t axis, int64_t index) {
  SizeList offsets(data->getRank(), SizeExpr(0)), sizes = data->sizes;
  offsets[axis] =
      index < 0 ? data->sizes[axis] + SizeExpr(index) : SizeExpr(index);
  sizes[axis] = SizeExpr(1);
  Tensor slice = tensors.slice(data, offsets, sizes,
                               SmallVector<int64_t>(data->getRank(), 1));
  sizes.erase(sizes.begin() + axis);
  return tensors.reshape(slice, sizes);
}

FailureOr<Tensor> pquant::gather(TensorBuilder &tensors, Tensor data,
                                 Tensor indices, int64_t axis) {
  int64_t indexRank = indices->getRank();
  std::optional<SmallVector<int64_t>> known = tensors.getConstantInts(indices);
  if (known) {
    if (failed(checkIndices(tensors, *known, data->sizes[axis])))
      return failure();
    if (data->elements && data->getRank() == 1) {
      SizeList elements;
      int64_t count = data->elements->size();
      for (int64_t index : *known)
        elements.push_back(
            (*data->elements)[index < 0 ? index + count : index]);
      return tensors.makeElements(data->element, indices->sizes, elements);
    }
    if (indexRank == 0 && data->sizes[axis].getConstant())
      return gatherSlice(tensors, data, axis, known->front());
  }
  // What the caller of the model chooses, token ids above all.
  if (isa_and_present<BlockArgument>(indices->value))
    assertInRange(tensors, indices, data->sizes[axis]);
  SizeList sizes(data->sizes.begin(), data->sizes.begin() + axis);
  sizes.append(indices->sizes.begin(), indices->sizes.end());
  sizes.append(data->sizes.begin() + axis + 1, data->sizes.end());
  int64_t rank = sizes.size();
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < indexRank; ++i)
    exprs.push_back(tensors.getBuilder().getAffineDimExpr(axis + i));
  AffineMap map =
      AffineMap::get(rank, 0, exprs, tensors.getBuilder().getContext());
  Value source = tensors.getValue(data);
  Value size = tensors.getIndexValue(data->sizes[axis]);
  return tensors.parallel(
      data->element, sizes, indices, map,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        SmallVector<Value> at;
        appendIndices(b, loc, 0, axis, at);
        at.push_back(tensors.wrapIndex(b, loc, args[0], size));
        appendIndices(b, loc, axis + indexRank, rank, at);
        return tensor::ExtractOp::create(b, loc, source, at).getResult();
      });
}

Tensor pquant::gatherElements(TensorBuilder &tensors, Tensor data,
                              Tensor indices, int64_t axis) {
  int64_t rank = data->getRank();
  if (isa_and_present<BlockArgument>(indices->value))
    assertInRange(tensors, indices, data->sizes[axis]);
  Value source = tensors.getValue(data);
  Value size = tensors.getIndexValue(data->sizes[axis]);
  AffineMap map = tensors.getBuilder().getMultiDimIdentityMap(rank);
  return tensors.parallel(
      data->element, indices->sizes, indices, map,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        SmallVector<Value> at;
        appendIndices(b, loc, 0, rank, at);
        at[axis] = tensors.wrapIndex(b, loc, args[0], size);
        return tensor::ExtractOp::create(b, loc, source, at).getResult();
      });
}

Tensor pquant::scatter(
    TensorBuilder &tensors, Tensor data, Tensor updates, StringRef reduction,
    function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)> place) {
  OpBuilder &b = tensors.getBuilder();
  Location loc = tensors.getLoc();
  Value source = tensors.getValue(updates), init = tensors.getValue(data);
  Value zero = tensors.getIndexConstant(0), one = tensors.getIndexConstant(1);
  SmallVector<Value> lower(updates->getRank(), zero);
  SmallVector<Value> step(updates->getRank(), one), upper;
  for (const SizeExpr &size : updates->sizes)
    upper.push_back(tensors.getIndexValue(size));
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
  return tensors.makeTensor(nest.results.front(), data->element, data->sizes);
}

SizeExpr pquant::clampBound(TensorBuilder &tensors, SizeExpr bound,
                            const SizeExpr &size, const SizeExpr &low,
                            const SizeExpr &high) {
  if (std::optional<int64_t> constant = bound.getConstant()) {
    // Exporters write "to the end" as a number that no size reaches.
    if (*constant >= INT32_MAX)
      return high;
    if (*constant <= INT32_MIN)
      return low;
    if (*constant < 0)
      bound = bound + size;
  } else if (!tensors.isNonNegative(bound)) {
    OpBuilder &b = tensors.getBuilder();
    Value wrapped =
        tensors.wrapIndex(b, tensors.getLoc(), tensors.getIndexValue(bound),
                          tensors.getIndexValue(size));
    bound = tensors.atomFor(wrapped, /*isNonNegative=*/false);
  }
  return tensors.minimum(tensors.maximum(bound, low), high);
}

Tensor pquant::makeRange(TensorBuilder &tensors, Tensor start, Tensor delta,
                         const SizeExpr &length) {
  ElementType element = start->element;
  if (element.isInteger() && start->elements && delta->elements &&
      length.getConstant() &&
      *length.getConstant() <= TensorBuilder::maxInlineElements) {
    SizeList elements;
    for (int64_t i = 0; i < *length.getConstant(); ++i)
      elements.push_back(start->elements->front() +
                         delta->elements->front() * SizeExpr(i));
    return tensors.makeElements(element, {length}, elements);
  }
  AffineMap scalar = AffineMap::get(1, 0, tensors.getBuilder().getContext());
  return tensors.parallel(
      element, {length}, {start, delta}, {scalar, scalar},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value i = linalg::IndexOp::create(b, loc, 0);
        Type integer = element.isFloat() ? b.getI64Type() : element.type;
        i = arith::IndexCastOp::create(b, loc, integer, i);
        if (element.isFloat())
          i = arith::SIToFPOp::create(b, loc, element.type, i);
        return o.add(args[0], o.mul(i, args[1]));
      });
}

Tensor pquant::keepTriangle(TensorBuilder &tensors, Tensor input,
                            const SizeExpr &diagonal, bool isUpper) {
  int64_t rank = input->getRank();
  Value k = tensors.getIndexValue(diagonal);
  AffineMap map = tensors.getBuilder().getMultiDimIdentityMap(rank);
  return tensors.parallel(
      input->element, input->sizes, input, map,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        Value row = linalg::IndexOp::create(b, loc, rank - 2);
        Value column = linalg::IndexOp::create(b, loc, rank - 1);
        Value distance = arith::SubIOp::create(b, loc, column, row);
        Value keep = arith::CmpIOp::create(b, loc,
                                           isUpper ? arith::CmpIPredicate::sge
                                                   : arith::CmpIPredicate::sle,
                                           distance, k);
        Value zero = arith::ConstantOp::create(
            b, loc, b.getZeroAttr(input->element.type));
        return arith::SelectOp::create(b, loc, keep, args[0], zero).getResult();
      });
}
