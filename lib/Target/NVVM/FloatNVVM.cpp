//===- FloatNVVM.cpp - The float linear kernel of a GPU -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layout f32x16: eight warps share the columns of 16 outputs of one row. A lane
// loads four outputs of one column, a warp eight columns, 512 bytes in a row.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Columns that a warp takes at once.
static constexpr int64_t kStep = 8;

/// Four weights from element `at` on, of f32x16 or bf16x16.
static Value loadWeights(KernelBuilder &b, Value memory, Value at) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  Value loaded = vector::LoadOp::create(
      b, b.vec(4, element), memory, at, /*nontemporal=*/false,
      llvm::MaybeAlign(element.getIntOrFloatBitWidth() / 2));
  if (element.isF32())
    return loaded;
  Value wide = arith::ExtUIOp::create(b, b.veci(4, 32), loaded);
  return b.bitcast(b.shiftLeft(wide, 16), b.vecf(4));
}

static void emitBlock(KernelBuilder &b, const GPUBlock &block,
                      const Linear &linear) {
  Lane at(b, block.thread);
  Value columns = b.dim(linear.input, 1);
  Value base = b.mul(b.mul(block.x, columns), kBlockRows);
  Value first = b.add(b.mul(at.warp, kStep), at.row);
  SmallVector<Value> sums = b.forLoop(
      first, columns, kStep * kWarps, SmallVector<Value>(4, b.f32(0.0f)),
      [&](Value k, ValueRange carried) {
        Value place =
            b.add(base, b.add(b.mul(k, kBlockRows), b.mul(at.quad, 4)));
        Value weights = loadWeights(b, linear.weight, place);
        Value x = b.load(linear.input, {block.y, k});
        SmallVector<Value> acc;
        for (auto [i, sum] : llvm::enumerate(carried))
          acc.push_back(math::FmaOp::create(
              b, x, vector::ExtractOp::create(b, weights, int64_t(i)), sum));
        return acc;
      });
  storeWarpSums(b, block, at, at.warp, sums);
  gpu::BarrierOp::create(b);
  Value n = b.add(b.mul(block.x, kBlockRows), block.thread);
  Value inBlock =
      b.compare(arith::CmpIPredicate::ult, block.thread, b.index(kBlockRows));
  Value inside = b.compare(arith::CmpIPredicate::ult, n, linear.outputs);
  b.ifElse(b.bitAnd(inBlock, inside), [&] {
    Value total = b.f32(0.0f);
    for (int64_t i = 0; i < kWarps; ++i)
      total = b.add(total, b.load(block.shared[0], {b.index(i), block.thread}));
    b.store(total, linear.output, {block.y, n});
  });
}

void pquant::nvvm::emitFloatLinear(OpBuilder &builder, Operation *op) {
  Linear linear(builder, op);
  buildLaunch(builder, linear.loc, {linear.tiles, linear.rows}, kThreads,
              {getSharedType({kWarps, kBlockRows}, builder.getF32Type())},
              [&](KernelBuilder &b, const GPUBlock &block) {
                emitBlock(b, block, linear);
              });
}
