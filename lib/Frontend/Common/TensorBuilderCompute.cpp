//===- TensorBuilderCompute.cpp - Elementwise ops, sums, products ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The structured ops of the import form: every operator of a model is one
// `linalg.generic` whose maps say how its operands broadcast, so that raising
// can match on maps and bodies alone.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

FailureOr<SizeList>
TensorBuilder::broadcast(ArrayRef<ArrayRef<SizeExpr>> shapes) {
  size_t rank = 0;
  for (ArrayRef<SizeExpr> shape : shapes)
    rank = std::max(rank, shape.size());
  SizeList result(rank, SizeExpr(1));
  for (ArrayRef<SizeExpr> shape : shapes)
    for (size_t i = 0; i < shape.size(); ++i) {
      SizeExpr &size = result[rank - shape.size() + i];
      // A static size is the better name of two equal ones.
      if (size.isConstant(1) ||
          (shape[i].getConstant() && !shape[i].isConstant(1) &&
           !size.getConstant()))
        size = shape[i];
    }
  for (ArrayRef<SizeExpr> shape : shapes)
    for (size_t i = 0; i < shape.size(); ++i) {
      size_t axis = rank - shape.size() + i;
      if (!shape[i].isConstant(1) &&
          failed(requireEqual(shape[i], result[axis],
                              "broadcast dimension " + Twine(axis))))
        return failure();
    }
  return result;
}

AffineMap TensorBuilder::getBroadcastMap(ArrayRef<SizeExpr> sizes,
                                         ArrayRef<SizeExpr> loops) {
  SmallVector<AffineExpr> exprs;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    size_t axis = loops.size() - sizes.size() + i;
    bool repeats = size.isConstant(1) && !loops[axis].isConstant(1);
    exprs.push_back(repeats ? builder.getAffineConstantExpr(0)
                            : builder.getAffineDimExpr(axis));
  }
  return AffineMap::get(loops.size(), 0, exprs, builder.getContext());
}

Value TensorBuilder::empty(ElementType element, ArrayRef<SizeExpr> sizes) {
  return tensor::EmptyOp::create(builder, nodeLoc, getFoldResults(sizes),
                                 element.type);
}

Tensor TensorBuilder::parallel(ElementType result, SizeList sizes,
                               ArrayRef<Tensor> inputs,
                               ArrayRef<AffineMap> maps, Body body) {
  SmallVector<Value> operands =
      llvm::map_to_vector(inputs, [&](Tensor t) { return getValue(t); });
  Value init = empty(result, sizes);
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(builder.getMultiDimIdentityMap(sizes.size()));
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      builder, nodeLoc, init.getType(), operands, init, allMaps, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        linalg::YieldOp::create(b, loc, body(b, loc, args.drop_back()));
      });
  return makeTensor(generic.getResult(0), result, std::move(sizes));
}

FailureOr<Tensor> TensorBuilder::elementwise(ElementType result,
                                             ArrayRef<Tensor> inputs,
                                             Body body) {
  SmallVector<ArrayRef<SizeExpr>> shapes;
  for (Tensor input : inputs)
    shapes.push_back(input->sizes);
  FailureOr<SizeList> sizes = broadcast(shapes);
  if (failed(sizes))
    return failure();
  SmallVector<AffineMap> maps;
  for (Tensor input : inputs)
    maps.push_back(getBroadcastMap(input->sizes, *sizes));
  return parallel(result, *sizes, inputs, maps, body);
}

Tensor TensorBuilder::fill(ElementType element, SizeList sizes,
                           TypedAttr contents) {
  Value init = empty(element, sizes);
  Value scalar = arith::ConstantOp::create(builder, nodeLoc, contents);
  auto fill = linalg::FillOp::create(builder, nodeLoc, scalar, init);
  return makeTensor(fill.getResult(0), element, std::move(sizes));
}

Tensor TensorBuilder::reduce(Tensor input, ArrayRef<int64_t> axes,
                             bool keepDims, ElementType result, TypedAttr init,
                             Body body) {
  int64_t rank = input->getRank();
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  for (int64_t axis : axes)
    iterators[axis] = utils::IteratorType::reduction;
  SizeList kept, withOnes = input->sizes;
  SmallVector<AffineExpr> keptDims;
  for (int64_t i = 0; i < rank; ++i) {
    if (iterators[i] == utils::IteratorType::reduction) {
      withOnes[i] = SizeExpr(1);
      continue;
    }
    kept.push_back(input->sizes[i]);
    keptDims.push_back(builder.getAffineDimExpr(i));
  }
  Tensor start = fill(result, kept, init);
  AffineMap maps[] = {builder.getMultiDimIdentityMap(rank),
                      AffineMap::get(rank, 0, keptDims, builder.getContext())};
  auto generic = linalg::GenericOp::create(
      builder, nodeLoc, start->value.getType(), getValue(input), start->value,
      maps, iterators, [&](OpBuilder &b, Location loc, ValueRange args) {
        linalg::YieldOp::create(b, loc, body(b, loc, args));
      });
  Tensor reduced = makeTensor(generic.getResult(0), result, kept);
  if (!keepDims)
    return reduced;
  // Only dimensions of size 1 are added: this reshape cannot fail.
  return *reshape(reduced, withOnes);
}

