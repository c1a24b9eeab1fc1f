//===- Decompose.cpp - pquant ops to their definitions --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-decompose: every op that implements DecomposableOpInterface is
// replaced by its definition. A definition may hold simpler pquant ops, which
// are decomposed in turn, until none is left.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace pquant {
#define GEN_PASS_DEF_DECOMPOSEPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct DecomposePass : pquant::impl::DecomposePassBase<DecomposePass> {
  void runOnOperation() override {
    bool failedAny = false;
    while (!failedAny) {
      SmallVector<DecomposableOpInterface> ops;
      getOperation()->walk(
          [&](DecomposableOpInterface op) { ops.push_back(op); });
      if (ops.empty())
        return;
      for (DecomposableOpInterface op : ops)
        failedAny |= failed(op.replaceByDefinition());
    }
    signalPassFailure();
  }
};
} // namespace
