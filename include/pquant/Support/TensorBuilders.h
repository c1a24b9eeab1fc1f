//===- TensorBuilders.h - Small pieces of tensor IR -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Builders of the elementwise and shape ops that several rooms put around
// linear layers, and readers of small float constants.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_SUPPORT_TENSORBUILDERS_H
#define PQUANT_SUPPORT_TENSORBUILDERS_H

#include "mlir/IR/AffineMap.h"
#include "pquant/Support/LLVM.h"
#include <optional>

namespace pquant {

/// Builds the scalar body of an elementwise op from the scalars it reads.
using ScalarBody = function_ref<Value(OpBuilder &, Location, ValueRange)>;

/// An all-parallel f32 linalg.generic over the shape of `inputs[0]`, which is
/// read by the identity; `maps[i]` says how `inputs[i]` is read.
Value buildElementwise(OpBuilder &builder, Location loc, ValueRange inputs,
                       ArrayRef<mlir::AffineMap> maps, ScalarBody body);

/// The same with every input of one shape.
Value buildElementwise(OpBuilder &builder, Location loc, ValueRange inputs,
                       ScalarBody body);

/// Elementwise lhs * rhs; `rhs` has the shape of `lhs` or is a 0-D scalar.
Value buildScale(OpBuilder &builder, Location loc, Value lhs, Value rhs);

/// `value` with all dimensions but the last joined into one, that is M x K;
/// rank 1 becomes 1 x K.
Value collapseToMatrix(OpBuilder &builder, Location loc, Value value);

/// `value` with all dimensions joined into one; rank 0 becomes one element.
Value collapseToVector(OpBuilder &builder, Location loc, Value value);

/// The inverse of `collapseToMatrix` and `collapseToVector`: `value`, one row
/// or element for each index of `shape`, gets the type `type`, whose dynamic
/// sizes are those of `shape`.
Value expandFrom(OpBuilder &builder, Location loc, Value value,
                 RankedTensorType type, ArrayRef<OpFoldResult> shape);

/// The constant attribute that `value` is, looking at arith.constant only.
ElementsAttr getConstant(Value value);

/// All elements of an f32 constant; none when `value` is no such constant.
std::optional<SmallVector<float>> readFloats(Value value);

/// An arith.constant of f32 `values`.
Value buildFloats(OpBuilder &builder, Location loc, ArrayRef<int64_t> shape,
                  ArrayRef<float> values, StringRef name);

/// The constant `attr` with another static shape of as many elements; a blob is
/// shared, not copied.
ElementsAttr reshapeConstant(ElementsAttr attr, ArrayRef<int64_t> shape);

} // namespace pquant

#endif // PQUANT_SUPPORT_TENSORBUILDERS_H
