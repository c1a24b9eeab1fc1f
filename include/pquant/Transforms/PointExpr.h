//===- PointExpr.h - Tensor elements at affine points ----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What attention reads is hidden behind views that split and merge dimensions,
// repeat heads and join old keys with new ones, and its mask is integer
// arithmetic on positions. A PointExpr is one element of a tensor whose every
// index is an affine function of the coordinates of a space (batch, head,
// query, key), so that all of that becomes arithmetic on indices.
//
// TensorExpr.h, where an index is a coordinate and nothing else, serves
// patterns of elementwise arithmetic.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_POINTEXPR_H
#define PQUANT_TRANSFORMS_POINTEXPR_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/LLVM.h"
#include <optional>

namespace pquant {

/// An element of a tensor, or a scalar in the body of a `linalg.generic`.
struct PointExpr {
  Value value;
  /// The indices of the element, or the loops of the body.
  SmallVector<mlir::AffineExpr, 4> at;
};

/// A space of points, and what is known of the sizes in it. Symbols stand for
/// sizes of tensors and other index values.
class PointSpace {
public:
  /// A space of no dimensions.
  explicit PointSpace(mlir::MLIRContext *context) : context(context) {}
  /// The space of the elements of `tensor`.
  explicit PointSpace(Value tensor);

  mlir::AffineExpr dim(unsigned i) const;
  /// The number of points along dimension `i`.
  mlir::AffineExpr size(unsigned i) const { return sizes[i]; }
  /// A further coordinate, and the dimension that it is.
  unsigned addDim(mlir::AffineExpr size);

  /// Says what an index is, a loop's number say, in terms of the point.
  void bind(Value index, mlir::AffineExpr expr) { bound[index] = expr; }

  /// The size of a dimension of a tensor.
  mlir::AffineExpr sizeOf(Value tensor, int64_t dim);

  /// One step through a view, a copy, or into the body of an elementwise op.
  std::optional<PointExpr> lookThrough(const PointExpr &expr);
  /// As many as there are.
  PointExpr normalized(PointExpr expr);

  /// An integer as an affine function of the point.
  std::optional<mlir::AffineExpr> asIndex(const PointExpr &expr);

  /// Appends expressions e such that the condition holds (with `negate`: does
  /// not hold) exactly where all e >= 0; fails when there are none such. What
  /// always holds is left out.
  LogicalResult getConditions(const PointExpr &condition, bool negate,
                              SmallVectorImpl<mlir::AffineExpr> &result);

  /// Whether the expression is never negative, at any point, with every size
  /// of the space at least 1 (otherwise there is no point).
  bool isNonNegative(mlir::AffineExpr expr) const;

  mlir::AffineExpr simplify(mlir::AffineExpr expr) const;
  mlir::MLIRContext *getContext() const { return context; }

private:
  mlir::AffineExpr symbolOf(Value value, int64_t dim);
  mlir::AffineExpr sizeOfResult(mlir::OpFoldResult size);
  std::optional<int64_t> getStaticSize(mlir::AffineExpr atom) const;
  std::optional<std::pair<mlir::AffineExpr, mlir::AffineExpr>>
  divide(mlir::AffineExpr expr, int64_t divisor) const;
  std::optional<PointExpr> throughExpand(mlir::tensor::ExpandShapeOp op,
                                         ArrayRef<mlir::AffineExpr> at);
  std::optional<PointExpr> throughCollapse(mlir::tensor::CollapseShapeOp op,
                                           ArrayRef<mlir::AffineExpr> at);
  std::optional<PointExpr> throughSlice(mlir::tensor::ExtractSliceOp op,
                                        ArrayRef<mlir::AffineExpr> at);
  std::optional<PointExpr> throughConcat(mlir::tensor::ConcatOp op,
                                         ArrayRef<mlir::AffineExpr> at);
  std::optional<PointExpr> throughGeneric(mlir::linalg::GenericOp op,
                                          const PointExpr &expr);
  std::optional<PointExpr> throughArgument(mlir::BlockArgument arg,
                                           ArrayRef<mlir::AffineExpr> at);
  std::optional<PointExpr> throughExtract(mlir::tensor::ExtractOp op,
                                          ArrayRef<mlir::AffineExpr> at);
  std::optional<mlir::AffineExpr> asIndexOfOp(mlir::Operation *op,
                                              ArrayRef<mlir::AffineExpr> at);
  std::optional<mlir::AffineExpr>
  asIndexOfConcat(mlir::tensor::ConcatOp op, ArrayRef<mlir::AffineExpr> at);
  LogicalResult getComparison(mlir::arith::CmpIOp op,
                              ArrayRef<mlir::AffineExpr> at, bool negate,
                              SmallVectorImpl<mlir::AffineExpr> &result);

  mlir::MLIRContext *context;
  SmallVector<mlir::AffineExpr> sizes;
  SmallVector<std::pair<Value, int64_t>> symbols;
  llvm::DenseMap<Value, mlir::AffineExpr> bound;
  /// Dimensions beyond the space that stand for an index for a while.
  unsigned numExtraDims = 0;
};

} // namespace pquant

#endif // PQUANT_TRANSFORMS_POINTEXPR_H
