//===- PQuantChecks.cpp - What verifiers of pquant ops share --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shapes of operands and the messages of checks that several ops make.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantChecks.h"

using namespace mlir;
using namespace pquant;

bool pquant::agree(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto sizes) {
           auto [x, y] = sizes;
           return x == y || ShapedType::isDynamic(x) ||
                  ShapedType::isDynamic(y);
         });
}

std::string pquant::toString(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleave(
      shape, os,
      [&](int64_t size) {
        if (ShapedType::isDynamic(size))
          os << "?";
        else
          os << size;
      },
      "x");
  return shape.empty() ? "a scalar" : text;
}

RankedTensorType pquant::appendDim(ArrayRef<int64_t> rows, int64_t last,
                                   Type element) {
  SmallVector<int64_t> shape(rows);
  shape.push_back(last);
  return RankedTensorType::get(shape, element);
}

LogicalResult pquant::verifyShape(Operation *op, StringRef name, Value value,
                                  ArrayRef<int64_t> expected) {
  if (agree(shapeOf(value), expected))
    return success();
  return op->emitOpError() << "expected " << name
                           << (expected.empty() ? " to be " : " to have shape ")
                           << toString(expected) << ", but got "
                           << toString(shapeOf(value));
}

LogicalResult pquant::verifyRows(Operation *op, StringRef name, Value value,
                                 Value input) {
  return verifyShape(op, name, value, rowsOf(input));
}

LogicalResult pquant::verifyActivation(Operation *op, StringRef name,
                                       Value value) {
  RankedTensorType type = typeOf(value);
  if (type.getRank() < 1 || ShapedType::isDynamic(type.getShape().back()) ||
      type.getShape().back() < 1)
    return op->emitOpError()
           << "expected " << name
           << " to have a static last dimension of at least 1, but got "
           << toString(type.getShape());
  if (type.getEncoding())
    return op->emitOpError()
           << "expected " << name << " without a layout, but got " << type;
  return success();
}
