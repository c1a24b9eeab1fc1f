//===- AttentionNVVM.cpp - Attention on a GPU -----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block for each query row of each head goes over the keys once, kThreads at
// a time: a warp multiplies one key after the other, a lane each 32nd element;
// then each thread has a column of the values and every n-th key. The row keeps
// the largest logit so far, and sums relative to it; a larger one scales them
// down (Milakov and Gimelshein, Online normalizer calculation for softmax,
// 2018).
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
static constexpr int64_t kKeys = 512;
static constexpr int64_t kKeyWarps = kKeys / kWarp;
static constexpr float kNegativeInfinity =
    -std::numeric_limits<float>::infinity();

namespace {
/// Builds one block's body.
struct AttentionBlock {
  KernelBuilder &b;
  const GPUBlock &block;
  pqk::AttentionOp op;
  int64_t depth, width; ///< D, E
  int64_t lanes;        ///< threads that share the columns of a value
  Value batch, head, group, position;

  AttentionBlock(KernelBuilder &b, const GPUBlock &block, pqk::AttentionOp op);
  void emit();

private:
  Value loadStep(Value cache, Value t, int64_t columns);
  Value loadElement(Value cache, Value t, Value column, Value step);
  Value product(Value t, Value lane);
  Value logit(Value product, Value t);
  void storeProducts(Value first, Value count);
  Value exponential(Value x, Value reference);
  SmallVector<Value> addKeys(Value first, Value end, ValueRange carried);
  void loadQuery();
  Value addGroups(Value sum);
};
} // namespace

AttentionBlock::AttentionBlock(KernelBuilder &b, const GPUBlock &block,
                               pqk::AttentionOp op)
    : b(b), block(block), op(op), position(block.x) {
  depth = cast<MemRefType>(op.getQuery().getType()).getDimSize(3);
  width = cast<MemRefType>(op.getOutput().getType()).getDimSize(3);
  lanes = std::min<int64_t>(kKeys, llvm::PowerOf2Ceil(width));
  Value heads = b.dim(op.getQuery(), 1);
  batch = arith::DivUIOp::create(b, block.y, heads);
  head = arith::RemUIOp::create(b, block.y, heads);
  Value share = arith::DivUIOp::create(b, heads, b.dim(op.getKey(), 1));
  group = arith::DivUIOp::create(b, head, share);
}

Value pquant::nvvm::loadCacheStep(KernelBuilder &b, Value cache,
                                  ValueRange indices, int64_t columns) {
  Value word = b.constant(b.getI32Type(), 0);
  for (int64_t i = 0; i < 4; ++i) {
    SmallVector<Value> place(indices);
    place.push_back(b.index(columns + i));
    Value byte =
        arith::ExtUIOp::create(b, b.getI32Type(), b.load(cache, place));
    word = b.bitOr(word, b.shiftLeft(byte, 8 * i));
  }
  return arith::BitcastOp::create(b, b.getF32Type(), word);
}

