//===- VerifyRaised.cpp - The contract of phase raised --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input and output: raised tensor IR. Checks dialects, types and layouts.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_VERIFYRAISEDPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace pquant;
using namespace mlir;

static bool isAllowedDialect(StringRef name) {
  static constexpr llvm::StringLiteral names[] = {
      "builtin", "func",   "arith", "math", "tensor",
      "linalg",  "affine", "cf",    "scf",  "pquant"};
  return llvm::is_contained(names, name);
}

/// What is wrong with a type; empty when nothing is.
static StringRef checkType(Type type) {
  auto shaped = dyn_cast<ShapedType>(type);
  if (!shaped)
    return "";
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return "expected ranked tensors and scalars";
  if (tensor.getEncoding())
    return "expected tensors without a storage layout";
  return "";
}

static LogicalResult checkOp(Operation *op) {
  auto fail = [&](StringRef reason) {
    return op->emitOpError("does not belong in phase 'raised': ") << reason;
  };
  if (!isAllowedDialect(op->getName().getDialectNamespace()))
    return fail("expected a tensor-level dialect");
  for (Type type : op->getResultTypes())
    if (StringRef reason = checkType(type); !reason.empty())
      return fail(reason);
  for (Type type : op->getOperandTypes())
    if (StringRef reason = checkType(type); !reason.empty())
      return fail(reason);
  return success();
}

namespace {
struct VerifyRaisedPass : pquant::impl::VerifyRaisedPassBase<VerifyRaisedPass> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([](Operation *op) {
      return failed(checkOp(op)) ? WalkResult::interrupt()
                                 : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};
} // namespace