Tensor TensorBuilder::contract(ArrayRef<Tensor> inputs,
                               ArrayRef<AffineMap> maps, ElementType result,
                               SizeList sizes, AffineMap outputMap,
                               ArrayRef<utils::IteratorType> iterators) {
  Tensor start = fill(result, sizes, builder.getZeroAttr(result.type));
  SmallVector<Value> operands =
      llvm::map_to_vector(inputs, [&](Tensor t) { return getValue(t); });
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(outputMap);
  auto generic = linalg::GenericOp::create(
      builder, nodeLoc, start->value.getType(), operands, start->value, allMaps,
      iterators, [&](OpBuilder &b, Location loc, ValueRange args) {
        Value product = args[0];
        bool isFloat = result.isFloat();
        for (Value factor : args.drop_front().drop_back())
          product =
              isFloat
                  ? arith::MulFOp::create(b, loc, product, factor).getResult()
                  : arith::MulIOp::create(b, loc, product, factor).getResult();
        Value sum = isFloat
                        ? arith::AddFOp::create(b, loc, args.back(), product)
                              .getResult()
                        : arith::AddIOp::create(b, loc, args.back(), product)
                              .getResult();
        linalg::YieldOp::create(b, loc, sum);
      });
  return makeTensor(generic.getResult(0), result, std::move(sizes));
}

/// Converts a scalar; the types differ.
static Value castScalar(OpBuilder &b, Location loc, Value in, ElementType from,
                        ElementType to) {
  if (to.isBool()) {
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(from.type));
    if (from.isFloat())
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, in, zero);
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, in, zero);
  }
  bool fromUnsigned = from.isUnsigned || from.isBool();
  if (from.isFloat() && to.isFloat()) {
    unsigned fromBits = from.type.getIntOrFloatBitWidth();
    unsigned toBits = to.type.getIntOrFloatBitWidth();
    if (fromBits == toBits) { // f16 and bf16
      in = arith::ExtFOp::create(b, loc, b.getF32Type(), in);
      fromBits = 32;
    }
    if (fromBits < toBits)
      return arith::ExtFOp::create(b, loc, to.type, in);
    return arith::TruncFOp::create(b, loc, to.type, in);
  }
  if (from.isFloat()) {
    if (to.isUnsigned)
      return arith::FPToUIOp::create(b, loc, to.type, in);
    return arith::FPToSIOp::create(b, loc, to.type, in);
  }
  if (to.isFloat()) {
    if (fromUnsigned)
      return arith::UIToFPOp::create(b, loc, to.type, in);
    return arith::SIToFPOp::create(b, loc, to.type, in);
  }
  unsigned fromBits = from.type.getIntOrFloatBitWidth();
  unsigned toBits = to.type.getIntOrFloatBitWidth();
  if (fromBits == toBits)
    return in;
  if (fromBits > toBits)
    return arith::TruncIOp::create(b, loc, to.type, in);
  if (fromUnsigned)
    return arith::ExtUIOp::create(b, loc, to.type, in);
  return arith::ExtSIOp::create(b, loc, to.type, in);
}

/// Whether every integer element survives the conversion unchanged.
static bool keepsIntegers(ArrayRef<SizeExpr> elements, ElementType to) {
  if (to.isFloat() || to.type.getIntOrFloatBitWidth() >= 32)
    return true;
  unsigned bits = to.type.getIntOrFloatBitWidth();
  return llvm::all_of(elements, [&](const SizeExpr &element) {
    std::optional<int64_t> number = element.getConstant();
    return number && *number >= 0 && *number < (int64_t(1) << (bits - 1)) &&
           !to.isBool();
  });
}

Tensor TensorBuilder::castElements(Tensor input, ElementType result) {
  ElementType from = input->element;
  if (from == result)
    return input;
  if (input->elements && keepsIntegers(*input->elements, result))
    return makeElements(result, input->sizes, *input->elements);
  AffineMap map = builder.getMultiDimIdentityMap(input->getRank());
  return parallel(result, input->sizes, input, map,
                  [&](OpBuilder &b, Location loc, ValueRange args) {
                    return castScalar(b, loc, args[0], from, result);
                  });
}

Value TensorBuilder::wrapIndex(OpBuilder &b, Location loc, Value index,
                               Value size) {
  Value position = index;
  if (!index.getType().isIndex())
    position = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value isNegative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, position, zero);
  Value wrapped = arith::AddIOp::create(b, loc, position, size);
  return arith::SelectOp::create(b, loc, isNegative, wrapped, position);
}
