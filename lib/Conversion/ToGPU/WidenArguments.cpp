//===- WidenArguments.cpp - Kernel arguments of eight bytes ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: gpu.launch with scalars from outside. Output: the same with index, i64
// and memrefs from outside only; narrow scalars travel as the low bits of i64.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "pquant/Conversion/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_WIDENARGUMENTSPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// Carries `value` into the launch as an i64; constants are made inside.
static void widen(gpu::LaunchOp launch, Value value) {
  Type type = value.getType();
  unsigned bits = type.getIntOrFloatBitWidth();
  OpBuilder outside(launch);
  OpBuilder inside = OpBuilder::atBlockBegin(&launch.getBody().front());
  Location loc = launch.getLoc();
  Type narrow = outside.getIntegerType(bits);
  Value wide = value;
  if (isa<FloatType>(type))
    wide = arith::BitcastOp::create(outside, loc, narrow, wide);
  if (bits < 64)
    wide = arith::ExtUIOp::create(outside, loc, outside.getI64Type(), wide);
  Value back = wide;
  Operation *first = nullptr;
  if (bits < 64) {
    back = arith::TruncIOp::create(inside, loc, narrow, back);
    first = back.getDefiningOp();
  }
  if (isa<FloatType>(type)) {
    back = arith::BitcastOp::create(inside, loc, type, back);
    first = first ? first : back.getDefiningOp();
  }
  value.replaceUsesWithIf(back, [&](OpOperand &use) {
    return launch.getBody().isAncestor(use.getOwner()->getParentRegion()) &&
           use.getOwner() != first;
  });
}

namespace {
struct WidenArgumentsPass
    : pquant::impl::WidenArgumentsPassBase<WidenArgumentsPass> {
  void runOnOperation() override {
    getOperation()->walk([](gpu::LaunchOp launch) {
      llvm::SetVector<Value> values;
      getUsedValuesDefinedAbove(launch.getBody(), values);
      for (Value value : values) {
        bool isNarrow = isa<FloatType>(value.getType()) ||
                        (isa<IntegerType>(value.getType()) &&
                         value.getType().getIntOrFloatBitWidth() < 64);
        if (isNarrow && !matchPattern(value, m_Constant()))
          widen(launch, value);
      }
    });
  }
};
} // namespace
