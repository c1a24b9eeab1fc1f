//===- PQuantFloatLinear.cpp - The float linear layer ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Result type, verifier and definition of pquant.float_linear.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDefinition.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

LogicalResult FloatLinearOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> location,
                                              Adaptor adaptor,
                                              SmallVectorImpl<Type> &types) {
  RankedTensorType input = typeOf(adaptor.getInput());
  RankedTensorType weight = typeOf(adaptor.getWeight());
  // (C1)
  if (input.getRank() < 1)
    return emitOptionalError(location,
                             "'pquant.float_linear' op expected input to have "
                             "rank 1 or more, but got 0");
  // (C2)
  if (weight.getRank() != 2)
    return emitOptionalError(location,
                             "'pquant.float_linear' op expected weight to have "
                             "rank 2, but got ",
                             weight.getRank());
  SmallVector<int64_t> shape(input.getShape());
  shape.back() = weight.getDimSize(0);
  types.push_back(RankedTensorType::get(shape, Float32Type::get(context)));
  return success();
}

LogicalResult FloatLinearOp::verify() {
  RankedTensorType input = typeOf(getInput()), weight = typeOf(getWeight());
  // (C1)
  int64_t columns = input.getShape().back();
  if (ShapedType::isDynamic(columns) || columns < 1)
    return emitOpError() << "expected input to have a static last dimension of "
                            "at least 1, but got "
                         << input;
  // (C2)
  if (!weight.hasStaticShape() || weight.getDimSize(0) < 1)
    return emitOpError()
           << "expected weight to have a static shape with at least one row, "
              "but got "
           << weight;
  if (weight.getDimSize(1) != columns)
    return emitOpError() << "expected weight to have " << columns
                         << " columns, but got " << weight.getDimSize(1);
  if (Attribute encoding = weight.getEncoding())
    if (!isa<LayoutAttr>(encoding))
      return emitOpError() << "expected weight to have a #pquant.layout or no "
                              "encoding, but got "
                           << encoding;
  return success();
}

FailureOr<SmallVector<Value>> FloatLinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getWeight())))
    return failure();
  Location loc = getLoc();
  int64_t rank = typeOf(getInput()).getRank();
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(builder, loc, getInput());
  sizes.back() = builder.getIndexAttr(typeOf(getWeight()).getDimSize(0));
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0.0f));
  Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
  // Loops: the rows of the input, n, k.
  SmallVector<AffineExpr> rows, inputExprs, outputExprs;
  for (int64_t i = 0; i < rank - 1; ++i)
    rows.push_back(builder.getAffineDimExpr(i));
  AffineExpr n = builder.getAffineDimExpr(rank - 1);
  AffineExpr k = builder.getAffineDimExpr(rank);
  inputExprs = outputExprs = rows;
  inputExprs.push_back(k);
  outputExprs.push_back(n);
  MLIRContext *context = getContext();
  SmallVector<AffineMap> maps = {
      AffineMap::get(rank + 1, 0, inputExprs, context),
      AffineMap::get(rank + 1, 0, {n, k}, context),
      AffineMap::get(rank + 1, 0, outputExprs, context)};
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  auto product = linalg::GenericOp::create(
      builder, loc, init.getType(), ValueRange{getInput(), getWeight()}, init,
      maps, iterators,
      [](OpBuilder &nested, Location nestedLoc, ValueRange args) {
        Value mul = arith::MulFOp::create(nested, nestedLoc, args[0], args[1]);
        Value sum = arith::AddFOp::create(nested, nestedLoc, args[2], mul);
        linalg::YieldOp::create(nested, nestedLoc, sum);
      });
  return SmallVector<Value>{product.getResult(0)};
}
