//===- ARMKernels.cpp - The table of AArch64 kernels and its pass ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ARMKernels.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Target/ARM.h"
#include "pquant/Target/Passes.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace pquant;

namespace pquant {
#define GEN_PASS_DEF_ARMKERNELSPASS
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

SmallVector<KernelRow> arm::getKernels() {
  SmallVector<KernelRow> rows = {
      {KernelKind::BinaryLinear, "i8mm", emitBinaryMatMul},
      {KernelKind::BinaryLinear, "neon", emitBinaryTable},
      {KernelKind::BinaryLinear, "", emitBinaryGeneric},
      {KernelKind::Int8Linear, "i8mm", emitInt8MatMul},
      {KernelKind::Int8Linear, "neon", emitInt8Quads},
  };
  llvm::append_range(rows, getGenericKernels());
  return rows;
}

namespace {
struct ARMKernelsPass
    : public pquant::impl::ARMKernelsPassBase<ARMKernelsPass> {
  void runOnOperation() override {
    auto target = getOperation()->getAttrOfType<TargetAttr>(kTargetAttrName);
    if (target && !llvm::Triple(target.getTriple()).isAArch64())
      return;
    if (failed(lowerKernelOps(getOperation(), arm::getKernels())))
      signalPassFailure();
  }
};
} // namespace
