//===- Handlers.h - The table of supported ONNX operators -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One row per operator and version that changed what its node looks like.
// A row holds from its `since` version until the next row of the operator.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_HANDLERS_H
#define PQUANT_LIB_FRONTEND_ONNX_HANDLERS_H

#include "NodeContext.h"

namespace pquant {

using Handler = mlir::LogicalResult (*)(NodeContext &);

struct HandlerRow {
  llvm::StringRef domain, op;
  /// The first operator set that the row is for.
  int64_t since;
  /// How many inputs must be present, and how many there may be.
  unsigned minInputs, maxInputs;
  unsigned maxOutputs;
  Handler handler;
  /// What is not supported, for the documentation.
  llvm::StringRef limits = "";
};

/// For operators that take any number of inputs.
constexpr unsigned variadic = ~0u;
/// The same, where any may be omitted.
constexpr unsigned variadicOptional = variadic - 1;

class HandlerTable {
public:
  HandlerTable();

  /// The row for an operator, or none.
  const HandlerRow *lookup(llvm::StringRef domain, llvm::StringRef op,
                           int64_t opset) const;
  /// The first opset that knows the operator, if any row does.
  std::optional<int64_t> getFirstOpset(llvm::StringRef domain,
                                       llvm::StringRef op) const;
  llvm::ArrayRef<HandlerRow> getRows() const { return rows; }

private:
  std::vector<HandlerRow> rows;
};

/// The rows of each family of operators.
llvm::ArrayRef<HandlerRow> getAttentionHandlers();
llvm::ArrayRef<HandlerRow> getContribAttentionHandlers();
llvm::ArrayRef<HandlerRow> getContribHandlers();
llvm::ArrayRef<HandlerRow> getControlFlowHandlers();
llvm::ArrayRef<HandlerRow> getElementwiseHandlers();
llvm::ArrayRef<HandlerRow> getIndexingHandlers();
llvm::ArrayRef<HandlerRow> getLinearAlgebraHandlers();
llvm::ArrayRef<HandlerRow> getNormalizationHandlers();
llvm::ArrayRef<HandlerRow> getPQuantHandlers();
llvm::ArrayRef<HandlerRow> getPadHandlers();
llvm::ArrayRef<HandlerRow> getQuantizeHandlers();
llvm::ArrayRef<HandlerRow> getReduceHandlers();
llvm::ArrayRef<HandlerRow> getReshapeHandlers();
llvm::ArrayRef<HandlerRow> getScatterHandlers();
llvm::ArrayRef<HandlerRow> getShapeHandlers();
llvm::ArrayRef<HandlerRow> getUnaryHandlers();

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_HANDLERS_H
