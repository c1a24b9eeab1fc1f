//===- InsertProbes.cpp - Mark where work begins and ends -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: functions on memrefs whose kernels are still pqk ops. Output: the same
// with a pqk.probe on both sides of each kernel and of each parallel loop. It
// runs before functions are cloned for the levels, so that the levels share
// what is said about a piece of work.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Support/NodeName.h"
#include "llvm/ADT/TypeSwitch.h"

namespace pquant {
#define GEN_PASS_DEF_INSERTPROBESPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct InsertProbesPass : pquant::impl::InsertProbesPassBase<InsertProbesPass> {
  void runOnOperation() override;
};

/// What a probe says about an op.
struct Cost {
  int64_t weightBytes = 0, matrices = 1, rowBytes = 0, rowOps = 0;
};
} // namespace

/// The elements of a shape; 0 where it is known at run time only.
static int64_t countElements(ArrayRef<int64_t> shape) {
  return ShapedType::isDynamicShape(shape) ? 0
                                           : ShapedType::getNumElements(shape);
}

static ArrayRef<int64_t> shapeOf(Value memory) {
  return cast<MemRefType>(memory.getType()).getShape();
}

static Cost getCost(Operation *op) {
  Cost cost;
  if (isa<pqk::ParallelOp>(op))
    return cost;
  for (Type operand : op->getOperandTypes()) {
    auto type = dyn_cast<MemRefType>(operand);
    if (!type || !type.getElementType().isIntOrFloat())
      continue;
    int64_t bytes = type.getElementTypeBitWidth() / 8;
    if (type.getRank() == 1)
      cost.weightBytes += bytes * countElements(type.getShape());
    else if (type.getRank() == 2)
      cost.rowBytes += bytes * countElements(type.getShape().back());
  }
  // Two operations for each weight.
  auto multiply = [&](Value output, int64_t columns) {
    cost.rowOps = 2 * countElements({columns, shapeOf(output).back()});
  };
  llvm::TypeSwitch<Operation *>(op)
      .Case<pqk::BinaryLinearOp, pqk::Int8LinearOp>(
          [&](auto op) { multiply(op.getOutput(), op.getColumns()); })
      .Case([&](pqk::FloatLinearOp op) {
        multiply(op.getOutput(), shapeOf(op.getInput()).back());
      })
      .Case([&](pqk::AttentionOp op) {
        // A row is a position of the keys and values, of all their heads.
        ArrayRef<int64_t> query = shapeOf(op.getQuery());
        int64_t width = 0;
        for (Value cache : {op.getKey(), op.getValue()}) {
          auto type = cast<MemRefType>(cache.getType());
          ArrayRef<int64_t> shape = type.getShape();
          cost.rowBytes += type.getElementTypeBitWidth() / 8 *
                           countElements({shape[0], shape[1], shape[3]});
          width += shape[3];
        }
        cost.rowOps = 2 * countElements({query[0], query[1], query[2], width});
      })
      .Case([&](pqk::ExpertLinearOp op) {
        multiply(op.getOutput(), op.getColumns());
        cost.matrices =
            std::max<int64_t>(countElements(shapeOf(op.getRowSum())[0]), 1);
        cost.weightBytes /= cost.matrices;
      });
  return cost;
}

/// The number of rows of a kernel's output, of the positions that attention
/// looks at, or of the parts of a loop.
static Value getRows(OpBuilder &builder, Operation *op) {
  if (auto loop = dyn_cast<pqk::ParallelOp>(op))
    return loop.getCount();
  if (auto attention = dyn_cast<pqk::AttentionOp>(op))
    return builder.createOrFold<memref::DimOp>(op->getLoc(), attention.getKey(),
                                               2);
  Value output = cast<DestinationStyleOpInterface>(op).getDpsInits().front();
  return builder.createOrFold<memref::DimOp>(op->getLoc(), output, 0);
}

static void insertProbes(Operation *op) {
  OpBuilder builder(op);
  Cost cost = getCost(op);
  Value rows = getRows(builder, op);
  auto insert = [&](bool end) {
    pqk::ProbeOp::create(builder, op->getLoc(), getNodeName(op->getLoc()),
                         op->getName().stripDialect(), rows, cost.weightBytes,
                         cost.matrices, cost.rowBytes, cost.rowOps, end);
  };
  insert(/*end=*/false);
  builder.setInsertionPointAfter(op);
  insert(/*end=*/true);
}

void InsertProbesPass::runOnOperation() {
  SmallVector<Operation *> work;
  getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (!isa_and_nonnull<pqk::PQKernelDialect>(op->getDialect()) ||
        isa<pqk::ProbeOp>(op))
      return WalkResult::advance();
    work.push_back(op);
    return WalkResult::skip();
  });
  llvm::for_each(work, insertProbes);
}
