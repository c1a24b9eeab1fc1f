//===- VerifyKernels.cpp - The contract of the kernels phase --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-verify-kernels: names the first op that lowering to memory, loops
// and kernel calls should not have left.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "pquant/Transforms/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_VERIFYKERNELSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// What should stand in place of `op`; empty when it belongs.
static StringRef expectedInstead(Operation *op) {
  StringRef dialect = op->getName().getDialectNamespace();
  if (dialect == "pquant")
    return "kernel calls or a definition in upstream ops";
  if (dialect == "pqk" && !isa<pqk::ParallelOp, pqk::ProbeOp>(op))
    return "a call of a kernel function";
  if (dialect == "linalg")
    return "loops";
  if (dialect == "tensor" || dialect == "bufferization" ||
      llvm::any_of(op->getResultTypes(), llvm::IsaPred<TensorType>))
    return "ops on memrefs";
  auto function = dyn_cast<FunctionOpInterface>(op);
  // Kernels of a GPU have no level.
  if (function && !function.isExternal() && isa<ModuleOp>(op->getParentOp()) &&
      !function->getAttrOfType<LevelAttr>(kLevelAttrName))
    return "an instruction-set level ('pquant.level') on a function with a "
           "body";
  return "";
}

static LogicalResult verifyOp(Operation *op) {
  StringRef expected = expectedInstead(op);
  if (expected.empty())
    return success();
  return op->emitOpError("does not belong in phase 'kernels': expected ")
         << expected;
}

namespace {
struct VerifyKernelsPass
    : pquant::impl::VerifyKernelsPassBase<VerifyKernelsPass> {
  void runOnOperation() override {
    WalkResult result =
        getOperation().walk<WalkOrder::PreOrder>([](Operation *op) {
          return failed(verifyOp(op)) ? WalkResult::interrupt()
                                      : WalkResult::advance();
        });
    if (result.wasInterrupted())
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};
} // namespace
