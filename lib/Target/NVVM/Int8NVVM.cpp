//===- Int8NVVM.cpp - INT8 matrix-vector kernels of a GPU -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layout i8x16x4 by dp4a: eight warps share the columns of 16 outputs. A lane
// loads 16 bytes, four columns of four rows, so that a warp reads 512 bytes in
// a row. |acc| <= 128 * 128 * K fits i32 for K < 2^17.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Columns that a warp takes at once, and steps whose loads are under way
/// together.
static constexpr int64_t kStep = 32, kUnrolled = 8;

static void emitDotBlock(KernelBuilder &b, const GPUBlock &block,
                         const Linear &linear) {
  Lane at(b, block.thread);
  Type i32 = b.getI32Type();
  Value m = block.y;
  Value base = b.mul(block.x, linear.paddedColumns * kBlockRows);
  if (linear.index) {
    Value expert = arith::IndexCastOp::create(b, b.getIndexType(),
                                              b.load(linear.index, m));
    Value size = b.mul(linear.tiles, linear.paddedColumns * kBlockRows);
    base = b.add(base, b.mul(expert, size));
  }
  auto addStep = [&](Value k, ValueRange carried) {
    Value column = b.add(k, b.mul(at.row, 4));
    Value place =
        b.add(b.add(base, b.mul(column, kBlockRows)), b.mul(at.quad, 16));
    SmallVector<Value> weights = loadWords(b, linear.weight, place, 4);
    Value x = loadWords(b, linear.input, {m, column}, 1)[0];
    SmallVector<Value> acc;
    for (auto [weight, sum] : llvm::zip(weights, carried))
      acc.push_back(dot4(b, x, weight, sum));
    return acc;
  };
  Value n = b.add(b.mul(block.x, kBlockRows), block.thread);
  Value factor = loadFactor(b, linear, m, n);
  constexpr int64_t stride = kStep * kWarps;
  int64_t whole = llvm::alignDown(linear.paddedColumns, stride * kUnrolled);
  Value first = b.mul(at.warp, kStep);
  SmallVector<Value> sums(4, b.constant(i32, 0));
  sums = b.forLoop(b.index(0), b.index(whole), stride * kUnrolled, sums,
                   [&](Value k, ValueRange carried) {
                     SmallVector<Value> acc(carried);
                     for (int64_t i = 0; i < kUnrolled; ++i)
                       acc = addStep(b.add(b.add(first, k), i * stride), acc);
                     return acc;
                   });
  sums = b.forLoop(b.add(first, whole), b.index(linear.paddedColumns), stride,
                   sums, addStep);
  storeWarpSums(b, block, at, sums);
  Value ours =
      b.compare(arith::CmpIPredicate::ult, block.thread, b.index(kBlockRows));
  b.ifElse(ours, [&] {
    Value acc = b.constant(i32, 0);
    for (int64_t i = 0; i < kWarps; ++i)
      acc = b.add(acc, b.load(block.shared[0], {b.index(i), block.thread}));
    storeResult(b, linear, m, n, acc, factor);
  });
}

static void emitGemv(OpBuilder &builder, const Linear &linear) {
  buildLaunch(builder, linear.loc, {linear.tiles, linear.rows}, kThreads,
              {getSharedType({kWarps, kBlockRows}, builder.getI32Type())},
              [&](KernelBuilder &b, const GPUBlock &block) {
                emitDotBlock(b, block, linear);
              });
}

void pquant::nvvm::emitInt8Dot(OpBuilder &builder, Operation *op) {
  emitGemv(builder, Linear(builder, op));
}

void pquant::nvvm::emitInt8Mma(OpBuilder &builder, Operation *op) {
  Linear linear(builder, op);
  emitByRows(
      builder, linear, [&](OpBuilder &inner) { emitGemv(inner, linear); },
      [&](OpBuilder &inner) { emitInt8Gemm(inner, linear); });
}
