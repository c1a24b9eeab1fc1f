//===- AttentionNVVM.cpp - Attention on a GPU -----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp takes a few neighbouring keys at a time, a lane every 32nd element of
// them: products, weights and weighted values stay in its registers. It keeps
// the largest logit so far and sums relative to it; a larger one scales them
// down (Milakov and Gimelshein, Online normalizer calculation for softmax,
// 2018). In the end the warps of a block are combined.
//
// Few rows have too few heads to keep a GPU busy: the keys of each are split
// over several blocks, whose results one block combines (Dao et al.,
// Flash-Decoding, 2023).
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Registers of a lane for the keys of a step, and those for the values.
static constexpr int64_t kStepRegisters = 32, kMostStepKeys = 8;
/// Blocks that read keys and values as fast as the memory of a GPU gives them.
static constexpr int64_t kBusyBlocks = 2 * kMultiprocessors;
static constexpr int64_t kMostSplits = 16;
/// Rows of a sequence whose keys are split. The number of sequences does not
/// count, so that each has the sums that it has alone.
static constexpr int64_t kSplitRows = 2;
static constexpr float kNegativeInfinity =
    -std::numeric_limits<float>::infinity();

/// Elements of a row that a lane has.
static int64_t getParts(int64_t columns) {
  return llvm::divideCeil(columns, kWarp);
}

/// exp(x - reference), 0 where x is -inf.
static Value exponential(KernelBuilder &b, Value x, Value reference) {
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x,
                                     b.f32(kNegativeInfinity));
  Value value = math::ExpOp::create(b, b.sub(x, reference));
  return b.select(none, b.f32(0.0f), value);
}

static Value maximum(KernelBuilder &b, Value x, Value y) {
  return arith::MaximumFOp::create(b, x, y);
}

/// `largest`, or 0 where all logits are -inf.
static Value getReference(KernelBuilder &b, Value largest) {
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, largest,
                                     b.f32(kNegativeInfinity));
  return b.select(none, b.f32(0.0f), largest);
}

/// 1 / sum, or 0 where no key was visible.
static Value getFactor(KernelBuilder &b, Value sum) {
  Value none =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0.0f));
  return b.select(none, b.f32(0.0f), b.div(b.f32(1.0f), sum));
}

namespace {
/// What is known of a row after some of its keys; a row of the scratch memory
/// holds the columns, the sum and the largest logit.
struct Partial {
  Value largest, sum;
  SmallVector<Value> columns; ///< those of the thread
};

/// Builds one block's body.
struct AttentionBlock {
  KernelBuilder &b;
  const GPUBlock &block;
  pqk::AttentionOp op;
  Lane at;
  int64_t depth, width; ///< D, E
  int64_t keys;         ///< of a step
  int64_t splits;
  Value batch, head, group, position, split;

  AttentionBlock(KernelBuilder &b, const GPUBlock &block, pqk::AttentionOp op,
                 int64_t splits);
  /// `scratch`: B * H * M x splits x (E + 2) where there are splits.
  void emit(Value scratch);

private:
  Value loadStep(Value cache, Value t, int64_t columns);
  SmallVector<Value> loadRow(Value cache, Value t, int64_t columns);
  SmallVector<Value> loadQuery();
  Value logit(Value product, Value t);
  Partial addKeys(Value first, Value end, ArrayRef<Value> query,
                  const Partial &before);
  void storeWarp(const Partial &partial);
  Partial combineWarps(Value column);
};
} // namespace

