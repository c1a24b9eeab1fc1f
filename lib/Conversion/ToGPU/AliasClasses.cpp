//===- AliasClasses.cpp - Values that may be the same memory --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AliasClasses.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace pquant;

static bool isMemRef(Value value) { return isa<MemRefType>(value.getType()); }

Value pquant::getViewSource(Operation *op) {
  if (!isa_and_nonnull<memref::MemRefDialect>(op->getDialect()) ||
      op->getNumOperands() == 0 || op->getNumResults() == 0 ||
      !isMemRef(op->getOperand(0)) || !isMemRef(op->getResult(0)))
    return {};
  return op->getOperand(0);
}

Value AliasClasses::find(Value value) {
  Value root = value;
  for (Value next; (next = parents.lookup(root));)
    root = next;
  while (value != root)
    value = std::exchange(parents[value], root);
  return root;
}

void AliasClasses::join(Value a, Value b) {
  if (!isMemRef(a) || !isMemRef(b))
    return;
  a = find(a);
  b = find(b);
  if (a == b)
    return;
  parents[a] = b;
  if (chosen.contains(a))
    chosen.insert(b);
}

/// Values that control flow hands from `b` to `a`.
void AliasClasses::joinAll(ValueRange a, ValueRange b) {
  for (auto [first, second] : llvm::zip(a, b)) {
    join(first, second);
    if (isMemRef(first))
      chosen.insert(find(first));
  }
}

void AliasClasses::joinLoops(Operation *op) {
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    joinAll(loop.getResults(), loop.getInitArgs());
    joinAll(loop.getRegionIterArgs(), loop.getInitArgs());
    joinAll(loop.getResults(), loop.getYieldedValues());
  } else if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    joinAll(loop.getBeforeArguments(), loop.getInits());
    joinAll(loop.getAfterArguments(), loop.getConditionOp().getArgs());
    joinAll(loop.getResults(), loop.getConditionOp().getArgs());
    joinAll(loop.getBeforeArguments(), loop.getYieldOp().getOperands());
  } else if (isa<scf::IfOp, scf::IndexSwitchOp>(op)) {
    for (Region &region : op->getRegions())
      if (!region.empty())
        joinAll(op->getResults(),
                region.front().getTerminator()->getOperands());
  }
}

AliasClasses::AliasClasses(func::FuncOp function) {
  function.walk([&](Operation *op) {
    if (Value source = getViewSource(op))
      join(op->getResult(0), source);
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      joinAll(select.getResult(), select.getTrueValue());
      joinAll(select.getResult(), select.getFalseValue());
    }
    joinLoops(op);
  });
}
