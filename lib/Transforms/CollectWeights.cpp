//===- CollectWeights.cpp - Constants into one weight blob ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: bufferised functions that read constants by memref.get_global. Output:
// every function takes the base of the weight blob as its first argument, large
// constants are views into it, and their memref.global carries
// `pquant.offset`, by which the driver writes the blob. Small constants stay.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

namespace pquant {
#define GEN_PASS_DEF_COLLECTWEIGHTSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct CollectWeightsPass
    : pquant::impl::CollectWeightsPassBase<CollectWeightsPass> {
  using CollectWeightsPassBase::CollectWeightsPassBase;
  void runOnOperation() override;
};
} // namespace

/// Bytes of a global in memory, i1 a byte each; none where it stays a global.
static std::optional<int64_t> blobBytes(memref::GlobalOp global) {
  MemRefType type = global.getType();
  if (!global.getConstant() || !global.getInitialValue() ||
      !type.hasStaticShape() || !type.getElementType().isIntOrFloat() ||
      (type.getElementTypeBitWidth() % 8 != 0 &&
       !type.getElementType().isInteger(1)))
    return std::nullopt;
  return type.getNumElements() *
         llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

/// Gives every function with a body the weight base as its first argument and
/// passes it along in calls.
static void threadWeights(ModuleOp module, MemRefType baseType) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isDeclaration())
      continue;
    (void)function.insertArgument(0, baseType, {}, function.getLoc());
  }
  module.walk([&](func::CallOp call) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isDeclaration())
      return;
    Value base = call->getParentOfType<func::FuncOp>().getArgument(0);
    call->insertOperands(0, base);
  });
}

void CollectWeightsPass::runOnOperation() {
  ModuleOp module = getOperation();
  MLIRContext *context = &getContext();
  auto baseType =
      MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 8));
  threadWeights(module, baseType);

  // Offsets in the order of the module, so that equal input gives equal bytes.
  int64_t end = 0;
  DenseMap<StringAttr, memref::GlobalOp> moved;
  for (auto global : module.getOps<memref::GlobalOp>()) {
    std::optional<int64_t> bytes = blobBytes(global);
    // A resource goes to the blob whatever its size: LLVM constants are made of
    // inline elements only.
    if (!bytes || (*bytes < minBytes &&
                   !isa<DenseResourceElementsAttr>(*global.getInitialValue())))
      continue;
    global->setAttr("pquant.offset",
                    IntegerAttr::get(IntegerType::get(context, 64), end));
    end = llvm::alignTo(end + *bytes, 64);
    moved[global.getSymNameAttr()] = global;
  }
  module.walk([&](memref::GetGlobalOp get) {
    auto it = moved.find(get.getNameAttr().getAttr());
    if (it == moved.end())
      return;
    OpBuilder builder(get);
    Value offset = arith::ConstantIndexOp::create(
        builder, get.getLoc(),
        it->second->getAttrOfType<IntegerAttr>("pquant.offset").getInt());
    Value base = get->getParentOfType<func::FuncOp>().getArgument(0);
    Value view = memref::ViewOp::create(builder, get.getLoc(), get.getType(),
                                        base, offset, ValueRange());
    get.replaceAllUsesWith(view);
    get.erase();
  });
  module->setAttr("pquant.weight_bytes",
                  IntegerAttr::get(IntegerType::get(context, 64), end));
}
