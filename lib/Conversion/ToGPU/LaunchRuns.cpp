//===- LaunchRuns.cpp - Which ops share a launch --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A run goes on over what has nothing to do with it: allocations, views, and
// other work on memory that it does not touch. What was freed in between is
// freed behind it.
//
//===----------------------------------------------------------------------===//

#include "LaunchRuns.h"

#include "AliasClasses.h"
#include "BlockLaunch.h"
#include "RowViews.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace pquant;

namespace {
class Run {
public:
  /// Takes the op, behind what the run has or as the first of a new one; false
  /// when no run takes it.
  bool add(Operation *op);
  /// Ends the run where `op` may not come before it.
  void pass(Operation *op);
  void emit();

private:
  bool accepts(const RowOp &op) const;
  bool isApart(Operation *op) const;
  void emitOne(OpBuilder &builder);
  void emitRows(OpBuilder &builder);

  SmallVector<Operation *> ops;
  SmallVector<RowOp> rows; ///< of `ops`, when they are on rows
  SmallVector<Operation *> freed, maybeFreed; ///< before and behind the last op
};
} // namespace

bool Run::accepts(const RowOp &op) const {
  return rows.size() == ops.size() &&
         llvm::all_of(
             rows, [&](const RowOp &other) { return op.canFollow(other); }) &&
         (rows.empty() || llvm::any_of(rows, [&](const RowOp &other) {
            return op.hasRowsOf(other);
          }));
}

bool Run::add(Operation *op) {
  if (op->hasAttr(kHostAttrName))
    return false;
  std::optional<RowOp> row;
  if (!BlockLaunch::accepts(op) && !(row = RowOp::match(op)))
    return false;
  if (row ? !accepts(*row) : !rows.empty())
    emit();
  freed.append(maybeFreed);
  maybeFreed.clear();
  ops.push_back(op);
  if (row)
    rows.push_back(*row);
  return true;
}

/// Whether other tensor work touches nothing that the run writes, and writes
/// nothing that it touches.
bool Run::isApart(Operation *op) const {
  auto meet = [](ArrayRef<Value> written, ArrayRef<Value> touched) {
    return llvm::any_of(written, [&](Value a) {
      return llvm::any_of(touched, [&](Value b) {
        return mayAlias(getMemoryRoot(a), getMemoryRoot(b));
      });
    });
  };
  return isTensorWork(op) && !op->hasAttr(kHostAttrName) &&
         llvm::none_of(ops, [&](Operation *ours) {
           return meet(getWritten(ours), getRead(op)) ||
                  meet(getWritten(op), getRead(ours));
         });
}

void Run::pass(Operation *op) {
  if (ops.empty())
    return;
  if (isa<gpu::DeallocOp>(op))
    maybeFreed.push_back(op);
  else if (!isa<gpu::AllocOp>(op) && !isMemoryEffectFree(op) && !isApart(op))
    emit();
}

void Run::emitOne(OpBuilder &builder) {
  BlockLaunch launch(builder, ops.front()->getLoc());
  for (Operation *op : ops)
    launch.add(op);
  launch.finish();
}

void Run::emitRows(OpBuilder &builder) {
  int64_t threads = 0;
  for (const RowOp &row : rows)
    threads = std::max(threads, BlockLaunch::threadsFor(row.getPoints()));
  SmallVector<Operation *> copies;
  BlockLaunch launch(builder, ops.front()->getLoc(),
                     rows.front().createCount(builder), threads,
                     [&](KernelBuilder &b, Value block) {
                       RowOp::Views views;
                       for (const RowOp &row : rows)
                         copies.push_back(row.cloneRow(b, block, views));
                     });
  for (Operation *copy : copies)
    launch.add(copy);
  launch.finish();
  for (Operation *copy : copies)
    copy->erase();
}

/// One launch in the place of the last op. A single op on rows has kernels of
/// its own.
void Run::emit() {
  if (!ops.empty() && (rows.empty() || rows.size() > 1)) {
    OpBuilder builder(ops.back());
    if (rows.empty())
      emitOne(builder);
    else
      emitRows(builder);
    for (Operation *op : freed)
      op->moveBefore(ops.back());
    for (Operation *op : ops)
      op->erase();
  }
  *this = Run();
}

void pquant::convertRuns(Block &block) {
  Run run;
  for (Operation &op : llvm::make_early_inc_range(block))
    if (!run.add(&op))
      run.pass(&op);
  run.emit();
}

//===----------------------------------------------------------------------===//
// Memory that nobody reads
//===----------------------------------------------------------------------===//

/// Adds what writes `memory`, frees it or is a view of it; false when there is
/// anything else.
static bool collectWrites(Value memory, llvm::SetVector<Operation *> &writes) {
  for (OpOperand &use : memory.getUses()) {
    Operation *op = use.getOwner();
    if (getViewSource(op) == memory && op->getNumResults() == 1) {
      if (!collectWrites(op->getResult(0), writes))
        return false;
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      if (store.getValueToStore() == memory)
        return false;
    } else if (!isa<vector::StoreOp, gpu::DeallocOp>(op) ||
               op->getNumResults()) {
      return false;
    }
    writes.insert(op);
  }
  return true;
}

void pquant::eraseUnread(Operation *root) {
  SmallVector<gpu::AllocOp> allocs;
  root->walk([&](gpu::AllocOp alloc) { allocs.push_back(alloc); });
  for (gpu::AllocOp alloc : allocs) {
    llvm::SetVector<Operation *> writes;
    if (alloc->getNumResults() != 1 ||
        !collectWrites(alloc.getMemref(), writes))
      continue;
    for (Operation *op : writes)
      op->dropAllReferences();
    for (Operation *op : writes)
      op->erase();
    alloc.erase();
  }
}
