//===- Compose.h - Operators written as other operators ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For operators whose definition is a formula over tensors. Every function
// gives null when an operand is null or when it reported an error, so that a
// formula is checked once, at its end.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_COMPOSE_H
#define PQUANT_LIB_FRONTEND_ONNX_COMPOSE_H

#include "NodeContext.h"

#include "pquant/Frontend/TensorOps.h"

namespace pquant {

class Compose {
public:
  using Value = mlir::Value;
  using UnaryFn = llvm::function_ref<Value(ScalarOps &, Value)>;
  using BinaryFn = llvm::function_ref<Value(ScalarOps &, Value, Value)>;
  /// Computes a scalar from the loop indices of a structured op.
  using IndexedBody = llvm::function_ref<Value(
      ScalarOps &, llvm::ArrayRef<Value> indices, mlir::ValueRange elements)>;

  explicit Compose(TensorBuilder &builder) : b(builder) {}

  /// The tensor, or null.
  static Tensor take(mlir::FailureOr<Tensor> tensor) {
    return mlir::succeeded(tensor) ? *tensor : nullptr;
  }
  /// f32 for narrower floats, else the type itself.
  ElementType widen(ElementType element);

  Tensor map(Tensor x, UnaryFn function);
  /// NumPy broadcasting; the operands have one element type.
  Tensor zip(Tensor x, Tensor y, BinaryFn function);
  Tensor add(Tensor x, Tensor y);
  Tensor sub(Tensor x, Tensor y);
  Tensor mul(Tensor x, Tensor y);
  Tensor div(Tensor x, Tensor y);
  /// x times a number; x itself when that is 1.
  Tensor scale(Tensor x, double factor);
  Tensor cast(Tensor x, ElementType element);
  Tensor reshape(Tensor x, SizeList sizes);
  Tensor transpose(Tensor x, llvm::ArrayRef<int64_t> permutation);
  Tensor concat(llvm::ArrayRef<Tensor> inputs, int64_t axis);
  /// Elements [begin, end) along an axis.
  Tensor slice(Tensor x, int64_t axis, SizeExpr begin, SizeExpr end);
  /// Over axes that are kept as 1.
  Tensor sum(Tensor x, llvm::ArrayRef<int64_t> axes);
  Tensor mean(Tensor x, llvm::ArrayRef<int64_t> axes);
  Tensor largest(Tensor x, llvm::ArrayRef<int64_t> axes);
  Tensor smallest(Tensor x, llvm::ArrayRef<int64_t> axes);
  /// "bik,bkj->bij": every label a letter; labels of the terms that the result
  /// lacks are summed. Sizes of a label are equal or 1.
  Tensor einsum(llvm::StringRef equation, llvm::ArrayRef<Tensor> inputs);
  /// One parallel loop nest over `sizes` that reads what it likes: each input
  /// broadcasts as NumPy has it, its element is in `elements`.
  Tensor generate(ElementType element, SizeList sizes,
                  llvm::ArrayRef<Tensor> inputs, IndexedBody body);
  /// The element of `x` at `indices`, inside `generate`'s body.
  static Value extract(ScalarOps &o, Value x, llvm::ArrayRef<Value> indices);
  /// `element` where `condition` holds, `otherwise` elsewhere; what is not
  /// chosen is not evaluated.
  static Value branch(ScalarOps &o, Value condition,
                      llvm::function_ref<Value(ScalarOps &)> element,
                      llvm::function_ref<Value(ScalarOps &)> otherwise);

private:
  TensorBuilder &b;
};

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_COMPOSE_H
