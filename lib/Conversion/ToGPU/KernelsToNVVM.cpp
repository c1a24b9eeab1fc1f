//===- KernelsToNVVM.cpp - Bodies of kernels to the NVVM dialect ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: a gpu.module of gpu.func with arith, cf, math, memref and vector ops.
// Output: the LLVM and NVVM dialects. Upstream's pass calls libdevice for
// mathematical functions; here they are the intrinsics for which NVPTX has
// exactly rounded code, and others are refused.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace pquant {
#define GEN_PASS_DEF_KERNELSTONVVMPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct KernelsToNVVMPass
    : pquant::impl::KernelsToNVVMPassBase<KernelsToNVVMPass> {
  void runOnOperation() override;
};
} // namespace

/// The first op for which there is no instruction.
static Operation *findUnsupported(Operation *root) {
  Operation *found = nullptr;
  root->walk([&](Operation *op) {
    if (!isa<LLVM::SinOp, LLVM::CosOp, LLVM::ExpOp, LLVM::Exp2Op, LLVM::LogOp,
             LLVM::Log2Op, LLVM::Log10Op, LLVM::PowOp, LLVM::PowIOp,
             LLVM::TanOp, LLVM::SinhOp, LLVM::CoshOp, LLVM::TanhOp,
             LLVM::ASinOp, LLVM::ACosOp, LLVM::ATanOp>(op))
      return WalkResult::advance();
    found = op;
    return WalkResult::interrupt();
  });
  return found;
}

/// Limits registers such that two blocks of up to 512 threads fit a
/// multiprocessor: two of the same kernel, or one of the kernel behind it,
/// which has begun and waits for it.
static void leaveRoom(LLVM::LLVMFuncOp function) {
  auto sizes = function->getAttrOfType<DenseI32ArrayAttr>(
      NVVM::NVVMDialect::getMaxntidAttrName());
  if (sizes && llvm::product_of(sizes.asArrayRef()) <= 512)
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      Builder(function).getI32IntegerAttr(2));
}

void KernelsToNVVMPass::runOnOperation() {
  MLIRContext *context = &getContext();
  LowerToLLVMOptions options(context);
  LLVMTypeConverter converter(context, options);
  configureGpuToNVVMTypeConverter(converter);
  RewritePatternSet patterns(context);
  populateGpuToNVVMConversionPatterns(converter, patterns);
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  index::populateIndexToLLVMConversionPatterns(converter, patterns);
  ub::populateUBToLLVMConversionPatterns(converter, patterns);
  populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
  populateMathToLLVMConversionPatterns(converter, patterns);
  populateVectorToLLVMConversionPatterns(converter, patterns);

  LLVMConversionTarget target(*context);
  target.addLegalDialect<LLVM::LLVMDialect, NVVM::NVVMDialect>();
  target.addLegalOp<gpu::GPUModuleOp>();
  if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
    return signalPassFailure();
  getOperation()->walk(leaveRoom);
  if (Operation *op = findUnsupported(getOperation())) {
    op->emitOpError("has no code on this GPU");
    signalPassFailure();
  }
}
