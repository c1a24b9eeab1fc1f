//===- AdvancedIndex.h - Indexing by several tensors ------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_ADVANCEDINDEX_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_ADVANCEDINDEX_H

#include "NodeContext.h"

namespace pquant::pt2 {

/// x[:, i, j]: axes of a tensor that index tensors replace, which broadcast
/// with one another.
struct AdvancedIndex {
  llvm::SmallVector<int64_t> axes;
  llvm::SmallVector<Tensor> tensors;
  /// The sizes of x[:, i, j], and which of them are the broadcast ones.
  SizeList sizes;
  int64_t position = 0, indexRank = 0;
  bool isPlaced = false;

  void place(llvm::ArrayRef<SizeExpr> broadcast) {
    sizes.append(broadcast.begin(), broadcast.end());
    isPlaced = true;
  }

  /// The index tensors, and the sizes of their axes, as values.
  std::pair<llvm::SmallVector<mlir::Value>, llvm::SmallVector<mlir::Value>>
  getOperands(NodeContext &ctx, Tensor self) const;
  /// Where the element at `position` of x[:, i, j] lies in x.
  llvm::SmallVector<mlir::Value> locate(NodeContext &ctx, mlir::OpBuilder &b,
                                        mlir::Location loc, Tensor self,
                                        mlir::ValueRange position,
                                        mlir::ValueRange sources,
                                        mlir::ValueRange bounds) const;
};

/// Reads the argument `indices`; what they hold is checked at run time.
mlir::FailureOr<AdvancedIndex> readIndices(NodeContext &ctx, Tensor self);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_ADVANCEDINDEX_H
