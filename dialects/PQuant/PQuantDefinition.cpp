//===- PQuantDefinition.cpp - Writing definitions of ops ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The steps that definitions are made of, and the replacement of an op by its
// definition.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDefinition.h"

using namespace mlir;
using namespace pquant;

Sizes Definition::sizesOf(Value tensor) {
  return tensor::getMixedSizes(builder, loc, tensor);
}

Sizes Definition::rowsOf(Value tensor) {
  Sizes sizes = sizesOf(tensor);
  sizes.pop_back();
  return sizes;
}

Value Definition::filled(const Sizes &sizes, TypedAttr value) {
  Value scalar = arith::ConstantOp::create(builder, loc, value);
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, value.getType());
  return linalg::FillOp::create(builder, loc, scalar, empty).getResult(0);
}

SmallVector<AffineExpr> Definition::loops(unsigned count) {
  return llvm::map_to_vector(llvm::seq(count),
                             [&](unsigned dim) { return loop(dim); });
}

AffineExpr Definition::loopOrZero(unsigned dim, int64_t size) {
  return size == 1 ? builder.getAffineConstantExpr(0) : loop(dim);
}

Values Definition::generic(unsigned numLoops, unsigned reductions,
                           ArrayRef<Operand> inputs, ValueRange inits,
                           Body body) {
  MLIRContext *context = builder.getContext();
  unsigned parallels = numLoops - reductions;
  SmallVector<utils::IteratorType> iterators(parallels,
                                             utils::IteratorType::parallel);
  iterators.append(reductions, utils::IteratorType::reduction);
  Values operands;
  SmallVector<AffineMap> maps;
  for (const Operand &input : inputs) {
    operands.push_back(input.value);
    maps.push_back(AffineMap::get(numLoops, 0, input.index, context));
  }
  for (size_t i = 0; i < inits.size(); ++i)
    maps.push_back(AffineMap::get(numLoops, 0, loops(parallels), context));
  auto generic = linalg::GenericOp::create(
      builder, loc, inits.getTypes(), operands, inits, maps, iterators,
      [&](OpBuilder &nested, Location nestedLoc, ValueRange args) {
        Scalars scalars(nested, nestedLoc);
        linalg::YieldOp::create(nested, nestedLoc, body(scalars, args));
      });
  return llvm::to_vector_of<Value>(generic.getResults());
}

Value Definition::map(const Sizes &sizes, Type type, ArrayRef<Operand> inputs,
                      Body body) {
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, type);
  return generic(sizes.size(), 0, inputs, empty, body).front();
}

Value Definition::reduce(const Sizes &sizes, TypedAttr init,
                         ArrayRef<Operand> inputs, Body body) {
  return generic(sizes.size() + 1, 1, inputs, filled(sizes, init), body)
      .front();
}

LogicalResult pquant::requirePlain(Operation *op, ValueRange weights) {
  for (Value weight : weights) {
    if (!weight)
      continue;
    auto type = cast<RankedTensorType>(weight.getType());
    if (type.getEncoding())
      return op->emitOpError()
             << "expected plain weights to decompose, but got " << type;
  }
  return success();
}

LogicalResult DecomposableOpInterface::replaceByDefinition() {
  OpBuilder builder(*this);
  Decomposed values = decompose(builder);
  if (failed(values))
    return failure();
  (*this)->replaceAllUsesWith(*values);
  (*this)->erase();
  return success();
}
