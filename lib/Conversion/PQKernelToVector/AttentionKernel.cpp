//===- AttentionKernel.cpp - Scaled dot-product attention -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The query rows of all heads that share a key and value head are taken in
// blocks of 16, the keys in blocks of 64, so that a block of keys and values
// stays in the first-level cache while all rows of a block pass. Threads share
// out the blocks of rows.
//
// A row keeps the largest logit so far, and the sums of the exponentials and of
// the values relative to it; a larger one scales both down (Milakov and
// Gimelshein, Online normalizer calculation for softmax, 2018).
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Conversion/PQKernelToVector.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace pquant;

/// Query rows and keys of a block.
static constexpr int64_t kRows = 16, kKeys = 64;
/// Products that make a range worth a thread.
static constexpr int64_t kGrainProducts = 1 << 16;
/// Keys whose products with a row are summed at once, and vectors of the value
/// that are.
static constexpr int64_t kDots = 8, kSums = 8;
/// Places that keys and values are read from at once: memory is faster with
/// several streams than with one.
static constexpr int64_t kStreams = 8;

namespace {
class AttentionKernel {
public:
  AttentionKernel(KernelBuilder &b, const KernelSpec &spec, ValueRange args);
  void emit();

private:
  /// A query row: its batch, key head, head and position, and its place in
  /// the state of its block.
  struct Row {
    Value batch, group, head, position, slot;
  };

  void emitRange(Value begin, Value end);
  void emitRows(Value item);
  void emitReset();
  void emitBlock(const Row &row, Value first, Value count);
  void emitLogits(const Row &row, Value first, Value count);
  Value emitMaximum();
  Value emitExponentials(Value base);
  void addValues(const Row &row, Value first, Value count, Value decay);
  void emitResult(const Row &row);
  /// The row at `slot` of the block that begins at row `start` of its key head.
  Row locate(Value batch, Value group, Value start, Value slot);

  /// As many lanes as fit and divide `size`.
  VectorType vectorOf(int64_t size) { return b.vecf(std::gcd(size, lanes)); }
  Value load(Value memref, Value at) { return b.load(memref, at); }
  /// Elements of a row of keys or values as floats, without its step.
  Value loadRow(Value rows, ValueRange at, VectorType type);
  /// The step of key or value row `t`; null where they are no integers.
  Value loadStep(Value rows, const Row &row, Value t, int64_t columns);
  /// Prefetches row `at` of the `count` from `first` on, where these are
  /// walked as kStreams parts side by side.
  void prefetch(Value rows, const Row &row, Value group, Value first,
                Value count, Value at);
  /// Prefetches row `at` of the block of keys behind the one from `first` on,
  /// in the walk over blocks and then heads.
  void prefetchNextKey(const Row &row, Value first, Value at);
  Value negativeInfinity() {
    return b.f32(-std::numeric_limits<float>::infinity());
  }
  Value exponential(Value x) { return math::ExpOp::create(b, x); }
  Value reduce(vector::CombiningKind kind, Value v);

  KernelBuilder &b;
  AttentionSpec spec;
  int64_t lanes;
  bool fused;
  Value query, key, value, mask, output;
  Value queries, keys, groups, perGroup; ///< S, T, G, H / G
  Value groupRows, rowBlocks;            ///< H / G * S, and in blocks
  /// State of a block of rows: logits of a block of keys, and for each row the
  /// sums of values (unscaled), the maximum and the sum of exponentials.
  Value logits, sums, maxima, totals;
};
} // namespace

AttentionKernel::AttentionKernel(KernelBuilder &b, const KernelSpec &kernel,
                                 ValueRange args)
    : b(b), spec(kernel.attention), lanes(kernel.level.getVectorBits() / 32),
      fused(kernel.level.hasFeature("fma")), query(args[0]), key(args[1]),
      value(args[2]), mask(spec.masked ? args[3] : Value()),
      output(args.back()) {
  queries = b.dim(query, 2);
  keys = b.dim(key, 2);
  groups = b.dim(key, 1);
  perGroup = b.div(b.dim(query, 1), groups);
  groupRows = b.mul(perGroup, queries);
  rowBlocks = b.ceilDiv(groupRows, kRows);
}

Value AttentionKernel::reduce(vector::CombiningKind kind, Value v) {
  auto flags = arith::FastMathFlags::reassoc;
  return vector::ReductionOp::create(b, kind, v, flags);
}

Value AttentionKernel::loadRow(Value rows, ValueRange at, VectorType type) {
  if (spec.element.isF32())
    return b.loadVector(rows, at, type);
  int64_t size = type.getNumElements();
  Value narrow = b.loadVector(rows, at, b.vec(size, spec.element));
  if (spec.element.isF16())
    return arith::ExtFOp::create(b, type, narrow);
  return arith::SIToFPOp::create(b, type, b.extend(narrow, b.veci(size, 32)));
}

Value AttentionKernel::loadStep(Value rows, const Row &row, Value t,
                                int64_t columns) {
  if (!spec.element.isInteger(8))
    return {};
  Value step =
      b.loadBytes(rows, {row.batch, row.group, t, b.index(columns)}, b.vecf(1));
  return vector::ExtractOp::create(b, step, 0);
}

