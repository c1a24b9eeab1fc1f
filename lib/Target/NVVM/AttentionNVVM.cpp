//===- AttentionNVVM.cpp - Attention on a GPU ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block for each query row of each head goes over the keys once, as many at a
// time as it has threads: a thread has the logit of one key, then elements of
// the result. The row keeps the largest logit so far, and sums relative to it;
// a larger one scales them down (Milakov and Gimelshein, Online normalizer
// calculation for softmax, 2018).
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Threads of a block, and keys at a time.
static constexpr int64_t kKeys = 128;
static constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

namespace {
/// Builds one block's body.
struct AttentionBlock {
  KernelBuilder &b;
  const GPUBlock &block;
  pqk::AttentionOp op;
  int64_t depth, width; ///< D, E
  Value batch, head, group, position;

  AttentionBlock(KernelBuilder &b, const GPUBlock &block, pqk::AttentionOp op);
  void emit();

private:
  Value loadStep(Value cache, Value t, int64_t columns);
  Value loadElement(Value cache, Value t, Value column, Value step);
  Value logit(Value t);
  Value exponential(Value x, Value reference);
  SmallVector<Value> addKeys(Value first, Value end, ValueRange carried);
  void loadQuery();
};
} // namespace

AttentionBlock::AttentionBlock(KernelBuilder &b, const GPUBlock &block,
                               pqk::AttentionOp op)
    : b(b), block(block), op(op), position(block.x) {
  depth = cast<MemRefType>(op.getQuery().getType()).getDimSize(3);
  width = cast<MemRefType>(op.getOutput().getType()).getDimSize(3);
  Value heads = b.dim(op.getQuery(), 1);
  batch = arith::DivUIOp::create(b, block.y, heads);
  head = arith::RemUIOp::create(b, block.y, heads);
  Value share = arith::DivUIOp::create(b, heads, b.dim(op.getKey(), 1));
  group = arith::DivUIOp::create(b, head, share);
}

/// What a row of an INT8 cache counts in: the four bytes behind its values.
Value AttentionBlock::loadStep(Value cache, Value t, int64_t columns) {
  if (!cast<MemRefType>(cache.getType()).getElementType().isInteger(8))
    return {};
  Value word = b.constant(b.getI32Type(), 0);
  for (int64_t i = 0; i < 4; ++i) {
    Value byte = arith::ExtUIOp::create(
        b, b.getI32Type(),
        b.load(cache, {batch, group, t, b.index(columns + i)}));
    word = b.bitOr(word, b.shiftLeft(byte, 8 * i));
  }
  return arith::BitcastOp::create(b, b.getF32Type(), word);
}

Value AttentionBlock::loadElement(Value cache, Value t, Value column,
                                  Value step) {
  Value value = b.load(cache, {batch, group, t, column});
  if (step)
    return b.mul(arith::SIToFPOp::create(b, b.getF32Type(), value), step);
  if (value.getType().isF32())
    return value;
  return arith::ExtFOp::create(b, b.getF32Type(), value);
}

Value AttentionBlock::logit(Value t) {
  Value step = loadStep(op.getKey(), t, depth);
  Value product =
      b.forLoop(b.index(0), b.index(depth), 1, b.f32(0.0f),
                [&](Value d, ValueRange carried) {
                  Value key = loadElement(op.getKey(), t, d, step);
                  return SmallVector<Value>{math::FmaOp::create(
                      b, b.load(block.shared[0], d), key, carried.front())};
                })
          .front();
  Value result = b.mul(product, b.f32(op.getScale()));
  if (!op.getMask())
    return result;
  // One mask for all batches, or one for each.
  Value last = b.sub(b.dim(op.getMask(), 0), b.index(1));
  Value which = arith::MinUIOp::create(b, batch, last);
  return b.add(result,
               b.load(op.getMask(), {which, b.index(0), position, t}));
}

/// exp(x - reference), 0 where x is -inf.
Value AttentionBlock::exponential(Value x, Value reference) {
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x,
                                     b.f32(kNegativeInfinity));
  Value value = math::ExpOp::create(b, b.sub(x, reference));
  return b.select(none, b.f32(0.0f), value);
}