AttentionBlock::AttentionBlock(KernelBuilder &b, const GPUBlock &block,
                               pqk::AttentionOp op, int64_t splits)
    : b(b), block(block), op(op), at(b, block.thread), splits(splits) {
  depth = cast<MemRefType>(op.getQuery().getType()).getDimSize(3);
  width = cast<MemRefType>(op.getOutput().getType()).getDimSize(3);
  keys = std::clamp<int64_t>(kStepRegisters /
                                 std::max(getParts(depth), getParts(width)),
                             1, kMostStepKeys);
  position = arith::DivUIOp::create(b, block.x, b.index(splits));
  split = arith::RemUIOp::create(b, block.x, b.index(splits));
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

/// The lane's elements of key or value `t`; beyond the columns, the last one.
SmallVector<Value> AttentionBlock::loadRow(Value cache, Value t,
                                           int64_t columns) {
  Value step = loadStep(cache, t, columns);
  SmallVector<Value> elements;
  for (int64_t part = 0; part < getParts(columns); ++part) {
    Value column = b.add(at.lane, part * kWarp);
    if ((part + 1) * kWarp > columns)
      column = arith::MinUIOp::create(b, column, b.index(columns - 1));
    Value value = b.load(cache, {batch, group, t, column});
    if (step)
      value = b.mul(arith::SIToFPOp::create(b, b.getF32Type(), value), step);
    else if (!value.getType().isF32())
      value = arith::ExtFOp::create(b, b.getF32Type(), value);
    elements.push_back(value);
  }
  return elements;
}

/// The lane's elements of the query; 0 beyond its columns.
SmallVector<Value> AttentionBlock::loadQuery() {
  SmallVector<Value> elements;
  for (int64_t part = 0; part < getParts(depth); ++part) {
    Value column = b.add(at.lane, part * kWarp);
    Value inside = b.compare(arith::CmpIPredicate::ult, column, b.index(depth));
    Value clamped = arith::MinUIOp::create(b, column, b.index(depth - 1));
    Value element = b.load(op.getQuery(), {batch, head, position, clamped});
    elements.push_back(b.select(inside, element, b.f32(0.0f)));
  }
  return elements;
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

/// The warp's keys from `first` on.
Partial AttentionBlock::addKeys(Value first, Value end, ArrayRef<Value> query,
                                const Partial &before) {
  Value last = b.sub(end, b.index(1));
  SmallVector<SmallVector<Value>> values;
  SmallVector<Value> logits;
  // All loads before all arithmetic.
  SmallVector<SmallVector<Value>> rows;
  SmallVector<Value> places;
  for (int64_t i = 0; i < keys; ++i) {
    places.push_back(arith::MinUIOp::create(b, b.add(first, i), last));
    rows.push_back(loadRow(op.getKey(), places.back(), depth));
  }
  for (Value t : places)
    values.push_back(loadRow(op.getValue(), t, width));
  Partial after;
  after.largest = before.largest;
  for (int64_t i = 0; i < keys; ++i) {
    Value sum = b.f32(0.0f);
    for (auto [x, y] : llvm::zip(query, rows[i]))
      sum = math::FmaOp::create(b, x, y, sum);
    sum = shuffleReduce(b, sum, 1, kWarp,
                        [&](Value x, Value y) { return b.add(x, y); });
    Value inside = b.compare(arith::CmpIPredicate::ult, b.add(first, i), end);
    logits.push_back(
        b.select(inside, logit(sum, places[i]), b.f32(kNegativeInfinity)));
    after.largest = maximum(b, after.largest, logits.back());
  }
  Value reference = getReference(b, after.largest);
  Value shrink = exponential(b, before.largest, reference);
  after.sum = b.mul(before.sum, shrink);
  for (Value column : before.columns)
    after.columns.push_back(b.mul(column, shrink));
  for (int64_t i = 0; i < keys; ++i) {
    Value weight = exponential(b, logits[i], reference);
    after.sum = b.add(after.sum, weight);
    for (auto [column, value] : llvm::zip(after.columns, values[i]))
      column = math::FmaOp::create(b, weight, value, column);
  }
  return after;
}

/// To row `warp` of the block's memory.
void AttentionBlock::storeWarp(const Partial &partial) {
  for (auto [part, column] : llvm::enumerate(partial.columns))
    b.store(column, block.shared[0],
            {at.warp, b.add(at.lane, int64_t(part) * kWarp)});
  b.ifElse(b.compare(arith::CmpIPredicate::eq, at.lane, b.index(0)), [&] {
    b.store(partial.sum, block.shared[1], at.warp);
    b.store(partial.largest, block.shared[2], at.warp);
  });
  gpu::BarrierOp::create(b);
}

Partial AttentionBlock::combineWarps(Value column) {
  SmallVector<Value> largest;
  for (int64_t warp = 0; warp < kWarps; ++warp)
    largest.push_back(b.load(block.shared[2], b.index(warp)));
  Partial all = {largest[0], b.f32(0.0f), {b.f32(0.0f)}};
  for (Value other : ArrayRef(largest).drop_front())
    all.largest = maximum(b, all.largest, other);
  Value reference = getReference(b, all.largest);
  for (int64_t warp = 0; warp < kWarps; ++warp) {
    Value weight = exponential(b, largest[warp], reference);
    Value row = b.index(warp);
    all.sum =
        math::FmaOp::create(b, weight, b.load(block.shared[1], row), all.sum);
    all.columns[0] = math::FmaOp::create(
        b, weight, b.load(block.shared[0], {row, column}), all.columns[0]);
  }
  return all;
}

void AttentionBlock::emit(Value scratch) {
  Value end = b.dim(op.getKey(), 2);
  Value rows = b.dim(op.getQuery(), 2);
  if (op.getCausal()) {
    // The last query stands by the last key.
    Value visible = b.add(b.add(position, b.sub(end, rows)), 1);
    end = arith::MinSIOp::create(b, end, visible);
  }
  SmallVector<Value> query = loadQuery();
  SmallVector<Value> state = {b.f32(kNegativeInfinity), b.f32(0.0f)};
  state.append(getParts(width), b.f32(0.0f));
  Value first = b.mul(b.add(b.mul(split, kWarps), at.warp), keys);
  state =
      b.forLoop(first, end, splits * kWarps * keys, state,
                [&](Value from, ValueRange carried) {
                  Partial before = {carried[0], carried[1],
                                    SmallVector<Value>(carried.drop_front(2))};
                  Partial after = addKeys(from, end, query, before);
                  SmallVector<Value> next = {after.largest, after.sum};
                  next.append(after.columns);
                  return next;
                });
  storeWarp(
      {state[0], state[1], SmallVector<Value>(ArrayRef(state).drop_front(2))});
  Value row = b.add(b.mul(block.y, rows), position);
  b.forLoop(block.thread, b.index(width), kThreads, [&](Value column) {
    Partial all = combineWarps(column);
    if (!scratch) {
      b.store(b.mul(all.columns[0], getFactor(b, all.sum)), op.getOutput(),
              {batch, head, position, column});
      return;
    }
    b.store(all.columns[0], scratch, {row, split, column});
    b.ifElse(b.compare(arith::CmpIPredicate::eq, column, b.index(0)), [&] {
      b.store(all.sum, scratch, {row, split, b.index(width)});
      b.store(all.largest, scratch, {row, split, b.index(width + 1)});
    });
  });
}

/// Combines the splits' results of `row`, in order: a lane of the warp has a
/// split and its weight, and then every 32nd column. The first columns are
/// loaded while the weights are not known yet.
static void combineSplits(KernelBuilder &b, Value lane, Value scratch,
                          int64_t splits, Value row, pqk::AttentionOp op) {
  int64_t width = cast<MemRefType>(op.getOutput().getType()).getDimSize(3);
  int64_t parts = getParts(width);
  int64_t step = std::clamp<int64_t>(kStepRegisters / splits, 1, parts);
  auto columnOf = [&](int64_t part) { return b.add(lane, part * kWarp); };
  auto loadParts = [&](int64_t first) {
    SmallVector<SmallVector<Value>> values;
    for (int64_t part = first; part < std::min(first + step, parts); ++part) {
      Value column =
          arith::MinUIOp::create(b, columnOf(part), b.index(width - 1));
      SmallVector<Value> &of = values.emplace_back();
      for (int64_t i = 0; i < splits; ++i)
        of.push_back(b.load(scratch, {row, b.index(i), column}));
    }
    return values;
  };
  Value split = arith::MinUIOp::create(b, lane, b.index(splits - 1));
  Value largest = b.load(scratch, {row, split, b.index(width + 1)});
  Value share = b.load(scratch, {row, split, b.index(width)});
  SmallVector<SmallVector<Value>> values = loadParts(0);
  largest =
      b.select(b.compare(arith::CmpIPredicate::ult, lane, b.index(splits)),
               largest, b.f32(kNegativeInfinity));
  Value reference = getReference(
      b, shuffleReduce(b, largest, 1, kWarp,
                       [&](Value x, Value y) { return maximum(b, x, y); }));
  Value weight = exponential(b, largest, reference);
  Value sum = shuffleReduce(b, b.mul(weight, share), 1, kWarp,
                            [&](Value x, Value y) { return b.add(x, y); });
  weight = b.mul(weight, getFactor(b, sum));
  SmallVector<Value> weights;
  for (int64_t i = 0; i < splits; ++i)
    weights.push_back(gpu::ShuffleOp::create(b, weight, int32_t(i),
                                             int32_t(kWarp),
                                             gpu::ShuffleMode::IDX)
                          .getShuffleResult());
  Value rows = b.dim(op.getQuery(), 2), heads = b.dim(op.getQuery(), 1);
  Value position = arith::RemUIOp::create(b, row, rows);
  Value unit = arith::DivUIOp::create(b, row, rows);
  Value head = arith::RemUIOp::create(b, unit, heads);
  Value batch = arith::DivUIOp::create(b, unit, heads);
  for (int64_t first = 0; first < parts; first += step) {
    if (first)
      values = loadParts(first);
    for (auto [i, of] : llvm::enumerate(values)) {
      Value total = b.f32(0.0f);
      for (auto [value, factor] : llvm::zip_equal(of, weights))
        total = math::FmaOp::create(b, factor, value, total);
      Value column = columnOf(first + int64_t(i));
      b.ifElse(
          b.compare(arith::CmpIPredicate::ult, column, b.index(width)), [&] {
            b.store(total, op.getOutput(), {batch, head, position, column});
          });
    }
  }
}

/// B * H * M.
static Value getRows(KernelBuilder &b, pqk::AttentionOp op) {
  Value query = op.getQuery();
  return b.mul(b.mul(b.dim(query, 0), b.dim(query, 1)), b.dim(query, 2));
}

/// `splits` blocks for each row, and one that combines them.
static void emitSplits(OpBuilder &builder, pqk::AttentionOp op,
                       int64_t splits) {
  KernelBuilder b(op.getLoc(), builder);
  auto columns = [](Value value) {
    return cast<MemRefType>(value.getType()).getDimSize(3);
  };
  int64_t width = columns(op.getOutput());
  Value scratch;
  if (splits > 1) {
    auto type = MemRefType::get({ShapedType::kDynamic, splits, width + 2},
                                b.getF32Type());
    scratch = gpu::AllocOp::create(b, type, Type(), ValueRange(),
                                   ValueRange{getRows(b, op)}, ValueRange())
                  .getMemref();
  }
  Value query = op.getQuery();
  Type f32 = b.getF32Type();
  buildLaunch(
      b, op.getLoc(),
      {b.mul(b.dim(query, 2), splits), b.mul(b.dim(query, 0), b.dim(query, 1))},
      kThreads,
      {getSharedType({kWarps, getParts(width) * kWarp}, f32),
       getSharedType({kWarps}, f32), getSharedType({kWarps}, f32)},
      [&](KernelBuilder &b, const GPUBlock &block) {
        AttentionBlock(b, block, op, splits).emit(scratch);
      });
  if (splits == 1)
    return;
  // Of one sequence one block, so that the launch can be merged with the next.
  constexpr int64_t rows = kBlockThreads / kWarp;
  SmallVector<Value> grid;
  if (cast<MemRefType>(query.getType()).getDimSize(0) != 1)
    grid.push_back(b.ceilDiv(getRows(b, op), rows));
  buildLaunch(b, op.getLoc(), grid, kBlockThreads, {},
              [&](KernelBuilder &b, const GPUBlock &block) {
                Lane at(b, block.thread);
                Value first = b.add(b.mul(block.x, rows), at.warp);
                Value end = getRows(b, op);
                if (!grid.empty())
                  end = arith::MinUIOp::create(b, end, b.add(first, 1));
                b.forLoop(first, end, rows, [&](Value row) {
                  combineSplits(b, at.lane, scratch, splits, row, op);
                });
              });
  gpu::DeallocOp::create(b, Type(), ValueRange(), scratch);
}

void pquant::nvvm::emitAttention(OpBuilder &builder, Operation *op) {
  auto attention = cast<pqk::AttentionOp>(op);
  KernelBuilder b(op->getLoc(), builder);
  auto query = cast<MemRefType>(attention.getQuery().getType());
  int64_t heads = query.getDimSize(1), rows = query.getDimSize(2);
  int64_t splits =
      ShapedType::isDynamic(heads)
          ? 1
          : std::clamp<int64_t>(kBusyBlocks / heads, 1, kMostSplits);
  if (splits == 1)
    return emitSplits(builder, attention, 1);
  emitByRows(
      builder, op->getLoc(), rows, b.dim(attention.getQuery(), 2), kSplitRows,
      [&](OpBuilder &inner) { emitSplits(inner, attention, splits); },
      [&](OpBuilder &inner) { emitSplits(inner, attention, 1); });
}
