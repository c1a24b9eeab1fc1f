//===- VerifyPacked.cpp - The contract of the packed phase ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-verify-packed: names the first op that packing should not have left.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Transforms/Passes.h"
#include "llvm/ADT/StringSwitch.h"

namespace pquant {
#define GEN_PASS_DEF_VERIFYPACKEDPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static bool isPacked(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  return getConstant(weight) && isa_and_nonnull<LayoutAttr>(type.getEncoding());
}

/// Several scales a row, which no kernel takes.
static bool isGrouped(Value scale) {
  return cast<RankedTensorType>(scale.getType()).getDimSize(1) != 1;
}

/// The weights of `op` that must be packed.
static SmallVector<Value> weightsOf(Operation *op) {
  if (auto binary = dyn_cast<BinaryLinearOp>(op)) {
    if (llvm::any_of(binary.getScales(), isGrouped))
      return {};
    return SmallVector<Value>(binary.getPlanes());
  }
  if (auto int8 = dyn_cast<Int8LinearOp>(op))
    return {int8.getWeight()};
  if (auto expert = dyn_cast<ExpertLinearOp>(op))
    return {expert.getWeight()};
  if (auto linear = dyn_cast<FloatLinearOp>(op))
    return {linear.getWeight()};
  auto decoupled = dyn_cast<DecoupledLinearOp>(op);
  if (!decoupled || llvm::any_of(decoupled.getScales(), isGrouped))
    return {};
  SmallVector<Value> result(decoupled.getPlanes());
  result.push_back(decoupled.getInt8Weight());
  return result;
}

static LogicalResult verifyOp(Operation *op) {
  if (isa<DecoupledFFNOp>(op))
    return op->emitOpError(
        "does not belong after packing: it must be lowered by "
        "--pquant-dispatch-experts or --pquant-fuse-branches");
  for (Value weight : weightsOf(op))
    if (!isPacked(weight))
      return op->emitOpError("does not belong after packing: expected a packed "
                             "constant weight, but got ")
             << weight.getType();
  bool known = llvm::StringSwitch<bool>(op->getName().getDialectNamespace())
                   .Cases({"builtin", "func", "cf", "scf", "affine"}, true)
                   .Cases({"arith", "math", "tensor", "linalg", "index"}, true)
                   .Cases({"pquant", "shape", "bufferization"}, true)
                   .Default(false);
  if (!known)
    return op->emitOpError("does not belong after packing: expected an op of a "
                           "tensor-level dialect");
  return success();
}

namespace {
struct VerifyPackedPass : pquant::impl::VerifyPackedPassBase<VerifyPackedPass> {
  void runOnOperation() override {
    WalkResult result = getOperation().walk([](Operation *op) {
      return failed(verifyOp(op)) ? WalkResult::interrupt()
                                  : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
