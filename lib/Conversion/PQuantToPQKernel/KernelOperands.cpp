//===- KernelOperands.cpp - What kernels read, from what ops read ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/KernelOperands.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "pquant/Layout/I8x16x4.h"
#include "pquant/Support/Constants.h"
#include "pquant/Support/TensorBuilders.h"

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

bool pquant::isPackedConstant(Value weight) {
  return isa_and_nonnull<LayoutAttr>(typeOf(weight).getEncoding()) &&
         isa_and_nonnull<DenseResourceElementsAttr>(getConstant(weight)) &&
         !getConstantBytes(getConstant(weight)).empty();
}

bool pquant::hasOneGroup(Value scale) {
  return typeOf(scale).getShape().back() == 1;
}

Value pquant::buildFlatWeight(OpBuilder &builder, Location loc, Value weight) {
  RankedTensorType type = typeOf(weight);
  auto packed = cast<DenseResourceElementsAttr>(getConstant(weight));
  auto layout = cast<LayoutAttr>(type.getEncoding());
  return arith::ConstantOp::create(
      builder, loc,
      DenseResourceElementsAttr::get(layout.getStorageType(type.getShape()),
                                     packed.getRawHandle()));
}

Value pquant::buildRowSums(OpBuilder &builder, Location loc, Value weight) {
  ArrayRef<int64_t> shape = typeOf(weight).getShape();
  size_t rows = shape[shape.size() - 2], columns = shape.back();
  size_t count = shape.size() == 3 ? shape[0] : 1;
  auto *packed = reinterpret_cast<const int8_t *>(
      getConstantBytes(getConstant(weight)).data());
  SmallVector<int32_t> sums(count * rows);
  for (size_t i = 0; i < count; ++i)
    layout::rowSumsI8x16x4(packed + i * layout::i8x16x4Bytes(rows, columns),
                           rows, columns, sums.data() + i * rows);
  auto type = RankedTensorType::get(shape.drop_back(), builder.getI32Type());
  ArrayRef<char> bytes(reinterpret_cast<const char *>(sums.data()),
                       sums.size() * sizeof(int32_t));
  return arith::ConstantOp::create(
      builder, loc, cast<TypedAttr>(makeConstantAttr(type, bytes, "row_sums")));
}

Value pquant::buildRowScale(OpBuilder &builder, Location loc, Value scale,
                            int64_t rows, Value factor) {
  std::optional<SmallVector<float>> values = readFloats(scale);
  std::optional<SmallVector<float>> factors;
  if (factor)
    factors = readFloats(factor);
  if (values && (!factor || factors)) {
    SmallVector<float> expanded(rows);
    for (int64_t n = 0; n < rows; ++n)
      expanded[n] = (*values)[values->size() == 1 ? 0 : n] *
                    (factors ? factors->front() : 1.0f);
    return buildFloats(builder, loc, {rows}, expanded, "scale");
  }
  Value vector = collapseToVector(builder, loc, scale);
  if (typeOf(vector).getDimSize(0) != rows) {
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
    Value element = tensor::ExtractOp::create(builder, loc, vector, zero);
    Value empty =
        tensor::EmptyOp::create(builder, loc, {rows}, builder.getF32Type());
    vector = linalg::FillOp::create(builder, loc, element, empty).getResult(0);
  }
  return factor ? buildScale(builder, loc, vector, factor) : vector;
}

Value pquant::buildExpertScale(OpBuilder &builder, Location loc, Value scale,
                               int64_t rows) {
  ArrayRef<int64_t> shape = typeOf(scale).getShape();
  if (shape[1] == rows)
    return scale;
  if (std::optional<SmallVector<float>> values = readFloats(scale)) {
    SmallVector<float> expanded;
    for (float value : *values)
      expanded.append(rows, value);
    return buildFloats(builder, loc, {shape[0], rows}, expanded, "scale");
  }
  Value empty = tensor::EmptyOp::create(
      builder, loc, ArrayRef<int64_t>{shape[0], rows}, builder.getF32Type());
  Value vector = collapseToVector(builder, loc, scale);
  return linalg::BroadcastOp::create(builder, loc, vector, empty,
                                     ArrayRef<int64_t>{1})
      ->getResult(0);
}

Value pquant::buildActivationSums(OpBuilder &builder, Location loc,
                                  Value values) {
  SmallVector<OpFoldResult> rows = tensor::getMixedSizes(builder, loc, values);
  rows.pop_back();
  Value empty =
      tensor::EmptyOp::create(builder, loc, rows, builder.getI32Type());
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
  Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
  AffineExpr m, k;
  bindDims(builder.getContext(), m, k);
  SmallVector<AffineMap> maps = {
      AffineMap::get(2, 0, {m, k}, builder.getContext()),
      AffineMap::get(2, 0, {m}, builder.getContext())};
  return linalg::GenericOp::create(
             builder, loc, init.getType(), values, init, maps,
             ArrayRef<utils::IteratorType>{utils::IteratorType::parallel,
                                           utils::IteratorType::reduction},
             [](OpBuilder &nested, Location nestedLoc, ValueRange args) {
               Value wide = arith::ExtSIOp::create(
                   nested, nestedLoc, nested.getI32Type(), args[0]);
               Value sum =
                   arith::AddIOp::create(nested, nestedLoc, args[1], wide);
               linalg::YieldOp::create(nested, nestedLoc, sum);
             })
      .getResult(0);
}
