//===- TensorOps.h - Tensor operators that frontends share ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What ONNX and ATen both have, over a TensorBuilder: one import form for each,
// whatever file it comes from. Callers check types and ranks before.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_TENSOROPS_H
#define PQUANT_FRONTEND_TENSOROPS_H

#include "pquant/Frontend/ScalarOps.h"

namespace pquant {

//===--- Arithmetic on shape vectors ------------------------------------===//

/// An operator on two sizes; none where the result is not known to be a size.
using FoldFn = std::optional<SizeExpr> (*)(TensorBuilder &, const SizeExpr &,
                                           const SizeExpr &);
namespace fold {
std::optional<SizeExpr> nothing(TensorBuilder &, const SizeExpr &,
                                const SizeExpr &);
std::optional<SizeExpr> add(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
std::optional<SizeExpr> sub(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
std::optional<SizeExpr> mul(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
/// Rounds to zero.
std::optional<SizeExpr> div(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
std::optional<SizeExpr> mod(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
std::optional<SizeExpr> max(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
std::optional<SizeExpr> min(TensorBuilder &, const SizeExpr &,
                            const SizeExpr &);
/// Truth values are 0 or 1.
std::optional<SizeExpr> equal(TensorBuilder &, const SizeExpr &,
                              const SizeExpr &);
std::optional<SizeExpr> less(TensorBuilder &, const SizeExpr &,
                             const SizeExpr &);
std::optional<SizeExpr> greater(TensorBuilder &, const SizeExpr &,
                                const SizeExpr &);
} // namespace fold

/// Applies `function` to the elements of two shape vectors; none when they are
/// not known or not integers.
Tensor foldElements(TensorBuilder &b, Tensor left, Tensor right,
                    FoldFn function, ElementType result);

//===--- Elementwise functions ------------------------------------------===//

/// One elementwise op of a tensor, by a function (ScalarOps &, Value).
template <typename Function>
Tensor mapElements(TensorBuilder &b, Tensor x, Function function) {
  // One input always broadcasts.
  return *b.elementwise(
      x->element, x,
      [&](mlir::OpBuilder &builder, mlir::Location loc, mlir::ValueRange args) {
        ScalarOps o(builder, loc, x->element);
        return function(o, args[0]);
      });
}
/// The same of two tensors of one element type.
template <typename Function>
mlir::FailureOr<Tensor> mapElements(TensorBuilder &b, Tensor x, Tensor y,
                                    Function function) {
  return b.elementwise(
      x->element, {x, y},
      [&](mlir::OpBuilder &builder, mlir::Location loc, mlir::ValueRange args) {
        ScalarOps o(builder, loc, x->element);
        return function(o, args[0], args[1]);
      });
}

//===--- Sums, products, order ------------------------------------------===//

/// The smallest (or largest) value of a type.
mlir::TypedAttr getExtreme(mlir::OpBuilder &b, ElementType element,
                           bool smallest);
/// The sum over axes.
Tensor sumOver(TensorBuilder &b, Tensor input, llvm::ArrayRef<int64_t> axes,
               bool keepDims);
/// A sum over axes of `input`, divided by the number of elements summed.
Tensor divideByCount(TensorBuilder &b, Tensor sum, const TensorInfo &input,
                     llvm::ArrayRef<int64_t> axes);
/// NumPy's matmul: loops (batch..., m, n, k); vectors have no m, or no n.
mlir::FailureOr<Tensor> multiplyMatrices(TensorBuilder &b, Tensor lhs,
                                         Tensor rhs);
/// NumPy's einsum of numbers of one element type: "bsk,enk->bsen".
mlir::FailureOr<Tensor> einsum(TensorBuilder &b, llvm::StringRef equation,
                               llvm::ArrayRef<Tensor> inputs);
/// The best values along an axis and where they are, both without the axis.
std::pair<Tensor, Tensor> findExtreme(TensorBuilder &b, Tensor input,
                                      int64_t axis, bool isMax,
                                      bool prefersLast = false);
/// out[i] = sum over j <= i (or < i, >= i, > i) of in[j].
Tensor sumCumulatively(TensorBuilder &b, Tensor input, int64_t axis,
                       bool exclusive = false, bool reverse = false);
/// The `count` best elements along an axis in order, and where they are.
std::pair<Tensor, Tensor> findBest(TensorBuilder &b, Tensor input, int64_t axis,
                                   const SizeExpr &count, bool largest);
Tensor softmax(TensorBuilder &b, Tensor input, int64_t axis);
/// x - max - log(sum(exp(x - max)))
Tensor logSoftmax(TensorBuilder &b, Tensor input, int64_t axis);

//===--- Indexing -------------------------------------------------------===//

/// Slices of `data` at `indices` along an axis; negative ones count from the
/// end. Indices that the caller of the model gives are checked at run time.
mlir::FailureOr<Tensor> gather(TensorBuilder &b, Tensor data, Tensor indices,
                               int64_t axis);
/// Checks at run time, before anything is read or written with them, that all
/// indices are in [-size, size), or in [0, size).
void assertInRange(TensorBuilder &b, Tensor indices, const SizeExpr &size,
                   bool allowsNegative = true);
/// out[.., i, ..] = data[.., indices[.., i, ..], ..]
Tensor gatherElements(TensorBuilder &b, Tensor data, Tensor indices,
                      int64_t axis);
/// `place` says for every element of `updates` where it goes in `data`; they
/// are written in order, combined with what is there by `reduction` (none, add,
/// mul, max or min).
Tensor scatter(TensorBuilder &b, Tensor data, Tensor updates,
               llvm::StringRef reduction,
               llvm::function_ref<llvm::SmallVector<mlir::Value>(
                   mlir::OpBuilder &, mlir::Location, mlir::ValueRange)>
                   place);
/// A slice bound: negative ones count from the end, and all are clamped to
/// [low, high].
SizeExpr clampBound(TensorBuilder &b, SizeExpr bound, const SizeExpr &size,
                    const SizeExpr &low, const SizeExpr &high);
/// start, start + delta, ...: `length` elements, of scalars.
Tensor makeRange(TensorBuilder &b, Tensor start, Tensor delta,
                 const SizeExpr &length);
/// The last two dimensions with zeros where column - row is below (`isUpper`)
/// or above `diagonal`.
Tensor keepTriangle(TensorBuilder &b, Tensor input, const SizeExpr &diagonal,
                    bool isUpper);
/// Loop indices [begin, end) as values, inside a structured op.
void appendIndices(mlir::OpBuilder &b, mlir::Location loc, int64_t begin,
                   int64_t end, llvm::SmallVectorImpl<mlir::Value> &indices);

//===--- Control flow ---------------------------------------------------===//

/// Writes the body for a condition that is true, or that for one that is not.
using BranchFn =
    llvm::function_ref<mlir::FailureOr<llvm::SmallVector<Tensor>>(bool)>;
/// The `count` results of one of two bodies.
mlir::FailureOr<llvm::SmallVector<Tensor>>
chooseBranch(TensorBuilder &b, Tensor condition, size_t count, BranchFn import);

} // namespace pquant

#endif // PQUANT_FRONTEND_TENSOROPS_H
