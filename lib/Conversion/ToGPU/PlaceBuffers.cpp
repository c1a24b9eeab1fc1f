//===- PlaceBuffers.cpp - Which memory is the GPU's -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: bufferised functions whose public ones take the weights, inputs and
// states. Output: tensors in GPU memory (gpu.alloc), host code around them, and
// a copy (gpu.memcpy) wherever a value crosses over. Inputs and results of
// public functions are the host's; weights, states, results beside states, and
// the arguments and results of other functions are the GPU's.
//
// What host code reads (lengths, checks of indices) is computed there as long
// as it depends on inputs only: reading it back would stop the GPU.
//
//===----------------------------------------------------------------------===//

#include "AliasClasses.h"
#include "pquant/Conversion/Passes.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Conversion/ToGPU.h"
#include "llvm/ADT/MapVector.h"

namespace pquant {
#define GEN_PASS_DEF_PLACEBUFFERSPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static bool isMemRef(Value value) { return isa<MemRefType>(value.getType()); }

/// A function without tensor work (one that compares addresses, say) stays what
/// it is, and so does the memory that it is given.
static bool isHostFunction(func::FuncOp function) {
  if (function.isPublic() || function.isDeclaration())
    return function.isDeclaration();
  return !function
              .walk([](Operation *op) {
                return isTensorWork(op) ||
                               isa<memref::AllocOp, func::CallOp>(op)
                           ? WalkResult::interrupt()
                           : WalkResult::advance();
              })
              .wasInterrupted();
}

namespace {
/// Places the memory of one function.
class FunctionPlacer {
public:
  FunctionPlacer(func::FuncOp function, SymbolTable &symbols)
      : function(function), symbols(symbols), aliases(function) {}

  LogicalResult run();

private:
  /// What is known of the memory of one alias class.
  struct Memory {
    bool canBeHost = true;   ///< as far as its origin goes
    bool readByHost = false; ///< by code that is no tensor work
    bool mustBeHost = false;
    SmallVector<Operation *> writers; ///< tensor work that writes it
  };

  Memory &memoryOf(Value value) { return memories[aliases.find(value)]; }
  bool isHost(Value value) { return host.contains(aliases.find(value)); }
  bool isInput(BlockArgument argument);
  bool hasHostResults();
  bool isHostOp(Operation *op);

  void collectOrigins();
  void collectUses();
  void chooseHost();
  Value hostVersion(OpBuilder &builder, Value value);
  LogicalResult giveCopies(Operation *op);
  LogicalResult moveAccess(Operation *op);
  LogicalResult returnToHost(func::ReturnOp op);
  void moveAllocations(ArrayRef<Operation *> ops);
  void copyInputs();

  func::FuncOp function;
  SymbolTable &symbols;
  AliasClasses aliases;
  llvm::MapVector<Value, Memory> memories;
  DenseSet<Value> host;
  llvm::MapVector<Value, Value> deviceInputs; ///< of inputs and globals
  DenseSet<Value> inputs;                     ///< classes of these copies
};
} // namespace

bool FunctionPlacer::isInput(BlockArgument argument) {
  return function.isPublic() && isMemRef(argument) &&
         argument.getArgNumber() > 0 &&
         !function.getArgAttr(argument.getArgNumber(), kStateAttrName);
}

/// What comes with states stays where these are: who continues a sequence may
/// not need all of it.
bool FunctionPlacer::hasHostResults() {
  return function.isPublic() &&
         llvm::none_of(function.getArguments(), [&](BlockArgument argument) {
           return bool(
               function.getArgAttr(argument.getArgNumber(), kStateAttrName));
         });
}

/// Memory that is not allocated here, nor an input or a constant, is the GPU's.
void FunctionPlacer::collectOrigins() {
  for (BlockArgument argument : function.getArguments())
    if (isMemRef(argument) && !isInput(argument))
      memoryOf(argument).canBeHost = false;
  function.walk([&](func::CallOp call) {
    for (Value result : call.getResults())
      if (isMemRef(result))
        memoryOf(result).canBeHost = false;
    auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
    for (Value operand : call.getOperands()) {
      if (!isMemRef(operand))
        continue;
      if (callee && isHostFunction(callee))
        memoryOf(operand).mustBeHost = true;
      else if (!inputs.contains(aliases.find(operand)))
        memoryOf(operand).canBeHost = false; // it may be written there
    }
  });
  // What may be an input or something else has no one original.
  for (Value value : inputs)
    if (aliases.isChosen(value))
      memoryOf(value).canBeHost = false;
}

void FunctionPlacer::collectUses() {
  function.walk([&](Operation *op) {
    if (isInsideTensorWork(op))
      return;
    if (auto load = dyn_cast<memref::LoadOp>(op))
      memoryOf(load.getMemRef()).readByHost = true;
    if (!isTensorWork(op))
      return;
    for (Value written : getWritten(op))
      memoryOf(written).writers.push_back(op);
    // Host memory reaches the GPU as a block.
    for (Value read : getRead(op))
      if (!cast<MemRefType>(read.getType()).getLayout().isIdentity())
        memoryOf(read).canBeHost = false;
  });
}

void FunctionPlacer::chooseHost() {
  // What depends on memory of the GPU is computed there.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto &[value, memory] : memories)
      for (Operation *writer : memory.writers) {
        bool possible = isa<linalg::LinalgOp, memref::CopyOp>(writer);
        for (Value operand : getRead(writer))
          possible &= memoryOf(operand).canBeHost;
        if (possible || !memory.canBeHost)
          continue;
        memory.canBeHost = false;
        changed = true;
      }
  }
  SmallVector<Value> work;
  auto add = [&](Value value) {
    if (host.insert(value).second)
      work.push_back(value);
  };
  for (auto &[value, memory] : memories)
    if (memory.mustBeHost || (memory.readByHost && memory.canBeHost))
      add(value);
  while (!work.empty())
    for (Operation *writer : memories[work.pop_back_val()].writers)
      for (Value operand : getRead(writer))
        add(aliases.find(operand));
}

