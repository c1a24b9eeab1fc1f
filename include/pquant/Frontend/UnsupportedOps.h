//===- UnsupportedOps.h - What keeps a model from import --------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_UNSUPPORTEDOPS_H
#define PQUANT_FRONTEND_UNSUPPORTEDOPS_H

#include "mlir/IR/Location.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

namespace pquant {

/// An operator of a model that cannot be imported, or not as it is used.
struct UnsupportedOp {
  std::string domain, op;
  int64_t count = 0;
  /// The name of the first such node.
  std::string firstNode;
  std::string reason;
};

/// Adds one node to a list; those of equal operator and reason are counted.
void recordUnsupportedOp(std::vector<UnsupportedOp> &ops, UnsupportedOp op);

/// Reports each as an error of the file; `format` begins the message.
void reportUnsupportedOps(llvm::ArrayRef<UnsupportedOp> ops,
                          mlir::Location file, llvm::StringRef format);

/// Prints the list as a table for people, or as a JSON array.
void printUnsupportedOps(llvm::ArrayRef<UnsupportedOp> ops,
                         llvm::raw_ostream &os);
void printUnsupportedOpsAsJSON(llvm::ArrayRef<UnsupportedOp> ops,
                               llvm::raw_ostream &os);

} // namespace pquant

#endif // PQUANT_FRONTEND_UNSUPPORTEDOPS_H
