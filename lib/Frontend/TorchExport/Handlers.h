//===- Handlers.h - The table of supported ATen operators -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One row per overload. An in-place form, `aten.add_.Tensor`, is the row of
// `aten.add.Tensor` whose result also replaces `self`.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_HANDLERS_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_HANDLERS_H

#include "NodeContext.h"

namespace pquant::pt2 {

using Handler = mlir::LogicalResult (*)(NodeContext &);
/// Gives the base of a view after the view has become `value`.
using WriteBack = mlir::FailureOr<Tensor> (*)(NodeContext &, Tensor base,
                                              Tensor value, size_t result);

struct HandlerRow {
  llvm::StringRef target;
  /// The arguments that must be tensors, separated by blanks.
  llvm::StringRef tensors;
  Handler handler;
  /// What is not supported, for the documentation.
  llvm::StringRef limits = "";
  /// For operators whose results share memory with `self`.
  WriteBack writeBack = nullptr;
};

class HandlerTable {
public:
  HandlerTable();

  /// The row of a target, or none.
  const HandlerRow *lookup(llvm::StringRef target) const;
  llvm::ArrayRef<HandlerRow> getRows() const { return rows; }

private:
  std::vector<HandlerRow> rows;
};

/// The target of which `target` is the in-place form; empty when it is none.
std::string getFunctionalTarget(llvm::StringRef target);

/// The rows of each family of operators.
llvm::ArrayRef<HandlerRow> getAttentionHandlers();
llvm::ArrayRef<HandlerRow> getCreationHandlers();
llvm::ArrayRef<HandlerRow> getElementwiseHandlers();
llvm::ArrayRef<HandlerRow> getIndexingHandlers();
llvm::ArrayRef<HandlerRow> getLinearAlgebraHandlers();
llvm::ArrayRef<HandlerRow> getNormalizationHandlers();
llvm::ArrayRef<HandlerRow> getQuantizedHandlers();
llvm::ArrayRef<HandlerRow> getReduceHandlers();
llvm::ArrayRef<HandlerRow> getShapeHandlers();
llvm::ArrayRef<HandlerRow> getSymbolicHandlers();
llvm::ArrayRef<HandlerRow> getUnaryHandlers();
llvm::ArrayRef<HandlerRow> getViewHandlers();
llvm::ArrayRef<HandlerRow> getWriteHandlers();

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_HANDLERS_H