void AttentionKernel::prefetch(Value rows, const Row &row, Value group,
                               Value first, Value count, Value at) {
  auto type = cast<MemRefType>(rows.getType());
  Value stride = b.ceilDiv(count, kStreams);
  Value place = b.div(at, b.index(kStreams));
  Value stream = arith::RemUIOp::create(b, at, b.index(kStreams));
  Value t = b.add(first, b.add(place, b.mul(stream, stride)));
  int64_t line = 512 / type.getElementTypeBitWidth();
  for (int64_t column = 0; column < (rows == key ? spec.depth : spec.width);
       column += line)
    b.prefetch(rows, {row.batch, group, t, b.index(column)});
}

void AttentionKernel::prefetchNextKey(const Row &row, Value first, Value at) {
  Value next = b.add(first, kKeys);
  Value more = b.compare(arith::CmpIPredicate::slt, next, keys);
  Value group = b.select(more, row.group, b.add(row.group, 1));
  next = b.select(more, next, b.index(0));
  prefetch(key, row, group, next, b.min(b.sub(keys, next), b.index(kKeys)), at);
}

void AttentionKernel::emit() {
  Value items = b.mul(b.mul(b.dim(query, 0), groups), rowBlocks);
  Value products = b.mul(b.mul(b.min(groupRows, b.index(kRows)), keys),
                         spec.depth + spec.width);
  Value grain = b.add(b.div(b.index(kGrainProducts), b.add(products, 1)), 1);
  b.parallel(items, grain,
             [&](Value begin, Value end) { emitRange(begin, end); });
}

void AttentionKernel::emitRange(Value begin, Value end) {
  Type f32 = b.getF32Type();
  logits = b.stackBuffer({kKeys}, f32);
  sums = b.stackBuffer({kRows, spec.width}, f32);
  maxima = b.stackBuffer({kRows}, f32);
  totals = b.stackBuffer({kRows}, f32);
  b.forLoop(begin, end, 1, [&](Value item) { emitRows(item); });
}

AttentionKernel::Row AttentionKernel::locate(Value batch, Value group,
                                             Value start, Value slot) {
  Value row = b.add(start, slot);
  Value head = b.add(b.mul(group, perGroup), b.div(row, queries));
  Value position = arith::RemUIOp::create(b, row, queries);
  return {batch, group, head, position, slot};
}

void AttentionKernel::emitRows(Value item) {
  Value matrix = b.div(item, rowBlocks);
  Value batch = b.div(matrix, groups);
  Value group = arith::RemUIOp::create(b, matrix, groups);
  Value start = b.mul(arith::RemUIOp::create(b, item, rowBlocks), kRows);
  Value count = b.min(b.index(kRows), b.sub(groupRows, start));
  emitReset();
  b.forLoop(b.index(0), keys, kKeys, [&](Value first) {
    b.forLoop(b.index(0), count, 1, [&](Value slot) {
      Row row = locate(batch, group, start, slot);
      Value end = keys;
      if (spec.causal)
        end = b.add(b.add(b.sub(keys, queries), row.position), 1);
      Value left = b.min(b.sub(end, first), b.index(kKeys));
      b.ifElse(b.compare(arith::CmpIPredicate::sgt, left, b.index(0)),
               [&] { emitBlock(row, first, left); });
    });
  });
  b.forLoop(b.index(0), count, 1,
            [&](Value slot) { emitResult(locate(batch, group, start, slot)); });
}

void AttentionKernel::emitReset() {
  VectorType type = vectorOf(spec.width);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  b.forLoop(b.index(0), b.index(kRows), 1, [&](Value slot) {
    b.store(negativeInfinity(), maxima, slot);
    b.store(b.f32(0.0f), totals, slot);
    b.forLoop(b.index(0), b.index(spec.width), type.getNumElements(),
              [&](Value e) { b.storeVector(zero, sums, {slot, e}); });
  });
}

/// Takes keys [first, first + count) into the state of a row.
void AttentionKernel::emitBlock(const Row &row, Value first, Value count) {
  emitLogits(row, first, count);
  Value before = load(maxima, row.slot);
  Value maximum = arith::MaximumFOp::create(b, before, emitMaximum());
  // Where every logit so far is -inf, exp(-inf - 0) keeps the sums at 0.
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum,
                                     negativeInfinity());
  Value base = b.select(none, b.f32(0.0f), maximum);
  Value decay = exponential(b.sub(before, base));
  Value total = b.multiplyAdd(load(totals, row.slot), decay,
                              emitExponentials(base), fused);
  b.store(maximum, maxima, row.slot);
  b.store(total, totals, row.slot);
  addValues(row, first, count, decay);
}

