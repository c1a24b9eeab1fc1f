//===- GPUToRuntime.cpp - Launches and GPU memory to runtime calls --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: host code with gpu.alloc, gpu.dealloc, gpu.memcpy and gpu.launch_func.
// Output: calls of the functions of ModelDescriptor.h in their place, and the
// kernels together in one gpu.module, numbered by `pquant.kernels`. Launches
// that are not yet between probes get some, so that all are seen in profiles.
//
// A kernel's arguments are words of 8 bytes, in the order of the lowering of
// memrefs: two addresses, offset, sizes, strides.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Conversion/ToGPU.h"
#include "pquant/Support/NodeName.h"
#include "llvm/Support/MathExtras.h"

namespace pquant {
#define GEN_PASS_DEF_GPUTORUNTIMEPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static constexpr StringLiteral kKernelModule = "kernels";
static constexpr int64_t kTileAlignment = 1024;

namespace {
struct GPUToRuntimePass : pquant::impl::GPUToRuntimePassBase<GPUToRuntimePass> {
  void runOnOperation() override;

private:
  void joinModules();
  func::FuncOp getFunction(StringRef name, TypeRange arguments,
                           TypeRange results);
  void convertAlloc(gpu::AllocOp op);
  void convertDealloc(gpu::DeallocOp op);
  void convertCopy(gpu::MemcpyOp op);
  LogicalResult convertLaunch(gpu::LaunchFuncOp op);

  SmallVector<Attribute> kernels;
  llvm::StringMap<int64_t> numbers;
};
} // namespace

func::FuncOp GPUToRuntimePass::getFunction(StringRef name, TypeRange arguments,
                                           TypeRange results) {
  if (auto function = getOperation().lookupSymbol<func::FuncOp>(name))
    return function;
  OpBuilder builder = OpBuilder::atBlockBegin(getOperation().getBody());
  auto function =
      func::FuncOp::create(builder, getOperation().getLoc(), name,
                           builder.getFunctionType(arguments, results));
  function.setPrivate();
  // Memrefs go through the C interface, by address.
  if (!results.empty())
    function->setAttr("llvm.emit_c_interface", builder.getUnitAttr());
  return function;
}

/// Bytes of shared memory are read as words; swizzled tiles, of whole
/// kilobytes, begin at a multiple of one.
static void alignSharedMemory(gpu::GPUFuncOp kernel) {
  OpBuilder builder(kernel);
  for (auto [i, memory] : llvm::enumerate(kernel.getWorkgroupAttributions())) {
    auto type = cast<MemRefType>(memory.getType());
    bool isTile = type.getElementType().isInteger(8) &&
                  type.getNumElements() % kTileAlignment == 0;
    kernel.setWorkgroupAttributionAttr(
        i, builder.getStringAttr("llvm.align"),
        builder.getI64IntegerAttr(isTile ? kTileAlignment : 16));
  }
}

/// The kernels of all modules in one, each under a name of its own.
void GPUToRuntimePass::joinModules() {
  SmallVector<gpu::GPUModuleOp> modules(
      getOperation().getOps<gpu::GPUModuleOp>());
  if (modules.empty())
    return;
  OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
  auto joined =
      gpu::GPUModuleOp::create(builder, getOperation().getLoc(), kKernelModule);
  for (gpu::GPUModuleOp module : modules) {
    std::string prefix = module.getName().str();
    for (Operation &op : llvm::make_early_inc_range(*module.getBody())) {
      if (auto kernel = dyn_cast<gpu::GPUFuncOp>(op)) {
        numbers[prefix] = kernels.size();
        kernels.push_back(builder.getStringAttr(prefix));
        kernel.setName(prefix);
        alignSharedMemory(kernel);
        op.moveBefore(joined.getBody(), joined.getBody()->end());
      }
    }
    module.erase();
  }
  joined->setAttr("pquant.kernels", builder.getArrayAttr(kernels));
}

/// The bytes of a memref of contiguous elements.
static Value countBytes(OpBuilder &builder, Location loc, MemRefType type,
                        ValueRange sizes) {
  int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t size : type.getShape())
    bytes *= ShapedType::isDynamic(size) ? 1 : size;
  Value product = arith::ConstantIndexOp::create(builder, loc, bytes);
  for (Value size : sizes)
    product = arith::MulIOp::create(builder, loc, product, size);
  return product;
}

static Value addressOf(OpBuilder &builder, Location loc, Value memref) {
  return memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, memref);
}

void GPUToRuntimePass::convertAlloc(gpu::AllocOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  MemRefType type = op.getType();
  auto bytesType = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
  func::FuncOp function =
      getFunction("pquant_rt_gpu_alloc", builder.getIndexType(), bytesType);
  Value bytes = countBytes(builder, loc, type, op.getDynamicSizes());
  Value memory =
      func::CallOp::create(builder, loc, function, bytes).getResult(0);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value view = memref::ViewOp::create(builder, loc, type, memory, zero,
                                      op.getDynamicSizes());
  op.getMemref().replaceAllUsesWith(view);
  op.erase();
}

