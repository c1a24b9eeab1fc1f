//===- MarkStates.cpp - Which arguments are states ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Before bufferisation the arguments of public functions that are memory are
// states, and the others inputs; afterwards all are memory.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "pquant/Conversion/Passes.h"
#include "pquant/Conversion/ToGPU.h"

namespace pquant {
#define GEN_PASS_DEF_MARKSTATESPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct MarkStatesPass : pquant::impl::MarkStatesPassBase<MarkStatesPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      for (auto [i, type] : llvm::enumerate(function.getArgumentTypes()))
        if (function.isPublic() && isa<MemRefType>(type))
          function.setArgAttr(i, kStateAttrName, UnitAttr::get(&getContext()));
  }
};
} // namespace
