//===- ToLLVM.cpp - Everything that is left to the LLVM dialect -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: func, cf, arith, math, vector, memref and LLVM ops. Output: the LLVM
// dialect only. Memory comes from the runtime's allocator and a failed
// cf.assert ends the run through pquant_rt_fail.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace pquant {
#define GEN_PASS_DEF_EXPANDMATHPASS
#define GEN_PASS_DEF_TOLLVMPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
/// cf.assert -> a branch to a call of pquant_rt_fail, which does not return.
struct AssertLowering : ConvertOpToLLVMPattern<cf::AssertOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult
  matchAndRewrite(cf::AssertOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    Value text = getText(rewriter, module, loc, op.getMsg());
    LLVM::LLVMFuncOp fail = getFail(rewriter, module, loc);

    Block *head = rewriter.getInsertionBlock();
    Block *rest = rewriter.splitBlock(head, ++rewriter.getInsertionPoint());
    Block *failing = rewriter.createBlock(rest->getParent());
    LLVM::CallOp::create(rewriter, loc, fail, ValueRange(text));
    LLVM::UnreachableOp::create(rewriter, loc);
    rewriter.setInsertionPointToEnd(head);
    rewriter.replaceOpWithNewOp<LLVM::CondBrOp>(op, adaptor.getArg(), rest,
                                                failing);
    return success();
  }

private:
  static Value getText(ConversionPatternRewriter &rewriter, ModuleOp module,
                       Location loc, StringRef message) {
    std::string name =
        "pquant_message_" + llvm::utohexstr(llvm::xxh3_64bits(message));
    auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
    if (!global) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(module.getBody());
      std::string data = (message + Twine('\0')).str();
      auto type = LLVM::LLVMArrayType::get(
          IntegerType::get(module.getContext(), 8), data.size());
      global = LLVM::GlobalOp::create(rewriter, loc, type, /*isConstant=*/true,
                                      LLVM::Linkage::Internal, name,
                                      rewriter.getStringAttr(data));
    }
    return LLVM::AddressOfOp::create(rewriter, loc, global);
  }

  static LLVM::LLVMFuncOp getFail(ConversionPatternRewriter &rewriter,
                                  ModuleOp module, Location loc) {
    constexpr StringLiteral name = "pquant_rt_fail";
    if (auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
      return function;
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointToStart(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(module.getContext()),
        {LLVM::LLVMPointerType::get(module.getContext())});
    return LLVM::LLVMFuncOp::create(rewriter, loc, name, type);
  }
};

struct ExpandMathPass : pquant::impl::ExpandMathPassBase<ExpandMathPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    // Of these the polynomials are within a few ulp; sine and cosine of large
    // arguments are not, and stay calls.
    auto wanted = [](StringRef name) {
      return name == "math.exp" || name == "math.tanh" || name == "math.erf";
    };
    populateMathPolynomialApproximationPatterns(patterns, wanted);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

struct ToLLVMPass : pquant::impl::ToLLVMPassBase<ToLLVMPass> {
  void runOnOperation() override;
};
} // namespace

void ToLLVMPass::runOnOperation() {
  MLIRContext *context = &getContext();
  LowerToLLVMOptions options(context);
  options.useGenericFunctions = true;
  LLVMTypeConverter converter(context, options);
  RewritePatternSet patterns(context);
  patterns.add<AssertLowering>(converter);
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  index::populateIndexToLLVMConversionPatterns(converter, patterns);
  ub::populateUBToLLVMConversionPatterns(converter, patterns);
  populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
  populateFuncToLLVMConversionPatterns(converter, patterns);
  populateMathToLLVMConversionPatterns(converter, patterns);
  vector::populateVectorBroadcastLoweringPatterns(patterns);
  vector::populateVectorShapeCastLoweringPatterns(patterns);
  vector::populateVectorTransferLoweringPatterns(patterns,
                                                 /*maxTransferRank=*/1);
  populateVectorToLLVMConversionPatterns(converter, patterns);

  LLVMConversionTarget target(*context);
  target.addLegalOp<ModuleOp>();
  if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
    signalPassFailure();
}