/// The keys from `first` on; carried are the largest logit, the sum and this
/// thread's elements of the result.
SmallVector<Value> AttentionBlock::addKeys(Value first, Value end,
                                           ValueRange carried) {
  Value t = b.add(first, block.thread);
  Value inside = b.compare(arith::CmpIPredicate::slt, t, end);
  Value clamped = b.select(inside, t, b.index(0));
  Value mine = b.select(inside, logit(clamped), b.f32(kNegativeInfinity));
  auto maximum = [&](Value x, Value y) -> Value {
    return arith::MaximumFOp::create(b, x, y);
  };
  Value largest = maximum(carried[0], blockReduce(b, block, kKeys,
                                                  block.shared[2], mine,
                                                  maximum));
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, largest,
                                     b.f32(kNegativeInfinity));
  Value reference = b.select(none, b.f32(0.0f), largest);
  b.store(exponential(mine, reference), block.shared[1], block.thread);
  gpu::BarrierOp::create(b);
  Value shrink = exponential(carried[0], reference);
  SmallVector<Value> sums = {b.mul(carried[1], shrink)};
  for (Value element : carried.drop_front(2))
    sums.push_back(b.mul(element, shrink));
  Value count = arith::MinSIOp::create(b, b.sub(end, first), b.index(kKeys));
  sums = b.forLoop(
      b.index(0), count, 1, sums, [&](Value i, ValueRange inner) {
        Value weight = b.load(block.shared[1], i);
        Value key = b.add(first, i);
        Value step = loadStep(op.getValue(), key, width);
        SmallVector<Value> next = {b.add(inner.front(), weight)};
        for (auto [part, sum] : llvm::enumerate(inner.drop_front())) {
          Value column = b.add(block.thread, int64_t(part) * kKeys);
          column = arith::MinUIOp::create(b, column, b.index(width - 1));
          next.push_back(math::FmaOp::create(
              b, weight, loadElement(op.getValue(), key, column, step), sum));
        }
        return next;
      });
  gpu::BarrierOp::create(b);
  sums.insert(sums.begin(), largest);
  return sums;
}

void AttentionBlock::loadQuery() {
  b.forLoop(block.thread, b.index(depth), kKeys, [&](Value d) {
    b.store(b.load(op.getQuery(), {batch, head, position, d}),
            block.shared[0], d);
  });
  gpu::BarrierOp::create(b);
}

void AttentionBlock::emit() {
  loadQuery();
  Value end = b.dim(op.getKey(), 2);
  if (op.getCausal()) {
    // The last query stands by the last key.
    Value rows = b.dim(op.getQuery(), 2);
    Value visible = b.add(b.add(position, b.sub(end, rows)), 1);
    end = arith::MinSIOp::create(b, end, visible);
  }
  int64_t parts = llvm::divideCeil(width, kKeys);
  SmallVector<Value> state = {b.f32(kNegativeInfinity), b.f32(0.0f)};
  state.append(parts, b.f32(0.0f));
  state = b.forLoop(b.index(0), end, kKeys, state,
                    [&](Value first, ValueRange carried) {
                      return addKeys(first, end, carried);
                    });
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state[1],
                                     b.f32(0.0f));
  Value factor =
      b.select(none, b.f32(0.0f), b.div(b.f32(1.0f), state[1]));
  for (int64_t part = 0; part < parts; ++part) {
    Value column = b.add(block.thread, part * kKeys);
    b.ifElse(b.compare(arith::CmpIPredicate::ult, column, b.index(width)), [&] {
      b.store(b.mul(state[2 + part], factor), op.getOutput(),
              {batch, head, position, column});
    });
  }
}

void pquant::nvvm::emitAttention(OpBuilder &builder, Operation *op) {
  auto attention = cast<pqk::AttentionOp>(op);
  KernelBuilder b(op->getLoc(), builder);
  Value query = attention.getQuery();
  Value heads = b.mul(b.dim(query, 0), b.dim(query, 1));
  int64_t depth = cast<MemRefType>(query.getType()).getDimSize(3);
  Type f32 = b.getF32Type();
  buildLaunch(builder, op->getLoc(), {b.dim(query, 2), heads}, kKeys,
              {getSharedType({depth}, f32), getSharedType({kKeys}, f32),
               getSharedType({kKeys / kWarp}, f32)},
              [&](KernelBuilder &b, const GPUBlock &block) {
                AttentionBlock(b, block, attention).emit();
              });
}
