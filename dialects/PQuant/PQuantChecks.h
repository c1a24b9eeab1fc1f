//===- PQuantChecks.h - What verifiers of pquant ops share ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shapes of operands and the checks that several ops make, with their messages.
// A dynamic size agrees with any. Internal to this room.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_CHECKS_H
#define PQUANT_DIALECTS_PQUANT_CHECKS_H

#include "dialects/PQuant/PQuantDialect.h"

namespace pquant {

/// Result types under inference.
using Types = llvm::SmallVectorImpl<Type>;

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

inline RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

inline ArrayRef<int64_t> shapeOf(Value value) {
  return typeOf(value).getShape();
}

/// The shape without its last dimension.
inline ArrayRef<int64_t> rowsOf(Value value) {
  return shapeOf(value).drop_back();
}

/// Whether two shapes can be the same at run time.
bool agree(ArrayRef<int64_t> a, ArrayRef<int64_t> b);

/// A shape as it is written in types: `4x?x128`.
std::string toString(ArrayRef<int64_t> shape);

RankedTensorType appendDim(ArrayRef<int64_t> rows, int64_t last, Type element);

//===----------------------------------------------------------------------===//
// Inference
//===----------------------------------------------------------------------===//

/// Fails inference under the op's name, as a verifier would.
template <typename OpTy>
LogicalResult inferError(std::optional<Location> location,
                         const Twine &message) {
  return emitOptionalError(location, "'", OpTy::getOperationName(), "' op ",
                           message);
}

/// Rejects a value of a rank below `rank`, before any result type is built.
template <typename OpTy>
LogicalResult inferRank(std::optional<Location> location, StringRef name,
                        Value value, int64_t rank) {
  if (typeOf(value).getRank() >= rank)
    return success();
  return inferError<OpTy>(location, "expected " + name + " to have rank " +
                                        Twine(rank) + " or more, but got " +
                                        Twine(typeOf(value).getRank()));
}

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// `value` has the shape `expected`.
LogicalResult verifyShape(Operation *op, StringRef name, Value value,
                          ArrayRef<int64_t> expected);

/// `value` has the shape of `rowsOf(input)`.
LogicalResult verifyRows(Operation *op, StringRef name, Value value,
                         Value input);

/// An activation: rank >= 1, a static last dimension, no storage layout.
LogicalResult verifyActivation(Operation *op, StringRef name, Value value);

} // namespace pquant

#endif // PQUANT_DIALECTS_PQUANT_CHECKS_H
