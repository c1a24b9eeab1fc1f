//===- MergeLaunches.cpp - Launches of one block become one ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A launch takes a microsecond; between two barriers of a block a few thousand
// elements take a fraction of one. So launches of one block each that follow
// one another become one launch, with a barrier between their bodies. What is
// freed between them is freed after it.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "pquant/Conversion/Passes.h"
#include "pquant/Conversion/ToGPU.h"

namespace pquant {
#define GEN_PASS_DEF_MERGELAUNCHESPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// Whether one block of kBlockThreads does all.
static bool isOneBlock(gpu::LaunchOp launch) {
  gpu::KernelDim3 grid = launch.getGridSizeOperandValues();
  llvm::APInt threads;
  return matchPattern(grid.x, m_One()) && matchPattern(grid.y, m_One()) &&
         matchPattern(launch.getBlockSizeOperandValues().x,
                      m_ConstantInt(&threads)) &&
         threads == kBlockThreads;
}

/// Whether a launch may be moved behind `op`: its time is then counted where it
/// goes.
static bool canPass(Operation *op) {
  return isa<gpu::AllocOp, gpu::DeallocOp, pqk::ProbeOp>(op) ||
         isMemoryEffectFree(op);
}

/// Puts the body of `first` before that of `second`.
static void merge(gpu::LaunchOp first, gpu::LaunchOp second) {
  Block *from = &first.getBody().front(), *to = &second.getBody().front();
  IRMapping mapping;
  for (auto [before, after] :
       llvm::zip(from->getArguments().take_front(
                     gpu::LaunchOp::kNumConfigRegionAttributes),
                 to->getArguments()))
    mapping.map(before, after);
  for (BlockArgument memory : first.getWorkgroupAttributions())
    mapping.map(memory, second.addWorkgroupAttribution(memory.getType(),
                                                       memory.getLoc()));
  OpBuilder builder = OpBuilder::atBlockBegin(to);
  for (Operation &op : from->without_terminator())
    builder.clone(op, mapping);
  gpu::BarrierOp::create(builder, second.getLoc());
  first.erase();
}

static void mergeInBlock(Block &block) {
  gpu::LaunchOp open;
  SmallVector<Operation *> freed; ///< since `open`
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto launch = dyn_cast<gpu::LaunchOp>(op);
    if (launch && isOneBlock(launch)) {
      // What was freed stays between the merged launch and the next one.
      for (Operation *free : freed)
        free->moveAfter(launch);
      if (open)
        merge(open, launch);
      open = launch;
      continue;
    }
    if (open && isa<gpu::DeallocOp>(op))
      freed.push_back(&op);
    if (!canPass(&op)) {
      open = nullptr;
      freed.clear();
    }
  }
}

namespace {
struct MergeLaunchesPass
    : pquant::impl::MergeLaunchesPassBase<MergeLaunchesPass> {
  void runOnOperation() override {
    getOperation()->walk<WalkOrder::PreOrder>([](Operation *op) {
      if (isa<gpu::LaunchOp>(op))
        return WalkResult::skip();
      for (Region &region : op->getRegions())
        for (Block &block : region)
          mergeInBlock(block);
      return WalkResult::advance();
    });
  }
};
} // namespace
