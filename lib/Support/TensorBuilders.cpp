//===- TensorBuilders.cpp - Small pieces of tensor IR ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Support/TensorBuilders.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "pquant/Support/Constants.h"
#include <cstring>

using namespace pquant;
using mlir::AffineMap;
using mlir::ReassociationIndices;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

Value pquant::buildElementwise(OpBuilder &builder, Location loc,
                               ValueRange inputs, ArrayRef<AffineMap> maps,
                               ScalarBody body) {
  RankedTensorType type = typeOf(inputs[0]);
  SmallVector<OpFoldResult> sizes =
      mlir::tensor::getMixedSizes(builder, loc, inputs[0]);
  Value init =
      mlir::tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(builder.getMultiDimIdentityMap(type.getRank()));
  SmallVector<mlir::utils::IteratorType> iterators(
      type.getRank(), mlir::utils::IteratorType::parallel);
  return mlir::linalg::GenericOp::create(
             builder, loc, init.getType(), inputs, init, allMaps, iterators,
             [&](OpBuilder &nested, Location nestedLoc, ValueRange args) {
               mlir::linalg::YieldOp::create(
                   nested, nestedLoc,
                   body(nested, nestedLoc, args.drop_back()));
             })
      .getResult(0);
}

Value pquant::buildElementwise(OpBuilder &builder, Location loc,
                               ValueRange inputs, ScalarBody body) {
  SmallVector<AffineMap> maps(inputs.size(), builder.getMultiDimIdentityMap(
                                                 typeOf(inputs[0]).getRank()));
  return buildElementwise(builder, loc, inputs, maps, body);
}

Value pquant::buildScale(OpBuilder &builder, Location loc, Value lhs,
                         Value rhs) {
  int64_t rank = typeOf(lhs).getRank();
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  AffineMap rhsMap = typeOf(rhs).getRank() == rank
                         ? identity
                         : AffineMap::get(rank, 0, builder.getContext());
  return buildElementwise(
      builder, loc, {lhs, rhs}, {identity, rhsMap},
      [](OpBuilder &nested, Location nestedLoc, ValueRange args) -> Value {
        return mlir::arith::MulFOp::create(nested, nestedLoc, args[0], args[1]);
      });
}

/// Groups of dimensions [0, rank - kept) and each of the last `kept`.
static SmallVector<ReassociationIndices> groups(int64_t rank, int64_t kept) {
  SmallVector<ReassociationIndices> result(1);
  for (int64_t i = 0; i < rank - kept; ++i)
    result[0].push_back(i);
  for (int64_t i = rank - kept; i < rank; ++i)
    result.push_back({i});
  return result;
}

Value pquant::collapseToMatrix(OpBuilder &builder, Location loc, Value value) {
  RankedTensorType type = typeOf(value);
  if (type.getRank() == 2)
    return value;
  if (type.getRank() == 1) {
    auto matrix =
        RankedTensorType::get({1, type.getDimSize(0)}, type.getElementType());
    return mlir::tensor::ExpandShapeOp::create(
        builder, loc, matrix, value,
        ArrayRef<ReassociationIndices>{ReassociationIndices{0, 1}});
  }
  return mlir::tensor::CollapseShapeOp::create(builder, loc, value,
                                               groups(type.getRank(), 1));
}

Value pquant::collapseToVector(OpBuilder &builder, Location loc, Value value) {
  RankedTensorType type = typeOf(value);
  if (type.getRank() == 1)
    return value;
  if (type.getRank() == 0)
    return mlir::tensor::ExpandShapeOp::create(
        builder, loc, RankedTensorType::get({1}, type.getElementType()), value,
        ArrayRef<ReassociationIndices>{});
  return mlir::tensor::CollapseShapeOp::create(builder, loc, value,
                                               groups(type.getRank(), 0));
}

Value pquant::expandFrom(OpBuilder &builder, Location loc, Value value,
                         RankedTensorType type, ArrayRef<OpFoldResult> shape) {
  int64_t rank = type.getRank(), kept = typeOf(value).getRank() - 1;
  if (rank == kept + 1) {
    if (value.getType() == type)
      return value;
    return mlir::tensor::CastOp::create(builder, loc, type, value);
  }
  if (rank == kept) { // The only row of a vector, the only element of a scalar.
    SmallVector<ReassociationIndices> reassociation;
    if (kept == 1)
      reassociation.push_back({0, 1});
    auto one = RankedTensorType::get(SmallVector<int64_t>(kept + 1, 1),
                                     type.getElementType());
    if (kept == 1)
      one =
          RankedTensorType::get({1, type.getDimSize(0)}, type.getElementType());
    if (value.getType() != one)
      value = mlir::tensor::CastOp::create(builder, loc, one, value);
    return mlir::tensor::CollapseShapeOp::create(builder, loc, type, value,
                                                 reassociation);
  }
  return mlir::tensor::ExpandShapeOp::create(builder, loc, type, value,
                                             groups(rank, kept), shape);
}

ElementsAttr pquant::getConstant(Value value) {
  auto constant = value.getDefiningOp<mlir::arith::ConstantOp>();
  return constant ? dyn_cast<ElementsAttr>(constant.getValue())
                  : ElementsAttr();
}

std::optional<SmallVector<float>> pquant::readFloats(Value value) {
  ElementsAttr attr = getConstant(value);
  if (!attr || !attr.getElementType().isF32())
    return std::nullopt;
  ArrayRef<char> bytes = getConstantBytes(attr);
  size_t count = attr.getNumElements();
  bool splat = isSplatConstant(attr);
  if (bytes.size() != (splat ? 1 : count) * sizeof(float))
    return std::nullopt;
  SmallVector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    std::memcpy(&values[i], bytes.data() + (splat ? 0 : i) * sizeof(float),
                sizeof(float));
  return values;
}

Value pquant::buildFloats(OpBuilder &builder, Location loc,
                          ArrayRef<int64_t> shape, ArrayRef<float> values,
                          StringRef name) {
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  ArrayRef<char> bytes(reinterpret_cast<const char *>(values.data()),
                       values.size() * sizeof(float));
  bool equal =
      !values.empty() && llvm::all_equal(llvm::map_range(values, [](float v) {
        return llvm::bit_cast<uint32_t>(v);
      }));
  ElementsAttr attr = equal ? DenseElementsAttr::get(type, values[0])
                            : makeConstantAttr(type, bytes, name);
  return mlir::arith::ConstantOp::create(builder, loc,
                                         cast<mlir::TypedAttr>(attr));
}

ElementsAttr pquant::reshapeConstant(ElementsAttr attr,
                                     ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, attr.getElementType());
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return cast<DenseElementsAttr>(attr).reshape(type);
}