void GPUToRuntimePass::convertDealloc(gpu::DeallocOp op) {
  OpBuilder builder(op);
  func::FuncOp function =
      getFunction("pquant_rt_gpu_free", builder.getIndexType(), {});
  func::CallOp::create(builder, op.getLoc(), function,
                       addressOf(builder, op.getLoc(), op.getMemref()));
  op.erase();
}

void GPUToRuntimePass::convertCopy(gpu::MemcpyOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  Type index = builder.getIndexType();
  func::FuncOp function =
      getFunction("pquant_rt_gpu_copy", {index, index, index}, {});
  auto type = cast<MemRefType>(op.getSrc().getType());
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(memref::DimOp::create(builder, loc, op.getSrc(), i));
  func::CallOp::create(builder, loc, function,
                       {addressOf(builder, loc, op.getDst()),
                        addressOf(builder, loc, op.getSrc()),
                        countBytes(builder, loc, type, sizes)});
  op.erase();
}

/// The words of one argument; nothing for a type that has none.
static SmallVector<Value> getWords(OpBuilder &builder, Location loc,
                                   Value value) {
  if (isa<IndexType>(value.getType()))
    return {value};
  if (value.getType().isInteger(64))
    return {arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                       value)};
  if (!isa<MemRefType>(value.getType()))
    return {};
  Value address = addressOf(builder, loc, value);
  auto parts = memref::ExtractStridedMetadataOp::create(builder, loc, value);
  SmallVector<Value> words = {address, address, parts.getOffset()};
  llvm::append_range(words, parts.getSizes());
  llvm::append_range(words, parts.getStrides());
  return words;
}

/// Whether the probe before `op`, or before what `op` is in, is one that
/// begins.
static bool isBetweenProbes(Operation *op) {
  for (; !isa<func::FuncOp>(op); op = op->getParentOp())
    for (Operation *before = op->getPrevNode(); before;
         before = before->getPrevNode())
      if (auto probe = dyn_cast<pqk::ProbeOp>(before))
        return !probe.getEnd();
  return false;
}

/// Probes around a launch that came of linalg ops, named after their nodes.
static void insertProbes(gpu::LaunchFuncOp op) {
  if (isBetweenProbes(op))
    return;
  OpBuilder builder(op);
  Value rows = arith::ConstantIndexOp::create(builder, op.getLoc(), 1);
  auto insert = [&](bool end) {
    pqk::ProbeOp::create(builder, op.getLoc(), getNodeName(op.getLoc()),
                         "elementwise", rows, /*weight_bytes=*/0,
                         /*matrices=*/1, /*row_bytes=*/0, /*row_ops=*/0, end);
  };
  insert(/*end=*/false);
  builder.setInsertionPointAfter(op);
  insert(/*end=*/true);
}

LogicalResult GPUToRuntimePass::convertLaunch(gpu::LaunchFuncOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  SmallVector<Value> words;
  for (Value operand : op.getKernelOperands()) {
    SmallVector<Value> more = getWords(builder, loc, operand);
    if (more.empty())
      return op.emitOpError("has an argument of type ")
             << operand.getType() << ", which kernels do not take";
    llvm::append_range(words, more);
  }
  Type index = builder.getIndexType();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto type = MemRefType::get({int64_t(words.size())}, index);
  // Once for each launch of the function, not for each round of a loop.
  Value memory;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(
        &op->getParentOfType<func::FuncOp>().getBody().front());
    memory = memref::AllocaOp::create(builder, loc, type);
  }
  for (auto [i, word] : llvm::enumerate(words))
    memref::StoreOp::create(builder, loc, word, memory, constant(i));
  func::FuncOp function =
      getFunction("pquant_rt_gpu_launch", SmallVector<Type>(7, index), {});
  gpu::KernelDim3 grid = op.getGridSizeOperandValues();
  gpu::KernelDim3 block = op.getBlockSizeOperandValues();
  int64_t number = numbers.lookup(op.getKernelModuleName().getValue());
  Value shared = constant(0);
  if (op.getDynamicSharedMemorySize())
    shared = arith::IndexCastOp::create(builder, loc, index,
                                        op.getDynamicSharedMemorySize());
  func::CallOp::create(builder, loc, function,
                       {constant(number), grid.x, grid.y, block.x, shared,
                        addressOf(builder, loc, memory),
                        constant(words.size())});
  op.erase();
  return success();
}

void GPUToRuntimePass::runOnOperation() {
  SmallVector<Operation *> ops;
  getOperation()->walk(insertProbes);
  getOperation()->walk([&](Operation *op) {
    if (isa<gpu::AllocOp, gpu::DeallocOp, gpu::MemcpyOp, gpu::LaunchFuncOp>(op))
      ops.push_back(op);
  });
  joinModules();
  for (Operation *op : ops) {
    if (auto alloc = dyn_cast<gpu::AllocOp>(op))
      convertAlloc(alloc);
    else if (auto dealloc = dyn_cast<gpu::DeallocOp>(op))
      convertDealloc(dealloc);
    else if (auto copy = dyn_cast<gpu::MemcpyOp>(op))
      convertCopy(copy);
    else if (failed(convertLaunch(cast<gpu::LaunchFuncOp>(op))))
      return signalPassFailure();
  }
}