bool FunctionPlacer::isHostOp(Operation *op) {
  return llvm::any_of(getWritten(op),
                      [&](Value value) { return isHost(value); });
}

/// Every use of an input or constant becomes one of its copy; what reads it on
/// the host goes back to the original (hostVersion).
void FunctionPlacer::copyInputs() {
  SmallVector<Value> originals;
  for (BlockArgument argument : function.getArguments())
    if (isMemRef(argument) && isInput(argument))
      originals.push_back(argument);
  function.walk([&](memref::GetGlobalOp op) {
    if (!isInsideTensorWork(op))
      originals.push_back(op);
  });
  for (Value original : originals) {
    OpBuilder builder(original.getContext());
    builder.setInsertionPointAfterValue(original);
    auto type = cast<MemRefType>(original.getType());
    SmallVector<Operation *> made;
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i)) {
        auto dim =
            memref::DimOp::create(builder, original.getLoc(), original, i);
        made.push_back(dim);
        sizes.push_back(dim);
      }
    auto copy = gpu::AllocOp::create(builder, original.getLoc(), type, Type(),
                                     ValueRange(), sizes, ValueRange());
    made.push_back(gpu::MemcpyOp::create(builder, original.getLoc(), Type(),
                                         ValueRange(), copy.getMemref(),
                                         original));
    original.replaceUsesWithIf(copy.getMemref(), [&](OpOperand &use) {
      return !llvm::is_contained(made, use.getOwner());
    });
    deviceInputs[copy.getMemref()] = original;
  }
}

/// The host's memory behind a value: the original of a copied input, through
/// the same views.
Value FunctionPlacer::hostVersion(OpBuilder &builder, Value value) {
  if (Value original = deviceInputs.lookup(value))
    return original;
  Operation *op = value.getDefiningOp();
  if (!op || op->getNumOperands() == 0 || !isMemRef(op->getOperand(0)))
    return value;
  Value source = hostVersion(builder, op->getOperand(0));
  if (source == op->getOperand(0))
    return value;
  Operation *view = builder.clone(*op);
  view->setOperand(0, source);
  return view->getResult(cast<OpResult>(value).getResultNumber());
}

/// A host op reads originals; an op of the GPU, or a call, reads copies of what
/// the host has computed.
LogicalResult FunctionPlacer::giveCopies(Operation *op) {
  OpBuilder builder(op);
  if (isTensorWork(op) && isHostOp(op)) {
    op->setAttr(kHostAttrName, builder.getUnitAttr());
    op->walk([&](Operation *inner) {
      for (OpOperand &operand : inner->getOpOperands())
        if (isMemRef(operand.get()) &&
            !op->isAncestor(operand.get().getParentRegion()->getParentOp()))
          operand.set(hostVersion(builder, operand.get()));
    });
    return success();
  }
  llvm::SmallDenseMap<Value, Value> copies;
  op->walk([&](Operation *inner) {
    for (OpOperand &operand : inner->getOpOperands()) {
      Value value = operand.get();
      if (!isMemRef(value) || !isHost(value) ||
          hostVersion(builder, value) != value ||
          op->isAncestor(value.getParentRegion()->getParentOp()))
        continue;
      Value &copy = copies[value];
      if (!copy)
        copy = copyToDevice(builder, op->getLoc(), value);
      operand.set(copy);
    }
  });
  builder.setInsertionPointAfter(op);
  for (auto [value, copy] : copies)
    gpu::DeallocOp::create(builder, op->getLoc(), Type(), ValueRange(), copy);
  return success();
}

