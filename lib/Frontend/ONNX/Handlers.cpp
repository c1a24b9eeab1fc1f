//===- Handlers.cpp - The table of supported ONNX operators ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/ONNX.h"

using namespace pquant;

HandlerTable::HandlerTable() {
  for (llvm::ArrayRef<HandlerRow> family :
       {getAttentionHandlers(), getContribAttentionHandlers(),
        getContribHandlers(), getControlFlowHandlers(),
        getElementwiseHandlers(), getIndexingHandlers(),
        getLinearAlgebraHandlers(), getNormalizationHandlers(),
        getPQuantHandlers(), getPadHandlers(), getQuantizeHandlers(),
        getReduceHandlers(), getReshapeHandlers(), getScatterHandlers(),
        getShapeHandlers(), getUnaryHandlers()})
    rows.insert(rows.end(), family.begin(), family.end());
  llvm::sort(rows, [](const HandlerRow &a, const HandlerRow &b) {
    return std::tie(a.domain, a.op, a.since) <
           std::tie(b.domain, b.op, b.since);
  });
}

const HandlerRow *HandlerTable::lookup(llvm::StringRef domain,
                                       llvm::StringRef op,
                                       int64_t opset) const {
  auto key = std::tie(domain, op, opset);
  auto it =
      llvm::upper_bound(rows, key, [](const auto &key, const HandlerRow &row) {
        return key < std::tie(row.domain, row.op, row.since);
      });
  if (it == rows.begin())
    return nullptr;
  --it;
  return it->domain == domain && it->op == op ? &*it : nullptr;
}

std::optional<int64_t> HandlerTable::getFirstOpset(llvm::StringRef domain,
                                                   llvm::StringRef op) const {
  for (const HandlerRow &row : rows)
    if (row.domain == domain && row.op == op)
      return row.since;
  return std::nullopt;
}

/// One line for each operator, as its first version has it.
static void listDomain(llvm::raw_ostream &os, const HandlerTable &table,
                       llvm::StringRef domain) {
  llvm::StringRef previous;
  for (const HandlerRow &row : table.getRows()) {
    if (row.op == previous || row.domain != domain)
      continue;
    previous = row.op;
    os << "| " << row.op << " | " << row.since << " | " << row.limits << " |\n";
  }
}

void pquant::listSupportedONNXOps(llvm::raw_ostream &os) {
  HandlerTable table;
  os << "# Supported ONNX operators\n\nDomain `ai.onnx`, opset " << minONNXOpset
     << " to " << maxONNXOpset
     << ". \"Since\" is the first opset of that range.\n\n"
        "| operator | since | limits |\n| --- | --- | --- |\n";
  listDomain(os, table, "");
  os << "\nDomain `com.microsoft`:\n\n"
        "| operator | since | limits |\n| --- | --- | --- |\n";
  listDomain(os, table, "com.microsoft");
  os << "\nFunctions of domain `pquant`, version " << pquantDomainVersion
     << ", are operations as well: docs/Models.md.\n";
}
