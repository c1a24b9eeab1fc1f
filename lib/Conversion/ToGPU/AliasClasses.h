//===- AliasClasses.h - Values that may be the same memory ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The memrefs of a function in classes: a view is with its source, and what
// control flow hands on with all that it may be.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_ALIASCLASSES_H
#define PQUANT_LIB_CONVERSION_ALIASCLASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// The memref that `op` is a view of; null for other ops.
Value getViewSource(Operation *op);

class AliasClasses {
public:
  explicit AliasClasses(mlir::func::FuncOp function);

  /// The value that stands for the class of `value`.
  Value find(Value value);
  /// Whether control flow chooses what the memory is.
  bool isChosen(Value value) { return chosen.contains(find(value)); }

private:
  void join(Value a, Value b);
  void joinAll(mlir::ValueRange a, mlir::ValueRange b);
  void joinLoops(Operation *op);

  llvm::DenseMap<Value, Value> parents;
  llvm::DenseSet<Value> chosen;
};

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_ALIASCLASSES_H