/// Host code's loads and stores of GPU memory.
LogicalResult FunctionPlacer::moveAccess(Operation *op) {
  OpBuilder builder(op);
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    Value value = load.getMemRef();
    if (isHost(value)) {
      load.getMemrefMutable().assign(hostVersion(builder, value));
      return success();
    }
    auto type = MemRefType::get({}, load.getType());
    Value cell = gpu::AllocOp::create(builder, op->getLoc(), type, Type(),
                                      ValueRange(), ValueRange(), ValueRange())
                     .getMemref();
    buildLaunch(builder, op->getLoc(), {}, 1, {},
                [&](KernelBuilder &b, const GPUBlock &) {
                  b.store(b.load(value, load.getIndices()), cell, {});
                });
    Value read = memref::AllocaOp::create(builder, op->getLoc(), type);
    gpu::MemcpyOp::create(builder, op->getLoc(), Type(), ValueRange(), read,
                          cell);
    gpu::DeallocOp::create(builder, op->getLoc(), Type(), ValueRange(), cell);
    load.getMemrefMutable().assign(read);
    load.getIndicesMutable().clear();
    return success();
  }
  auto store = cast<memref::StoreOp>(op);
  if (isHost(store.getMemRef()))
    return success();
  buildLaunch(builder, op->getLoc(), {}, 1, {},
              [&](KernelBuilder &b, const GPUBlock &) {
                b.store(store.getValue(), store.getMemRef(),
                        store.getIndices());
              });
  store.erase();
  return success();
}

LogicalResult FunctionPlacer::returnToHost(func::ReturnOp op) {
  OpBuilder builder(op);
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    if (!isMemRef(value))
      continue;
    bool isOnHost = isHost(value), belongsToHost = hasHostResults();
    if (isOnHost && belongsToHost)
      operand.set(hostVersion(builder, value));
    else if (isOnHost)
      operand.set(copyToDevice(builder, op.getLoc(), value));
    else if (belongsToHost)
      operand.set(copyToHost(builder, op.getLoc(), value));
  }
  return success();
}

void FunctionPlacer::moveAllocations(ArrayRef<Operation *> ops) {
  for (Operation *op : ops) {
    OpBuilder builder(op);
    if (auto free = dyn_cast<memref::DeallocOp>(op)) {
      if (isHost(free.getMemref()))
        continue;
      gpu::DeallocOp::create(builder, op->getLoc(), Type(), ValueRange(),
                             free.getMemref());
    } else {
      if (isHost(op->getResult(0)))
        continue;
      auto copy = gpu::AllocOp::create(
          builder, op->getLoc(), cast<MemRefType>(op->getResult(0).getType()),
          Type(), ValueRange(), op->getOperands(), ValueRange());
      op->getResult(0).replaceAllUsesWith(copy.getMemref());
    }
    op->erase();
  }
}

LogicalResult FunctionPlacer::run() {
  if (isHostFunction(function))
    return success();
  copyInputs();
  aliases = AliasClasses(function);
  for (auto [copy, original] : deviceInputs)
    inputs.insert(aliases.find(copy));
  collectOrigins();
  collectUses();
  chooseHost();
  SmallVector<Operation *> work, accesses, allocations;
  SmallVector<func::ReturnOp> returns;
  function.walk([&](Operation *op) {
    if (isInsideTensorWork(op))
      return;
    auto call = dyn_cast<func::CallOp>(op);
    auto callee =
        call ? symbols.lookup<func::FuncOp>(call.getCallee()) : func::FuncOp();
    if (isTensorWork(op) || (callee && !isHostFunction(callee)))
      work.push_back(op);
    if (isa<memref::LoadOp, memref::StoreOp>(op))
      accesses.push_back(op);
    if (isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp>(op))
      allocations.push_back(op);
    if (auto end = dyn_cast<func::ReturnOp>(op))
      returns.push_back(end);
  });
  // Classes are looked up by the values of before; those of copies are new.
  for (Operation *op : work)
    if (failed(giveCopies(op)))
      return failure();
  for (Operation *op : accesses)
    if (failed(moveAccess(op)))
      return failure();
  for (func::ReturnOp op : returns)
    if (failed(returnToHost(op)))
      return failure();
  moveAllocations(allocations);
  // A copy that nothing reads was made for nothing.
  for (auto [copy, original] : deviceInputs)
    if (copy.hasOneUse()) {
      copy.getUsers().begin()->erase();
      copy.getDefiningOp()->erase();
    }
  return success();
}

namespace {
struct PlaceBuffersPass : pquant::impl::PlaceBuffersPassBase<PlaceBuffersPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() &&
          failed(FunctionPlacer(function, symbols).run()))
        return signalPassFailure();
  }
};
} // namespace
