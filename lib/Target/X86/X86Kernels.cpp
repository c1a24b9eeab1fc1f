//===- X86Kernels.cpp - The table of x86 kernels and its pass -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Target/Passes.h"
#include "pquant/Target/X86.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace pquant;

namespace pquant {
#define GEN_PASS_DEF_X86KERNELSPASS
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

SmallVector<KernelRow> x86::getKernels() {
  SmallVector<KernelRow> rows = {
      {KernelKind::BinaryLinear, "amx-int8", emitBinaryTiles},
      {KernelKind::BinaryLinear, "avx512vbmi", emitBinaryLookup},
      {KernelKind::BinaryLinear, "avx512vnni", emitBinaryAnd},
      {KernelKind::BinaryLinear, "avx2", emitBinaryShuffle},
      {KernelKind::Int8Linear, "amx-int8", emitInt8Tiles},
      {KernelKind::Int8Linear, "avx512vnni", emitInt8Vnni},
      {KernelKind::Int8Linear, "avx2", emitInt8Madd},
  };
  llvm::append_range(rows, getGenericKernels());
  return rows;
}

namespace {
struct X86KernelsPass
    : public pquant::impl::X86KernelsPassBase<X86KernelsPass> {
  void runOnOperation() override {
    auto target = getOperation()->getAttrOfType<TargetAttr>(kTargetAttrName);
    if (target && !llvm::Triple(target.getTriple()).isX86())
      return;
    if (failed(lowerKernelOps(getOperation(), x86::getKernels())))
      signalPassFailure();
  }
};
} // namespace
