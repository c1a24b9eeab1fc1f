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
       {getElementwiseHandlers(), getIndexingHandlers(),
        getLinearAlgebraHandlers(), getNormalizationHandlers(),
        getPQuantHandlers(), getReduceHandlers(), getReshapeHandlers(),
        getScatterHandlers(), getShapeHandlers(), getUnaryHandlers()})
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

void pquant::listSupportedONNXOps(llvm::raw_ostream &os) {
  HandlerTable table;
  os << "# Supported ONNX operators\n\nDomain `ai.onnx`, opset " << minONNXOpset
     << " to " << maxONNXOpset
     << ". \"Since\" is the first opset of that range.\n\n"
        "| operator | since | limits |\n| --- | --- | --- |\n";
  llvm::StringRef previous;
  for (const HandlerRow &row : table.getRows()) {
    if (row.op == previous || !row.domain.empty())
      continue;
    previous = row.op;
    os << "| " << row.op << " | " << row.since << " | " << row.limits << " |\n";
  }
  os << "\nFunctions of domain `pquant`, version " << pquantDomainVersion
     << ", are operations as well: docs/Models.md.\n";
}
