//===- UnsupportedOps.cpp - What keeps a model from import ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/UnsupportedOps.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace pquant;

void pquant::recordUnsupportedOp(std::vector<UnsupportedOp> &ops,
                                 UnsupportedOp op) {
  for (UnsupportedOp &known : ops)
    if (known.domain == op.domain && known.op == op.op &&
        known.reason == op.reason) {
      ++known.count;
      return;
    }
  op.count = 1;
  ops.push_back(std::move(op));
}

static std::string getQualifiedName(const UnsupportedOp &op) {
  return op.domain.empty() ? op.op : op.domain + "." + op.op;
}

void pquant::reportUnsupportedOps(ArrayRef<UnsupportedOp> ops, Location file,
                                  StringRef format) {
  for (const UnsupportedOp &op : ops)
    emitError(file) << format << " op '" << getQualifiedName(op)
                    << "' is not supported: " << op.reason << " (" << op.count
                    << (op.count == 1 ? " node" : " nodes") << ", first '"
                    << op.firstNode << "')";
}

void pquant::printUnsupportedOps(ArrayRef<UnsupportedOp> ops, raw_ostream &os) {
  if (ops.empty()) {
    os << "every operator is supported\n";
    return;
  }
  size_t opWidth = 8, nodeWidth = 10;
  for (const UnsupportedOp &op : ops) {
    opWidth = std::max(opWidth, getQualifiedName(op).size());
    nodeWidth = std::max(nodeWidth, op.firstNode.size());
  }
  auto row = [&](StringRef op, StringRef count, StringRef node,
                 StringRef reason) {
    os << llvm::left_justify(op, opWidth) << "  "
       << llvm::right_justify(count, 5) << "  "
       << llvm::left_justify(node, nodeWidth) << "  " << reason << "\n";
  };
  row("operator", "count", "first node", "reason");
  for (const UnsupportedOp &op : ops)
    row(getQualifiedName(op), std::to_string(op.count), op.firstNode,
        op.reason);
}

void pquant::printUnsupportedOpsAsJSON(ArrayRef<UnsupportedOp> ops,
                                       raw_ostream &os) {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  // Names come from the file and may be any bytes.
  auto text = [](StringRef bytes) { return llvm::json::fixUTF8(bytes); };
  json.array([&] {
    for (const UnsupportedOp &op : ops)
      json.object([&] {
        json.attribute("domain", text(op.domain));
        json.attribute("op", text(op.op));
        json.attribute("count", op.count);
        json.attribute("firstNode", text(op.firstNode));
        json.attribute("reason", text(op.reason));
      });
  });
  os << "\n";
}
