//===- NVVMKernels.cpp - The table of GPU kernels and its pass ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Target/NVVM.h"
#include "pquant/Target/Passes.h"

using namespace mlir;
using namespace pquant;

namespace pquant {
#define GEN_PASS_DEF_NVVMKERNELSPASS
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

namespace {
/// A row of the kernel table; the first whose capability the GPU has wins.
struct Row {
  StringRef op;
  StringRef capability; ///< empty for none
  void (*emit)(OpBuilder &, Operation *);
};
} // namespace

static ArrayRef<Row> getRows() {
  static constexpr Row rows[] = {
      {"pqk.quantize", "", nvvm::emitQuantize},
      {"pqk.binary_linear", nvvm::kBitMma, nvvm::emitBinaryMma},
      {"pqk.binary_linear", "", nvvm::emitBinaryDot},
      {"pqk.int8_linear", nvvm::kByteMma, nvvm::emitInt8Mma},
      {"pqk.int8_linear", "", nvvm::emitInt8Dot},
      {"pqk.expert_linear", nvvm::kByteMma, nvvm::emitExpertMma},
      {"pqk.expert_linear", "", nvvm::emitInt8Dot},
      {"pqk.float_linear", "", nvvm::emitFloatLinear},
      {"pqk.attention", nvvm::kFloatMma, nvvm::emitAttentionMma},
      {"pqk.attention", "", nvvm::emitAttention},
  };
  return rows;
}

/// What kernels take of an op's operands.
static LogicalResult checkOperands(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type || !type.isLastDimUnitStride())
      return op->emitOpError("expected memory with contiguous rows, but got ")
             << operand.getType();
  }
  auto linear = dyn_cast<pqk::BinaryLinearOp>(op);
  if (linear && linear.getLayoutKind() != LayoutKind::B16x256)
    return op->emitOpError("expected a weight in layout b16x256, but got ")
           << stringifyLayoutKind(linear.getLayoutKind());
  return success();
}

namespace {
struct NVVMKernelsPass
    : public pquant::impl::NVVMKernelsPassBase<NVVMKernelsPass> {
  void runOnOperation() override;
};
} // namespace

void NVVMKernelsPass::runOnOperation() {
  auto target = getOperation()->getAttrOfType<TargetAttr>(kTargetAttrName);
  if (!target || !target.getGpu()) {
    getOperation().emitError("expected a 'pquant.target' with a GPU");
    return signalPassFailure();
  }
  SmallVector<std::pair<Operation *, const Row *>> work;
  getOperation().walk([&](Operation *op) {
    for (const Row &row : getRows())
      if (op->getName().getStringRef() == row.op &&
          (row.capability.empty() ||
           target.getGpu().hasCapability(row.capability))) {
        work.emplace_back(op, &row);
        return;
      }
  });
  for (auto [op, row] : work) {
    if (failed(checkOperands(op)))
      return signalPassFailure();
    OpBuilder builder(op);
    row->emit(builder, op);
    op->erase();
  }
}