/// Null for other caches than INT8 ones.
Value AttentionBlock::loadStep(Value cache, Value t, int64_t columns) {
  if (!cast<MemRefType>(cache.getType()).getElementType().isInteger(8))
    return {};
  return loadCacheStep(b, cache, {batch, group, t}, columns);
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

/// The lane's part of the product of the query with key `t`.
Value AttentionBlock::product(Value t, Value lane) {
  Value step = loadStep(op.getKey(), t, depth);
  Value sum = b.f32(0.0f);
  for (int64_t d = 0; d < depth; d += kWarp) {
    Value column = b.add(lane, d);
    // Beyond the depth the query is 0.
    Value clamped =
        d + kWarp <= depth
            ? column
            : Value(arith::MinUIOp::create(b, column, b.index(depth - 1)));
    sum = math::FmaOp::create(b, b.load(block.shared[0], column),
                              loadElement(op.getKey(), t, clamped, step), sum);
  }
  return sum;
}

/// shared[1][i] = the product of the query with key `first` + i, i < count.
void AttentionBlock::storeProducts(Value first, Value count) {
  Lane at(b, block.thread);
  b.forLoop(at.warp, count, kKeyWarps, [&](Value i) {
    Value sum = shuffleReduce(b, product(b.add(first, i), at.lane), 1, kWarp,
                              [&](Value x, Value y) { return b.add(x, y); });
    b.ifElse(b.compare(arith::CmpIPredicate::eq, at.lane, b.index(0)),
             [&] { b.store(sum, block.shared[1], i); });
  });
  gpu::BarrierOp::create(b);
}

Value AttentionBlock::logit(Value product, Value t) {
  Value result = b.mul(product, b.f32(op.getScale()));
  if (!op.getMask())
    return result;
  // One mask for all batches, or one for each.
  Value last = b.sub(b.dim(op.getMask(), 0), b.index(1));
  Value which = arith::MinUIOp::create(b, batch, last);
  return b.add(result, b.load(op.getMask(), {which, b.index(0), position, t}));
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
  Value count = arith::MinSIOp::create(b, b.sub(end, first), b.index(kKeys));
  storeProducts(first, count);
  Value inside = b.compare(arith::CmpIPredicate::slt, block.thread, count);
  Value own = b.select(inside, block.thread, b.index(0));
  Value mine =
      b.select(inside, logit(b.load(block.shared[1], own), b.add(first, own)),
               b.f32(kNegativeInfinity));
  auto maximum = [&](Value x, Value y) -> Value {
    return arith::MaximumFOp::create(b, x, y);
  };
  Value largest = maximum(
      carried[0], blockReduce(b, block, kKeys, block.shared[2], mine, maximum));
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, largest,
                                     b.f32(kNegativeInfinity));
  Value reference = b.select(none, b.f32(0.0f), largest);
  b.store(exponential(mine, reference), block.shared[1], block.thread);
  gpu::BarrierOp::create(b);
  Value shrink = exponential(carried[0], reference);
  SmallVector<Value> sums = {b.mul(carried[1], shrink)};
  for (Value element : carried.drop_front(2))
    sums.push_back(b.mul(element, shrink));
  Value group = arith::DivUIOp::create(b, block.thread, b.index(lanes));
  Value lane = arith::RemUIOp::create(b, block.thread, b.index(lanes));
  sums = b.forLoop(
      group, count, kKeys / lanes, sums, [&](Value i, ValueRange inner) {
        Value weight = b.load(block.shared[1], i);
        Value key = b.add(first, i);
        Value step = loadStep(op.getValue(), key, width);
        SmallVector<Value> next = {b.add(inner.front(), weight)};
        for (auto [part, sum] : llvm::enumerate(inner.drop_front())) {
          Value column = b.add(lane, int64_t(part) * kKeys);
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
  int64_t padded = llvm::alignTo(depth, kWarp);
  b.forLoop(block.thread, b.index(padded), kKeys, [&](Value d) {
    Value inside = b.compare(arith::CmpIPredicate::ult, d, b.index(depth));
    Value column = b.select(inside, d, b.index(0));
    Value element = b.load(op.getQuery(), {batch, head, position, column});
    b.store(b.select(inside, element, b.f32(0.0f)), block.shared[0], d);
  });
  gpu::BarrierOp::create(b);
}

/// The sum over the threads of one column, for those of the first group.
Value AttentionBlock::addGroups(Value sum) {
  if (lanes == kKeys)
    return sum;
  b.store(sum, block.shared[1], block.thread);
  gpu::BarrierOp::create(b);
  Value lane = arith::RemUIOp::create(b, block.thread, b.index(lanes));
  Value total = b.load(block.shared[1], lane);
  for (int64_t other = lanes; other < kKeys; other += lanes)
    total = b.add(total, b.load(block.shared[1], b.add(lane, other)));
  gpu::BarrierOp::create(b);
  return total;
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
  for (Value &sum : MutableArrayRef(state).drop_front())
    sum = addGroups(sum);
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state[1],
                                     b.f32(0.0f));
  Value factor = b.select(none, b.f32(0.0f), b.div(b.f32(1.0f), state[1]));
  for (int64_t part = 0; part < parts; ++part) {
    Value column = b.add(block.thread, part * kKeys);
    // Of threads with equal columns the first stores.
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
              {getSharedType({int64_t(llvm::alignTo(depth, kWarp))}, f32),
               getSharedType({kKeys}, f32), getSharedType({kKeyWarps}, f32)},
              [&](KernelBuilder &b, const GPUBlock &block) {
                AttentionBlock(b, block, attention).emit();
              });
}
