//===- Handlers.cpp - The table of supported ATen operators ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/TorchExport.h"

using namespace pquant;
using namespace pquant::pt2;

HandlerTable::HandlerTable() {
  for (llvm::ArrayRef<HandlerRow> family :
       {getAttentionHandlers(), getCreationHandlers(), getElementwiseHandlers(),
        getIndexingHandlers(), getLinearAlgebraHandlers(),
        getNormalizationHandlers(), getQuantizedHandlers(), getReduceHandlers(),
        getShapeHandlers(), getSymbolicHandlers(), getUnaryHandlers(),
        getViewHandlers(), getWriteHandlers()})
    rows.insert(rows.end(), family.begin(), family.end());
  llvm::sort(rows, [](const HandlerRow &a, const HandlerRow &b) {
    return a.target < b.target;
  });
}

const HandlerRow *HandlerTable::lookup(llvm::StringRef target) const {
  auto row = llvm::lower_bound(rows, target,
                               [](const HandlerRow &row, llvm::StringRef key) {
                                 return row.target < key;
                               });
  return row != rows.end() && row->target == target ? &*row : nullptr;
}

std::string pt2::getFunctionalTarget(llvm::StringRef target) {
  // aten.<op>_.<overload>, but not aten.__and__.Tensor.
  auto [library, rest] = target.split('.');
  auto [op, overload] = rest.split('.');
  if (library != "aten" || overload.contains('.') || op.ends_with("__") ||
      !op.consume_back("_"))
    return "";
  return ("aten." + op + "." + overload).str();
}

void pquant::listSupportedATenOps(llvm::raw_ostream &os) {
  HandlerTable table;
  os << "# Supported ATen operators\n\nTargets of nodes in files of "
        "`torch.export`, as exported or after `run_decompositions`. In-place "
        "forms (`aten.add_.Tensor`) come with the functional ones.\n\n"
        "| target | limits |\n| --- | --- |\n";
  for (const HandlerRow &row : table.getRows())
    os << "| " << row.target << " | " << row.limits << " |\n";
  os << "\n`higher_order.wrap_with_set_grad_enabled` and "
        "`higher_order.wrap_with_autocast` are replaced by their bodies; "
        "`higher_order.cond` takes one of two.\n";
}
