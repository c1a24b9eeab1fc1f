//===- CountLinears.cpp - How much of a function is quantised -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Counts the weight matrices of the quantised linear layers and reports them as
// one remark a function. It changes nothing, and needs raised IR only, plain or
// packed. docs/WritingAPass.md explains this file line by line.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

namespace pquant {
#define GEN_PASS_DEF_COUNTLINEARSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace pquant;

namespace {
/// Matrices, their elements, and the bits that store them.
struct Tally {
  int64_t binary = 0, int8 = 0, weights = 0, bits = 0;

  /// One matrix of `planes` bits an element.
  void addBinary(Value plane, int64_t planes = 1) {
    int64_t count = cast<ShapedType>(plane.getType()).getNumElements();
    ++binary;
    weights += count;
    bits += count * planes;
  }

  /// One matrix, or a stack of them along the first of three dimensions.
  void addInt8(Value matrix) {
    auto type = cast<ShapedType>(matrix.getType());
    int8 += type.getRank() == 3 ? type.getDimSize(0) : 1;
    weights += type.getNumElements();
    bits += 8 * type.getNumElements();
  }
};
} // namespace

static void count(Operation *op, Tally &tally) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](BinaryLinearOp linear) {
        tally.addBinary(linear.getPlanes().front(), linear.getPlanes().size());
      })
      .Case<Int8LinearOp, ExpertLinearOp>(
          [&](auto linear) { tally.addInt8(linear.getWeight()); })
      .Case([&](DecoupledLinearOp linear) {
        tally.addBinary(linear.getPlanes().front(), linear.getPlanes().size());
        tally.addInt8(linear.getInt8Weight());
      })
      .Case([&](DecoupledFFNOp ffn) {
        for (Value plane :
             {ffn.getBinaryGate(), ffn.getBinaryUp(), ffn.getBinaryDown()})
          if (plane) // without a gate
            tally.addBinary(plane);
        for (Value stack :
             {ffn.getInt8Gate(), ffn.getInt8Up(), ffn.getInt8Down()})
          if (stack)
            tally.addInt8(stack);
      });
}

namespace {
class CountLinearsPass : public impl::CountLinearsPassBase<CountLinearsPass> {
public:
  void runOnOperation() override {
    Tally tally;
    getOperation()->walk([&](Operation *op) { count(op, tally); });
    markAllAnalysesPreserved();
    if (!tally.weights)
      return;
    mlir::emitRemark(getOperation().getLoc())
        << tally.binary << " 1-bit and " << tally.int8 << " INT8 matrices, "
        << llvm::formatv("{0:F2}", double(tally.bits) / tally.weights).str()
        << " bits per weight";
  }
};
} // namespace
