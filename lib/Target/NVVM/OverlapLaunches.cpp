//===- OverlapLaunches.cpp - Kernels that start before others end ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programmatic dependent launch: a kernel starts once all blocks of the one
// before it have said that it may, and then waits for that one's end and its
// memory. Each kernel waits, and ends after its wait, so that all kernels
// before the last have ended too.
//
// The waits are assembly: LLVM declares their intrinsics to touch no memory,
// and may move loads over them.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "pquant/Target/NVVM.h"
#include "pquant/Target/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_NVVMOVERLAPLAUNCHESPASS
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static constexpr StringLiteral kWait = "griddepcontrol.wait;";
static constexpr StringLiteral kLaunchNext =
    "griddepcontrol.launch_dependents;";

static bool canOverlap(ModuleOp module) {
  auto target = module->getAttrOfType<TargetAttr>(kTargetAttrName);
  return target && target.getGpu() &&
         target.getGpu().hasCapability(nvvm::kDependentLaunch);
}

static void emitAssembly(OpBuilder &builder, Location loc, StringRef text) {
  LLVM::InlineAsmOp::create(
      builder, loc, /*resultTypes=*/TypeRange(), /*operands=*/ValueRange(),
      text, /*constraints=*/"~{memory}", /*has_side_effects=*/true,
      /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
      /*asm_dialect=*/nullptr, /*operand_attrs=*/nullptr);
}

void nvvm::waitForKernels(KernelBuilder &b) {
  Operation *launch = b.getInsertionBlock()->getParentOp();
  if (canOverlap(launch->getParentOfType<ModuleOp>()))
    emitAssembly(b, b.getLoc(), kWait);
}

static bool hasWait(gpu::LaunchOp launch) {
  return llvm::any_of(launch.getBody().front(), [](Operation &op) {
    auto assembly = dyn_cast<LLVM::InlineAsmOp>(op);
    return assembly && assembly.getAsmString() == kWait;
  });
}

namespace {
struct NVVMOverlapLaunchesPass
    : public pquant::impl::NVVMOverlapLaunchesPassBase<
          NVVMOverlapLaunchesPass> {
  void runOnOperation() override {
    if (!canOverlap(getOperation()))
      return;
    getOperation().walk([](gpu::LaunchOp launch) {
      OpBuilder builder = OpBuilder::atBlockBegin(&launch.getBody().front());
      emitAssembly(builder, launch.getLoc(), kLaunchNext);
      if (!hasWait(launch))
        emitAssembly(builder, launch.getLoc(), kWait);
    });
  }
};
} // namespace
