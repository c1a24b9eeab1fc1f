//===- PlanBuffers.cpp - One arena for the buffers of a block -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-plan-buffers: buffers whose sizes grow with the same dimensions (the
// rows of a prompt) get fixed places, by the bytes that they take for each unit
// of those dimensions, in one allocation. Which buffers live at the same time
// is known here, so the places hold for every length.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "pquant/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

namespace pquant {
#define GEN_PASS_DEF_PLANBUFFERSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static constexpr int64_t kAlignment = 64;

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

namespace {
/// A dimension that nothing more is known of: an index, or dimension `number`
/// of a memref.
using Factor = std::pair<void *, int64_t>;

/// A number of elements: `scale` times unknown factors.
struct Extent {
  int64_t scale = 1;
  SmallVector<Factor> factors;
};
} // namespace

static void multiplyBy(Value index, Extent &extent);

/// Multiplies `extent` by dimension `number` of `memref`.
static void multiplyByDim(Value memref, int64_t number, Extent &extent) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(number)) {
    extent.scale *= type.getDimSize(number);
    return;
  }
  if (auto collapse = memref.getDefiningOp<memref::CollapseShapeOp>()) {
    for (int64_t dim : collapse.getReassociationIndices()[number])
      multiplyByDim(collapse.getSrc(), dim, extent);
    return;
  }
  if (auto alloc = memref.getDefiningOp<memref::AllocOp>())
    return multiplyBy(alloc.getDynamicSizes()[type.getDynamicDimIndex(number)],
                      extent);
  extent.factors.push_back({memref.getAsOpaquePointer(), number});
}

static void multiplyBy(Value index, Extent &extent) {
  APInt constant;
  if (matchPattern(index, m_ConstantInt(&constant))) {
    extent.scale *= constant.getSExtValue();
    return;
  }
  if (auto dim = index.getDefiningOp<memref::DimOp>())
    if (isa<MemRefType>(dim.getSource().getType()))
      if (std::optional<int64_t> number = dim.getConstantIndex())
        return multiplyByDim(dim.getSource(), *number, extent);
  extent.factors.push_back({index.getAsOpaquePointer(), -1});
}

static Extent getExtent(memref::AllocOp alloc) {
  Extent extent;
  for (int64_t size : alloc.getType().getShape())
    if (!ShapedType::isDynamic(size))
      extent.scale *= size;
  for (Value size : alloc.getDynamicSizes())
    multiplyBy(size, extent);
  llvm::sort(extent.factors);
  return extent;
}

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

namespace {
/// A buffer of a block; times are positions of operations.
struct Buffer {
  memref::AllocOp alloc;
  memref::DeallocOp dealloc;
  int64_t begin, end;
  int64_t bytes;      ///< for each unit, a multiple of kAlignment
  int64_t offset = 0; ///< likewise
};

/// Buffers whose sizes are multiples of one product of dimensions.
using Group = SmallVector<Buffer>;
} // namespace

/// The deallocation of a buffer that begins and ends in one block.
static memref::DeallocOp findDealloc(memref::AllocOp alloc) {
  MemRefType type = alloc.getType();
  if (!type.getLayout().isIdentity() || type.getMemorySpace() ||
      !type.getElementType().isIntOrIndexOrFloat() ||
      alloc.getAlignment().value_or(1) > uint64_t(kAlignment))
    return {};
  memref::DeallocOp found;
  for (Operation *user : alloc->getUsers()) {
    auto dealloc = dyn_cast<memref::DeallocOp>(user);
    if (!dealloc)
      continue;
    if (found || dealloc->getBlock() != alloc->getBlock())
      return {};
    found = dealloc;
  }
  return found;
}

