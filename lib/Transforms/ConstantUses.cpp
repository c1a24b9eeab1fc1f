//===- ConstantUses.cpp - Freeing constants that were replaced ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/ConstantUses.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace pquant;

namespace {
/// Erases ops that became dead and remembers the resources they held.
struct DeadOps {
  llvm::SetVector<DenseResourceElementsAttr> resources;
  llvm::DenseSet<Operation *> erased;

  void erase(Operation *op) {
    if (erased.contains(op) || !isOpTriviallyDead(op))
      return;
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      if (auto attr = dyn_cast<DenseResourceElementsAttr>(constant.getValue()))
        resources.insert(attr);
    llvm::SetVector<Operation *> sources;
    for (Value operand : op->getOperands())
      if (Operation *source = operand.getDefiningOp())
        sources.insert(source);
    op->erase();
    erased.insert(op);
    for (Operation *source : sources)
      erase(source);
  }
};
} // namespace

using Entry = DialectResourceBlobManager::BlobEntry;

/// The blobs that constants and globals under `root` refer to.
static llvm::DenseSet<Entry *> heldBlobs(Operation *root) {
  llvm::DenseSet<Entry *> held;
  auto hold = [&](Attribute attr) {
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
      held.insert(resource.getRawHandle().getResource());
  };
  root->walk([&](Operation *op) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      hold(constant.getValue());
    else if (isa<SymbolOpInterface>(op))
      for (NamedAttribute attr : op->getAttrs())
        hold(attr.getValue());
  });
  return held;
}

void pquant::releaseDeadConstants(Operation *root, ArrayRef<Value> values) {
  llvm::SetVector<Operation *> ops;
  for (Value value : values)
    if (Operation *op = value.getDefiningOp())
      ops.insert(op);
  DeadOps dead;
  for (Operation *op : ops)
    dead.erase(op);
  if (dead.resources.empty())
    return;
  llvm::DenseSet<Entry *> held = heldBlobs(root);
  for (DenseResourceElementsAttr attr : dead.resources)
    if (!held.contains(attr.getRawHandle().getResource()))
      releaseConstant(attr);
}