/// logits[t] = scale * (query row . key row first + t) + mask.
void AttentionKernel::emitLogits(const Row &row, Value first, Value count) {
  VectorType type = vectorOf(spec.depth);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value maskBatch;
  if (mask)
    maskBatch = b.min(row.batch, b.sub(b.dim(mask, 0), b.index(1)));
  Value least = b.splat(negativeInfinity(), lanes);
  b.forLoop(b.index(0), b.index(kKeys), lanes,
            [&](Value t) { b.storeVector(least, logits, t); });
  b.forEachTile(b.index(0), count, {kDots, 1}, [&](int64_t size, Value t) {
    for (int64_t i = 0; i < size; ++i)
      prefetch(value, row, row.group, first, count, b.add(t, i));
    SmallVector<Value> dots = b.forLoop(
        b.index(0), b.index(spec.depth), type.getNumElements(),
        SmallVector<Value>(size, zero), [&](Value d, ValueRange carried) {
          Value q =
              b.loadVector(query, {row.batch, row.head, row.position, d}, type);
          SmallVector<Value> next;
          for (int64_t i = 0; i < size; ++i) {
            Value at = b.add(b.add(first, t), i);
            Value k = loadRow(key, {row.batch, row.group, at, d}, type);
            next.push_back(b.multiplyAdd(q, k, carried[i], fused));
          }
          return next;
        });
    for (int64_t i = 0; i < size; ++i) {
      Value at = b.add(t, i);
      Value factor = b.f32(spec.scale);
      if (Value step = loadStep(key, row, b.add(first, at), spec.depth))
        factor = b.mul(factor, step);
      Value logit = b.mul(factor, reduce(vector::CombiningKind::ADD, dots[i]));
      if (mask)
        logit = b.add(logit, b.load(mask, {maskBatch, b.index(0), row.position,
                                           b.add(first, at)}));
      b.store(logit, logits, at);
    }
  });
}

/// The largest logit of the block; those behind its end are -inf.
Value AttentionKernel::emitMaximum() {
  Value least = b.splat(negativeInfinity(), lanes);
  Value largest =
      b.forLoop(b.index(0), b.index(kKeys), lanes, least,
                [&](Value t, ValueRange carried) {
                  Value x = b.loadVector(logits, t, b.vecf(lanes));
                  return SmallVector<Value>{
                      arith::MaximumFOp::create(b, carried.front(), x)};
                })
          .front();
  return reduce(vector::CombiningKind::MAXIMUMF, largest);
}

/// logits[t] = exp(logits[t] - base); their sum.
Value AttentionKernel::emitExponentials(Value base) {
  VectorType type = b.vecf(lanes);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value bases = b.splat(base, lanes);
  Value sum = b.forLoop(b.index(0), b.index(kKeys), lanes, zero,
                        [&](Value t, ValueRange carried) {
                          Value x = b.loadVector(logits, t, type);
                          Value p = exponential(b.sub(x, bases));
                          b.storeVector(p, logits, t);
                          return SmallVector<Value>{b.add(carried.front(), p)};
                        })
                  .front();
  return reduce(vector::CombiningKind::ADD, sum);
}

/// sums = decay * sums + logits[0, count) . values [first, first + count).
void AttentionKernel::addValues(const Row &row, Value first, Value count,
                                Value decay) {
  VectorType type = vectorOf(spec.width);
  int64_t size = type.getNumElements();
  Value decays = b.splat(decay, size);
  for (int64_t e = 0; e < spec.width; e += kSums * size) {
    SmallVector<Value> columns, inits;
    for (int64_t i = e; i < std::min(e + kSums * size, spec.width); i += size)
      columns.push_back(b.index(i));
    for (Value column : columns)
      inits.push_back(
          b.mul(decays, b.loadVector(sums, {row.slot, column}, type)));
    SmallVector<Value> results = b.forLoop(
        b.index(0), count, 1, inits, [&](Value t, ValueRange carried) {
          Value at = b.add(first, t), factor = load(logits, t);
          if (e == 0)
            prefetchNextKey(row, first, t);
          if (Value step = loadStep(value, row, at, spec.width))
            factor = b.mul(factor, step);
          Value p = b.splat(factor, size);
          SmallVector<Value> next;
          for (auto [column, sum] : llvm::zip(columns, carried)) {
            Value v = loadRow(value, {row.batch, row.group, at, column}, type);
            next.push_back(b.multiplyAdd(p, v, sum, fused));
          }
          return next;
        });
    for (auto [column, sum] : llvm::zip(columns, results))
      b.storeVector(sum, sums, {row.slot, column});
  }
}

/// output = sums / total, or 0 where no key was seen.
void AttentionKernel::emitResult(const Row &row) {
  VectorType type = vectorOf(spec.width);
  int64_t size = type.getNumElements();
  Value total = load(totals, row.slot);
  Value none =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, total, b.f32(0.0f));
  Value divisor = b.splat(b.select(none, b.f32(1.0f), total), size);
  b.forLoop(b.index(0), b.index(spec.width), size, [&](Value e) {
    Value sum = b.loadVector(sums, {row.slot, e}, type);
    b.storeVector(b.div(sum, divisor), output,
                  {row.batch, row.head, row.position, e});
  });
}

void pquant::emitAttention(KernelBuilder &b, const KernelSpec &spec,
                           ValueRange args, KernelGetter) {
  AttentionKernel(b, spec, args).emit();
}