static int64_t getElementBytes(Type element) {
  return element.isIndex()
             ? sizeof(int64_t)
             : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

static SmallVector<Group> collectGroups(Block &block) {
  llvm::MapVector<ArrayRef<Factor>, Group> groups;
  std::vector<std::unique_ptr<Extent>> extents; // keys refer to them
  llvm::DenseMap<Operation *, int64_t> times;
  for (auto [time, op] : llvm::enumerate(block))
    times[&op] = time;
  for (auto alloc : block.getOps<memref::AllocOp>()) {
    memref::DeallocOp dealloc = findDealloc(alloc);
    if (!dealloc)
      continue;
    extents.push_back(std::make_unique<Extent>(getExtent(alloc)));
    const Extent &extent = *extents.back();
    if (extent.scale < 1)
      continue;
    int64_t bytes =
        extent.scale * getElementBytes(alloc.getType().getElementType());
    groups[extent.factors].push_back(
        {alloc, dealloc, times[alloc], times[dealloc],
         int64_t(llvm::alignTo(bytes, kAlignment))});
  }
  SmallVector<Group> result;
  for (auto &[factors, group] : groups)
    if (group.size() > 1)
      result.push_back(std::move(group));
  return result;
}

/// Gives every buffer the lowest place that is free while it lives, large ones
/// first; returns the bytes of all for each unit.
static int64_t plan(Group &group) {
  SmallVector<Buffer *> order;
  for (Buffer &buffer : group)
    order.push_back(&buffer);
  llvm::sort(order, [](Buffer *a, Buffer *b) {
    return std::tuple(-a->bytes, a->begin) < std::tuple(-b->bytes, b->begin);
  });
  SmallVector<Buffer *> placed; // by offset
  int64_t total = 0;
  for (Buffer *buffer : order) {
    for (Buffer *other : placed)
      if (other->begin < buffer->end && buffer->begin < other->end &&
          other->offset < buffer->offset + buffer->bytes)
        buffer->offset = std::max(buffer->offset, other->offset + other->bytes);
    placed.insert(llvm::upper_bound(placed, buffer,
                                    [](Buffer *a, Buffer *b) {
                                      return a->offset < b->offset;
                                    }),
                  buffer);
    total = std::max(total, buffer->offset + buffer->bytes);
  }
  return total;
}

/// The unit's size: the product of what the first buffer's dynamic sizes have
/// unknown.
static Value buildUnits(OpBuilder &builder, memref::AllocOp alloc) {
  Location loc = alloc.getLoc();
  Value units;
  int64_t scale = 1;
  for (Value size : alloc.getDynamicSizes()) {
    Extent extent;
    multiplyBy(size, extent);
    scale *= extent.scale;
    units = units ? arith::MulIOp::create(builder, loc, units, size).getResult()
                  : size;
  }
  if (scale > 1)
    units = arith::DivUIOp::create(
        builder, loc, units,
        arith::ConstantIndexOp::create(builder, loc, scale));
  return units;
}

static void replace(Group &group) {
  int64_t total = plan(group);
  memref::AllocOp first = group.front().alloc;
  OpBuilder builder(first);
  Value units = buildUnits(builder, first);
  auto bytesOf = [&](OpBuilder &builder, Location loc, int64_t bytes) -> Value {
    Value constant = arith::ConstantIndexOp::create(builder, loc, bytes);
    return units && bytes ? arith::MulIOp::create(builder, loc, units, constant)
                          : constant;
  };
  auto type = MemRefType::get({units ? ShapedType::kDynamic : total},
                              builder.getI8Type());
  SmallVector<Value> sizes;
  if (units)
    sizes.push_back(bytesOf(builder, first.getLoc(), total));
  Value arena = memref::AllocOp::create(builder, first.getLoc(), type, sizes,
                                        builder.getI64IntegerAttr(kAlignment));
  Operation *last =
      llvm::max_element(group, [](const Buffer &a, const Buffer &b) {
        return a.end < b.end;
      })->dealloc;
  builder.setInsertionPoint(last);
  memref::DeallocOp::create(builder, last->getLoc(), arena);
  for (Buffer &buffer : group) {
    memref::AllocOp alloc = buffer.alloc;
    builder.setInsertionPoint(alloc);
    Value offset = bytesOf(builder, alloc.getLoc(), buffer.offset);
    Value view =
        memref::ViewOp::create(builder, alloc.getLoc(), alloc.getType(), arena,
                               offset, alloc.getDynamicSizes());
    buffer.dealloc.erase();
    alloc.replaceAllUsesWith(view);
    alloc.erase();
  }
}

namespace {
struct PlanBuffersPass : pquant::impl::PlanBuffersPassBase<PlanBuffersPass> {
  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation()->walk([&](Block *block) { blocks.push_back(block); });
    for (Block *block : blocks)
      for (Group &group : collectGroups(*block))
        replace(group);
  }
};
} // namespace
