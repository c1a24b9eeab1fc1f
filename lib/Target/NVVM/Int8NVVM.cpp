//===- Int8NVVM.cpp - INT8 matrix-vector kernels of a GPU -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layout i8x16x4 by dp4a: up to 32 warps share the columns of 16 outputs. A
// lane loads 16 bytes, four columns of four rows, so that a warp reads 512
// bytes in a row. |acc| <= 128 * 128 * K fits i32 for K < 2^17.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Columns that a warp takes at once, warps of a block, and the steps of a warp
/// whose weights are loaded before the activations are there.
static constexpr int64_t kStep = 32, kMostWarps = 32, kPrefetched = 8;

namespace {
struct Int8Gemv {
  const Linear &linear;
  int64_t steps; ///< along K
  int64_t warps, ownSteps;

  explicit Int8Gemv(const Linear &linear)
      : linear(linear), steps(llvm::divideCeil(linear.paddedColumns, kStep)),
        warps(std::min(kMostWarps, steps)),
        ownSteps(llvm::divideCeil(steps, warps)) {}
  void emit(OpBuilder &builder);

private:
  void emitBlock(KernelBuilder &b, const GPUBlock &block);
  Value blockBase(KernelBuilder &b, const GPUBlock &block);
  /// The first column of the lane in the warp's `i`-th step, and whether there
  /// is one.
  Value column(KernelBuilder &b, const Lane &at, Value i);
  Value isInside(KernelBuilder &b, const Lane &at, Value i);
  SmallVector<Value> loadWeights(KernelBuilder &b, const Lane &at, Value base,
                                 Value i);
  SmallVector<Value> addStep(KernelBuilder &b, const GPUBlock &block,
                             const Lane &at, ValueRange weights, Value i,
                             bool isFull, ValueRange sums);
};
} // namespace

Value Int8Gemv::blockBase(KernelBuilder &b, const GPUBlock &block) {
  Value base = b.mul(block.x, linear.paddedColumns * kBlockRows);
  if (!linear.index)
    return base;
  Value expert = arith::IndexCastOp::create(b, b.getIndexType(),
                                            b.load(linear.index, block.y));
  Value size = b.mul(linear.tiles, linear.paddedColumns * kBlockRows);
  return b.add(base, b.mul(expert, size));
}

Value Int8Gemv::isInside(KernelBuilder &b, const Lane &at, Value i) {
  Value step = b.add(b.mul(i, warps), at.warp);
  return b.compare(arith::CmpIPredicate::ult, step, b.index(steps));
}

Value Int8Gemv::column(KernelBuilder &b, const Lane &at, Value i) {
  Value step = b.add(b.mul(i, warps), at.warp);
  step = arith::MinUIOp::create(b, step, b.index(steps - 1));
  return b.add(b.mul(step, kStep), b.mul(at.row, 4));
}

SmallVector<Value> Int8Gemv::loadWeights(KernelBuilder &b, const Lane &at,
                                         Value base, Value i) {
  Value place = b.add(b.add(base, b.mul(column(b, at, i), kBlockRows)),
                      b.mul(at.quad, 16));
  return loadWords(b, linear.weight, place, 4);
}

SmallVector<Value> Int8Gemv::addStep(KernelBuilder &b, const GPUBlock &block,
                                     const Lane &at, ValueRange weights,
                                     Value i, bool isFull, ValueRange sums) {
  Value x = loadWords(b, linear.input, {block.y, column(b, at, i)}, 1)[0];
  if (!isFull)
    x = b.select(isInside(b, at, i), x, b.constant(b.getI32Type(), 0));
  SmallVector<Value> acc;
  for (auto [weight, sum] : llvm::zip_equal(weights, sums))
    acc.push_back(dot4(b, x, weight, sum));
  return acc;
}

void Int8Gemv::emitBlock(KernelBuilder &b, const GPUBlock &block) {
  Lane at(b, block.thread);
  Type i32 = b.getI32Type();
  // The weights of experts depend on what the kernels before have chosen.
  if (linear.index)
    waitForKernels(b);
  Value base = blockBase(b, block);
  int64_t ahead = std::min(kPrefetched, ownSteps);
  SmallVector<SmallVector<Value>> weights;
  for (int64_t i = 0; i < ahead; ++i)
    weights.push_back(loadWeights(b, at, base, b.index(i)));
  Value n = b.add(b.mul(block.x, kBlockRows), block.thread);
  Value weightScale = loadWeightScale(b, linear, block.y, n);
  if (!linear.index)
    waitForKernels(b);
  Value scale = b.load(linear.scale, block.y);
  Value before = loadBefore(b, linear, block.y, n);
  SmallVector<Value> sums(4, b.constant(i32, 0));
  for (int64_t i = 0; i < ahead; ++i)
    sums = addStep(b, block, at, weights[i], b.index(i),
                   (i + 1) * warps <= steps, sums);
  if (ahead < ownSteps)
    sums = b.forLoop(b.index(ahead), b.index(ownSteps), 1, sums,
                     [&](Value i, ValueRange carried) {
                       return addStep(b, block, at, loadWeights(b, at, base, i),
                                      i, steps % warps == 0, carried);
                     });
  storeWarpSums(b, block, at, sums);
  Value ours =
      b.compare(arith::CmpIPredicate::ult, block.thread, b.index(kBlockRows));
  b.ifElse(ours, [&] {
    Value acc = b.constant(i32, 0);
    for (int64_t i = 0; i < warps; ++i)
      acc = b.add(acc, b.load(block.shared[0], {b.index(i), block.thread}));
    storeResult(b, linear, block.y, n, acc, b.mul(scale, weightScale), before);
  });
}

void Int8Gemv::emit(OpBuilder &builder) {
  buildLaunch(
      builder, linear.loc, {linear.tiles, linear.rows}, kWarp * warps,
      {getSharedType({warps, kBlockRows}, builder.getI32Type())},
      [&](KernelBuilder &b, const GPUBlock &block) { emitBlock(b, block); });
}

void pquant::nvvm::emitInt8Dot(OpBuilder &builder, Operation *op) {
  Linear linear(builder, op);
  Int8Gemv(linear).emit(builder);
}

void pquant::nvvm::emitInt8Mma(OpBuilder &builder, Operation *op) {
  Linear linear(builder, op);
  emitByRows(
      builder, linear, [&](OpBuilder &inner) { Int8Gemv(linear).emit(inner); },
      [&](OpBuilder &inner) { emitInt8Gemm(inner, linear); });
}
