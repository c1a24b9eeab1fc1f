//===- TensorExpr.h - Tensor values seen element by element ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Arithmetic on tensors is spread over many structured ops, reshapes that add
// or drop dimensions of size one, transposes and broadcasts. A TensorExpr sees
// through all of them: it is one element of a tensor as a function of a point
// in a fixed index space (the "space": the activation rows, or the weight's
// (n, k)), so that patterns are matched on scalar operations alone and two
// expressions are the same only when they are read at the same point.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_TENSOREXPR_H
#define PQUANT_TRANSFORMS_TENSOREXPR_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "pquant/Support/LLVM.h"
#include <optional>

namespace pquant {

/// One element of a tensor, or one scalar in the body of a `linalg.generic`,
/// as a function of a point in the space.
struct TensorExpr {
  /// A dimension of size 1, read at 0.
  static constexpr int64_t unitDim = -1;
  /// A dimension that a reduction runs over.
  static constexpr int64_t reducedDim = -2;

  /// A tensor or a scalar in a body.
  Value value;
  /// For every dimension of the tensor (every loop of the body's op): the
  /// dimension of the space that it follows, or one of the two above.
  SmallVector<int64_t, 4> dims;

  /// `tensor` in the space of its own dimensions.
  static TensorExpr identity(Value tensor);

  /// Looks through reshapes by unit dimensions, transposes, casts between
  /// shapes, copies, and into the body of elementwise ops: the value is then
  /// the result of a scalar op, a scalar constant, or a tensor that nothing can
  /// be looked through of.
  TensorExpr normalized() const;

  /// One step of `normalized`; no value when nothing can be looked through.
  std::optional<TensorExpr> lookThrough() const;

  /// Looks through block arguments only: the tensor itself when the expression
  /// is an element of one.
  std::optional<TensorExpr> asTensor() const;

  /// The tensor, when this expression is element (0, 1, .., rank - 1) of it.
  Value asIdentityTensor(int64_t rank) const;

  /// Whether dimension `dim` of the space may matter.
  bool dependsOn(int64_t dim) const;

  /// Whether the expression is the same number everywhere.
  bool isInvariant() const {
    return llvm::none_of(
        dims, [&](int64_t dim) { return dim != unitDim && dependsOn(dim); });
  }

  /// The float32 number that a constant expression of one number is.
  std::optional<float> getFloatConstant() const;
};

/// The element of an operand (input or init) that a block argument of a
/// `linalg.generic` holds; `loops` gives the dimension that each loop follows.
std::optional<TensorExpr> getArgumentSource(BlockArgument arg,
                                            ArrayRef<int64_t> loops);

/// Whether two expressions are the same by structure.
bool isSameExpr(const TensorExpr &a, const TensorExpr &b);

/// The operands of the normalised expression when it is an `OpTy`.
template <typename OpTy>
std::optional<SmallVector<TensorExpr, 3>> matchExpr(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  auto op = root.value.getDefiningOp<OpTy>();
  if (!op)
    return std::nullopt;
  SmallVector<TensorExpr, 3> operands;
  for (Value operand : op->getOperands())
    operands.push_back({operand, root.dims});
  return operands;
}

/// Both orders of the operands of a commutative op, for a callback that says
/// whether it accepts them.
template <typename OpTy>
bool matchCommutative(
    const TensorExpr &expr,
    function_ref<bool(const TensorExpr &, const TensorExpr &)> accept) {
  auto operands = matchExpr<OpTy>(expr);
  if (!operands || operands->size() != 2)
    return false;
  return accept((*operands)[0], (*operands)[1]) ||
         accept((*operands)[1], (*operands)[0]);
}

/// `maximumf` over one or more dimensions of a tensor. On success returns the
/// reduced expression, its reduced dimensions marked `reducedDim`.
std::optional<TensorExpr> matchMaxReduction(const TensorExpr &expr);
/// The same for a sum from zero.
std::optional<TensorExpr> matchSumReduction(const TensorExpr &expr);

/// Whether `op` is a `linalg.generic` on tensors with parallel loops only and
/// identity output maps.
bool isElementwise(mlir::linalg::GenericOp op);

} // namespace pquant

#endif // PQUANT_TRANSFORMS_TENSOREXPR_H
