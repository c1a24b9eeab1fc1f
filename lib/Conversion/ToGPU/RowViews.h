//===- RowViews.h - One row of ops on many ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ops on the rows of a prompt, or of a batch, whose number is open: row r of
// what one writes follows from row r of what it reads. So a block can do all of
// them for its row, as if there were one.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_ROWVIEWS_H
#define PQUANT_LIB_CONVERSION_ROWVIEWS_H

#include "mlir/IR/OpDefinition.h"
#include "pquant/Conversion/KernelBuilder.h"
#include "llvm/ADT/DenseMap.h"
#include <optional>

namespace pquant {

/// A dimension of a memref that goes over rows.
struct RowDim {
  Value base;  ///< the memref of which `memref` has one row for each row
  int64_t dim; ///< its dimension
  SmallVector<mlir::OpFoldResult> offsets; ///< where row 0 is, added up

  bool operator==(const RowDim &other) const {
    return base == other.base && dim == other.dim && offsets == other.offsets;
  }
};

/// Memory of an op.
struct RowOperand {
  Value memref;
  int64_t dim;                ///< -1: not by rows
  std::optional<RowDim> rows; ///< where `dim` is not -1
  bool isWritten;

  /// Whether an op may touch in one row what the other writes, or reads while
  /// this one writes it, in another.
  bool crosses(const RowOperand &other) const;
};

/// An op on many rows.
class RowOp {
public:
  /// None for other ops.
  static std::optional<RowOp> match(Operation *op);

  Operation *getOperation() const { return op; }
  int64_t getPoints() const { return points; } ///< of a row
  Value createCount(OpBuilder &builder) const; ///< the number of rows
  /// Whether it has as many rows as `other` for sure.
  bool hasRowsOf(const RowOp &other) const;
  /// Whether the rows of both stay apart.
  bool canFollow(const RowOp &other) const;

  /// The op on one row; its views are made once.
  using Views = llvm::DenseMap<std::tuple<Value, int64_t, Value>, Value>;
  Operation *cloneRow(KernelBuilder &b, Value row, Views &views) const;

private:
  explicit RowOp(Operation *op) : op(op) {}
  bool addOperands();

  Operation *op;
  std::optional<unsigned> loop; ///< of a linalg.generic
  int64_t points = 0;
  SmallVector<RowOperand> operands; ///< those of the op, in its order, and more
};

/// Replaces the sizes of views and allocations by what they were given.
void foldSizes(Operation *root);

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_ROWVIEWS_H
