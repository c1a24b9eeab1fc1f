//===- Int8NVVM.cpp - INT8 matrix-vector kernels of a GPU -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layout i8x16x4 by dp4a: up to 32 warps share the columns of 16 outputs. A
// lane loads 16 bytes, four columns of four rows, so that a warp reads 512
// bytes in a row. Of several rows of activations, a few at a time meet what it
// has loaded. |acc| <= 128 * 128 * K fits i32 for K < 2^17.
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
/// Rows of activations that meet the weights at a time.
static constexpr int64_t kRows = 4;

namespace {
struct Int8Gemv {
  const Linear &linear;
  int64_t steps; ///< along K
  int64_t warps, ownSteps;
  int64_t rows; ///< at a time; 1: a block has one row

  explicit Int8Gemv(const Linear &linear)
      : linear(linear), steps(llvm::divideCeil(linear.paddedColumns, kStep)),
        warps(std::min(kMostWarps, steps)),
        ownSteps(llvm::divideCeil(steps, warps)),
        rows(linear.index || isOneRow() ? 1 : kRows) {}
  void emit(OpBuilder &builder);

private:
  bool isOneRow() const {
    return cast<MemRefType>(linear.input.getType()).getDimSize(0) == 1;
  }
  void emitBlock(KernelBuilder &b, const GPUBlock &block);
  /// `rows` rows from `first` on.
  void emitRows(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                Value base, ArrayRef<SmallVector<Value>> weights,
                Value weightScale, Value first);
  Value blockBase(KernelBuilder &b, const GPUBlock &block);
  /// The first column of the lane in the warp's `i`-th step, and whether there
  /// is one.
  Value column(KernelBuilder &b, const Lane &at, Value i);
  Value isInside(KernelBuilder &b, const Lane &at, Value i);
  SmallVector<Value> loadWeights(KernelBuilder &b, const Lane &at, Value base,
                                 Value i);
  /// Four sums for each of the rows `m`, and a step's products.
  SmallVector<Value> addStep(KernelBuilder &b, const Lane &at, ValueRange m,
                             ValueRange weights, Value i, bool isFull,
                             ValueRange sums);
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

SmallVector<Value> Int8Gemv::addStep(KernelBuilder &b, const Lane &at,
                                     ValueRange m, ValueRange weights, Value i,
                                     bool isFull, ValueRange sums) {
  SmallVector<Value> acc;
  for (auto [r, row] : llvm::enumerate(m)) {
    Value x = loadWords(b, linear.input, {row, column(b, at, i)}, 1)[0];
    if (!isFull)
      x = b.select(isInside(b, at, i), x, b.constant(b.getI32Type(), 0));
    for (auto [weight, sum] : llvm::zip_equal(weights, sums.slice(4 * r, 4)))
      acc.push_back(dot4(b, x, weight, sum));
  }
  return acc;
}

void Int8Gemv::emitRows(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                        Value base, ArrayRef<SmallVector<Value>> weights,
                        Value weightScale, Value first) {
  // Beyond the last row is the last one again: what is stored is the same.
  Value last = b.sub(linear.rows, b.index(1));
  auto rowAt = [&](Value r) -> Value {
    return rows == 1 ? first : arith::MinUIOp::create(b, b.add(first, r), last);
  };
  SmallVector<Value> m;
  for (int64_t r = 0; r < rows; ++r)
    m.push_back(rowAt(b.index(r)));
  // A thread for each result.
  Value ownRow = arith::DivUIOp::create(b, block.thread, b.index(kBlockRows));
  Value own = rowAt(arith::MinUIOp::create(b, ownRow, b.index(rows - 1)));
  Value place = arith::RemUIOp::create(b, block.thread, b.index(kBlockRows));
  Value n = b.add(b.mul(block.x, kBlockRows), place);
  Value scale = b.load(linear.scale, own);
  Value before = loadBefore(b, linear, own, n);
  SmallVector<Value> sums(4 * rows, b.constant(b.getI32Type(), 0));
  int64_t ahead = weights.size();
  for (int64_t i = 0; i < ahead; ++i)
    sums = addStep(b, at, m, weights[i], b.index(i), (i + 1) * warps <= steps,
                   sums);
  if (ahead < ownSteps)
    sums = b.forLoop(b.index(ahead), b.index(ownSteps), 1, sums,
                     [&](Value i, ValueRange carried) {
                       return addStep(b, at, m, loadWeights(b, at, base, i), i,
                                      steps % warps == 0, carried);
                     });
  for (int64_t r = 0; r < rows; ++r)
    storeWarpSums(b, block, at, b.add(at.warp, b.index(r * warps)),
                  ValueRange(sums).slice(4 * r, 4));
  gpu::BarrierOp::create(b);
  Value ours = b.compare(arith::CmpIPredicate::ult, block.thread,
                         b.index(rows * kBlockRows));
  b.ifElse(ours, [&] {
    Value acc = b.constant(b.getI32Type(), 0);
    for (int64_t i = 0; i < warps; ++i)
      acc = b.add(acc, b.load(block.shared[0],
                              {b.add(b.mul(ownRow, warps), i), place}));
    storeResult(b, linear, own, n, acc, b.mul(scale, weightScale), before);
  });
}

void Int8Gemv::emitBlock(KernelBuilder &b, const GPUBlock &block) {
  Lane at(b, block.thread);
  // The weights of experts depend on what the kernels before have chosen.
  if (linear.index)
    waitForKernels(b);
  Value base = blockBase(b, block);
  SmallVector<SmallVector<Value>> weights;
  for (int64_t i = 0; i < std::min(kPrefetched, ownSteps); ++i)
    weights.push_back(loadWeights(b, at, base, b.index(i)));
  Value place = arith::RemUIOp::create(b, block.thread, b.index(kBlockRows));
  Value weightScale = loadWeightScale(b, linear, block.y,
                                      b.add(b.mul(block.x, kBlockRows), place));
  if (!linear.index)
    waitForKernels(b);
  if (rows == 1)
    return emitRows(b, block, at, base, weights, weightScale, block.y);
  b.forLoop(b.index(0), linear.rows, rows, [&](Value first) {
    emitRows(b, block, at, base, weights, weightScale, first);
    gpu::BarrierOp::create(b); // the sums' memory is used again
  });
}

void Int8Gemv::emit(OpBuilder &builder) {
  KernelBuilder b(linear.loc, builder);
  // A thread for each result.
  warps = std::max<int64_t>(warps, llvm::divideCeil(rows * kBlockRows, kWarp));
  buildLaunch(
      builder, linear.loc,
      {linear.tiles, rows == 1 ? linear.rows : Value(b.index(1))},
      kWarp * warps,
      {getSharedType({rows * warps, kBlockRows}, builder.getI32Type())},
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
