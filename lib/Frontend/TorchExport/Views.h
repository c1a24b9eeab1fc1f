//===- Views.h - Parts of a tensor ------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_VIEWS_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_VIEWS_H

#include "NodeContext.h"

namespace pquant::pt2 {

/// A box inside of a tensor, all of it at first.
struct Box {
  explicit Box(Tensor input)
      : offsets(input->getRank(), SizeExpr(0)), sizes(input->sizes),
        strides(input->getRank(), 1) {}

  Tensor read(NodeContext &ctx, Tensor input) const;
  /// The tensor with `value`, repeated where its dimensions are 1, in the box.
  mlir::FailureOr<Tensor> write(NodeContext &ctx, Tensor input,
                                Tensor value) const;

  SizeList offsets, sizes;
  llvm::SmallVector<int64_t> strides;
  /// False after an error was reported.
  bool isValid = true;
};

/// What the arguments dim, start, end and step of a node say.
Box getSliceBox(NodeContext &ctx, Tensor input);
/// One index of an axis, which is kept as 1.
Box getSelectBox(NodeContext &ctx, Tensor input, int64_t axis, SizeExpr index);
/// The tensor, repeated where its dimensions are 1, with exactly these sizes.
mlir::FailureOr<Tensor> expandTo(NodeContext &ctx, Tensor tensor,
                                 SizeList sizes);
/// Errors where a size is, or at run time turns out to be, larger than another.
mlir::LogicalResult requireAtMost(NodeContext &ctx, const SizeExpr &size,
                                  const SizeExpr &limit);
/// Errors where a size is, or at run time turns out to be, negative.
mlir::LogicalResult requireSizes(NodeContext &ctx,
                                 llvm::ArrayRef<SizeExpr> sizes);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_VIEWS_H
