//===- Launch.cpp - What the kernels of a GPU are made of -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Conversion/ToGPU.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace pquant;

static bool isMemRef(Value value) { return isa<MemRefType>(value.getType()); }

bool pquant::isTensorWork(Operation *op) {
  if (isa<linalg::LinalgOp, memref::CopyOp>(op))
    return true;
  return isa<DestinationStyleOpInterface>(op) &&
         isa<pqk::PQKernelDialect>(op->getDialect());
}

bool pquant::isInsideTensorWork(Operation *op) {
  for (Operation *parent = op->getParentOp(); parent;
       parent = parent->getParentOp())
    if (isTensorWork(parent))
      return true;
  return false;
}

SmallVector<Value> pquant::getRead(Operation *op) {
  llvm::SetVector<Value> values;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isMemRef(operand))
        values.insert(operand);
  });
  return values.takeVector();
}

SmallVector<Value> pquant::getWritten(Operation *op) {
  if (auto copy = dyn_cast<memref::CopyOp>(op))
    return {copy.getTarget()};
  SmallVector<Value> values;
  for (Value init : cast<DestinationStyleOpInterface>(op).getDpsInits())
    if (isMemRef(init))
      values.push_back(init);
  return values;
}

static SmallVector<Value> getDynamicSizes(OpBuilder &builder, Location loc,
                                          Value value) {
  auto type = cast<MemRefType>(value.getType());
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(memref::DimOp::create(builder, loc, value, i));
  return sizes;
}

/// The type of a contiguous copy.
static MemRefType getCopyType(Value value) {
  auto type = cast<MemRefType>(value.getType());
  return MemRefType::get(type.getShape(), type.getElementType());
}

Value pquant::copyToDevice(OpBuilder &builder, Location loc, Value value) {
  auto copy = gpu::AllocOp::create(
      builder, loc, getCopyType(value), Type(), ValueRange(),
      getDynamicSizes(builder, loc, value), ValueRange());
  gpu::MemcpyOp::create(builder, loc, Type(), ValueRange(), copy.getMemref(),
                        value);
  return copy.getMemref();
}

Value pquant::copyToHost(OpBuilder &builder, Location loc, Value value) {
  Value copy = memref::AllocOp::create(builder, loc, getCopyType(value),
                                       getDynamicSizes(builder, loc, value));
  gpu::MemcpyOp::create(builder, loc, Type(), ValueRange(), copy, value);
  return copy;
}

void pquant::buildLaunch(
    OpBuilder &builder, Location loc, ArrayRef<Value> grid, int64_t threads,
    ArrayRef<Type> shared,
    llvm::function_ref<void(KernelBuilder &, const GPUBlock &)> body) {
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value count = arith::ConstantIndexOp::create(builder, loc, threads);
  auto launch = gpu::LaunchOp::create(
      builder, loc, grid.size() > 0 ? grid[0] : one,
      grid.size() > 1 ? grid[1] : one, one, count, one, one,
      /*dynamicSharedMemorySize=*/Value(), /*asyncTokenType=*/Type(),
      /*asyncDependencies=*/ValueRange(), TypeRange(shared));
  KernelBuilder b(loc, OpBuilder::atBlockEnd(&launch.getBody().front()));
  SmallVector<Value> memory(launch.getWorkgroupAttributions());
  body(b, {launch.getBlockIds().x, launch.getBlockIds().y,
           launch.getThreadIds().x, memory});
  b.setInsertionPointToEnd(&launch.getBody().front());
  gpu::TerminatorOp::create(b);
}

MemRefType pquant::getSharedType(ArrayRef<int64_t> shape, Type element) {
  auto space = gpu::AddressSpaceAttr::get(element.getContext(),
                                          gpu::AddressSpace::Workgroup);
  return MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space);
}

Value pquant::shuffleReduce(KernelBuilder &b, Value value, int64_t first,
                            int64_t end,
                            llvm::function_ref<Value(Value, Value)> combine) {
  for (int64_t offset = end / 2; offset >= first; offset /= 2)
    value = combine(value, gpu::ShuffleOp::create(b, value, int32_t(offset),
                                                  int32_t(kWarp),
                                                  gpu::ShuffleMode::XOR)
                               .getShuffleResult());
  return value;
}

Value pquant::blockReduce(KernelBuilder &b, const GPUBlock &block,
                          int64_t threads, Value scratch, Value value,
                          llvm::function_ref<Value(Value, Value)> combine) {
  value = shuffleReduce(b, value, 1, std::min(threads, kWarp), combine);
  if (threads <= kWarp)
    return value;
  Value warp = arith::DivUIOp::create(b, block.thread, b.index(kWarp));
  Value lane = arith::RemUIOp::create(b, block.thread, b.index(kWarp));
  b.ifElse(b.compare(arith::CmpIPredicate::eq, lane, b.index(0)),
           [&] { b.store(value, scratch, warp); });
  gpu::BarrierOp::create(b);
  int64_t warps = threads / kWarp;
  Value slot = arith::RemUIOp::create(b, lane, b.index(warps));
  return shuffleReduce(b, b.load(scratch, slot), 1, warps, combine);
}
