//===- AttentionKernel.cpp - Scaled dot-product attention -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The frame of the kernel, and rows taken one by one.
//
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

using namespace mlir;
using namespace pquant;

/// Products that make a range worth a thread.
static constexpr int64_t kGrainProducts = 1 << 16;
/// Places that keys and values are read from at once: memory is faster with
/// several streams than with one.
static constexpr int64_t kStreams = 8;

AttentionKernel::AttentionKernel(KernelBuilder &b, const KernelSpec &kernel,
                                 ValueRange args)
    : b(b), spec(kernel.attention), lanes(kernel.level.getVectorBits() / 32),
      fused(kernel.level.hasFusedMultiplyAdd()), query(args[0]), key(args[1]),
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

Value AttentionKernel::larger(Value x, Value y) {
  Value isLarger = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
  return b.select(isLarger, x, y);
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

Value AttentionKernel::loadStep(Value rows, Value batch, Value group, Value t,
                                int64_t columns) {
  if (!spec.element.isInteger(8))
    return {};
  Value step =
      b.loadBytes(rows, {batch, group, t, b.index(columns)}, b.vecf(1));
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

void AttentionKernel::prefetchNextKeys(const Row &row, Value first, Value at,
                                       Value count) {
  Value next = b.add(first, kKeys);
  Value more = b.compare(arith::CmpIPredicate::slt, next, keys);
  Value group = b.select(more, row.group, b.add(row.group, 1));
  next = b.select(more, next, b.index(0));
  Value nextCount = b.min(b.sub(keys, next), b.index(kKeys));
  Value share = b.div(b.sub(b.add(nextCount, count), b.index(1)), count);
  Value from = b.mul(at, share);
  b.forLoop(from, b.min(b.add(from, share), nextCount), 1,
            [&](Value i) { prefetch(key, row, group, next, nextCount, i); });
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
  sums = b.stackBuffer({kRows, spec.width}, f32);
  maxima = b.stackBuffer({kRows}, f32);
  totals = b.stackBuffer({kRows}, f32);
  logits = b.stackBuffer({kHeads, kKeys}, f32);
  decays = b.stackBuffer({kHeads}, f32);
  tileQueries = b.stackBuffer({spec.depth, kRows}, f32);
  tileLimits = b.stackBuffer({kRows}, b.getI32Type());
  tileLogits = b.stackBuffer({kKeys, kRows}, f32);
  tileDecays = b.stackBuffer({kRows}, f32);
  if (!spec.element.isF32())
    tileKeys = b.stackBuffer({kDots, spec.depth}, f32);
  b.forLoop(begin, end, 1, [&](Value item) { emitItem(item); });
}

void AttentionKernel::emitItem(Value item) {
  Value matrix = b.div(item, rowBlocks);
  Value start = b.mul(arith::RemUIOp::create(b, item, rowBlocks), kRows);
  RowBlock rows = {b.div(matrix, groups),
                   arith::RemUIOp::create(b, matrix, groups), start,
                   b.min(b.index(kRows), b.sub(groupRows, start))};
  emitReset(rows.count);
  Value many =
      b.compare(arith::CmpIPredicate::sge, rows.count, b.index(kRows / 2));
  b.ifElse(many, [&] { emitTile(rows); }, [&] { emitRows(rows); });
  forEachRow(rows, [&](Row row) { emitResult(row); });
}

AttentionKernel::Row AttentionKernel::locate(const RowBlock &rows, Value slot) {
  Value row = b.add(rows.start, slot);
  Value head = b.add(b.mul(rows.group, perGroup), b.div(row, queries));
  Value position = arith::RemUIOp::create(b, row, queries);
  return {rows.batch, rows.group, head, position, slot};
}

void AttentionKernel::forEachRow(const RowBlock &rows,
                                 llvm::function_ref<void(Row)> body) {
  b.forLoop(b.index(0), rows.count, 1,
            [&](Value slot) { body(locate(rows, slot)); });
}

Value AttentionKernel::visibleKeys(const Row &row) {
  if (!spec.causal)
    return keys;
  return b.add(b.add(b.sub(keys, queries), row.position), 1);
}

Value AttentionKernel::maskBatch(Value batch) {
  return b.min(batch, b.sub(b.dim(mask, 0), b.index(1)));
}

void AttentionKernel::emitReset(Value count) {
  VectorType type = vectorOf(spec.width);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  b.storeVector(b.splat(negativeInfinity(), kRows), maxima, b.index(0));
  b.storeVector(b.splat(b.f32(0.0f), kRows), totals, b.index(0));
  b.forLoop(b.index(0), count, 1, [&](Value slot) {
    b.forLoop(b.index(0), b.index(spec.width), type.getNumElements(),
              [&](Value e) { b.storeVector(zero, sums, {slot, e}); });
  });
}

//===----------------------------------------------------------------------===//
// Row by row
//===----------------------------------------------------------------------===//

void AttentionKernel::emitRows(const RowBlock &rows) {
  // One position of several heads sees the same keys.
  Value onePosition = b.compare(arith::CmpIPredicate::eq, queries, b.index(1));
  Value together =
      b.select(onePosition, b.mul(b.div(rows.count, b.index(kHeads)), kHeads),
               b.index(0));
  b.forLoop(b.index(0), keys, kKeys, [&](Value first) {
    auto take = [&](int64_t heads, Value slot) {
      Row row = locate(rows, slot);
      Value left = b.min(b.sub(visibleKeys(row), first), b.index(kKeys));
      b.ifElse(b.compare(arith::CmpIPredicate::sgt, left, b.index(0)),
               [&] { emitBlock(row, heads, first, left); });
    };
    b.forLoop(b.index(0), together, kHeads,
              [&](Value slot) { take(kHeads, slot); });
    b.forLoop(together, rows.count, 1, [&](Value slot) { take(1, slot); });
  });
}

/// Takes keys [first, first + count) into the state of `heads` rows from `row`
/// on, which have one position.
void AttentionKernel::emitBlock(const Row &row, int64_t heads, Value first,
                                Value count) {
  emitLogits(row, heads, first, count);
  b.forLoop(b.index(0), b.index(heads), 1, [&](Value head) {
    Value slot = b.add(row.slot, head);
    Value before = load(maxima, slot);
    Value maximum = arith::MaximumFOp::create(b, before, emitMaximum(head));
    // Where every logit so far is -inf, exp(-inf - 0) keeps the sums at 0.
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum,
                                       negativeInfinity());
    Value base = b.select(none, b.f32(0.0f), maximum);
    Value decay = exponential(b.sub(before, base));
    Value total = b.multiplyAdd(load(totals, slot), decay,
                                emitExponentials(head, base), fused);
    b.store(maximum, maxima, slot);
    b.store(total, totals, slot);
    b.store(decay, decays, head);
  });
  addValues(row, heads, first, count);
}

/// logits[h][t] = scale * (query row h . key row first + t) + mask.
void AttentionKernel::emitLogits(const Row &row, int64_t heads, Value first,
                                 Value count) {
  VectorType type = vectorOf(spec.depth);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value batch = mask ? maskBatch(row.batch) : Value();
  Value least = b.splat(negativeInfinity(), lanes);
  for (int64_t h = 0; h < heads; ++h)
    b.forLoop(b.index(0), b.index(kKeys), lanes,
              [&](Value t) { b.storeVector(least, logits, {b.index(h), t}); });
  int64_t keysAtOnce = heads == 1 ? kDots : sumsOfHead();
  b.forEachTile(b.index(0), count, {keysAtOnce, 1}, [&](int64_t size, Value t) {
    for (int64_t i = 0; i < size; ++i)
      prefetch(value, row, row.group, first, count, b.add(t, i));
    SmallVector<Value> dots = b.forLoop(
        b.index(0), b.index(spec.depth), type.getNumElements(),
        SmallVector<Value>(size * heads, zero),
        [&](Value d, ValueRange carried) {
          SmallVector<Value> queryRows, next;
          for (int64_t h = 0; h < heads; ++h)
            queryRows.push_back(b.loadVector(
                query, {row.batch, b.add(row.head, h), row.position, d}, type));
          for (int64_t i = 0; i < size; ++i) {
            Value at = b.add(b.add(first, t), i);
            Value k = loadRow(key, {row.batch, row.group, at, d}, type);
            for (Value q : queryRows)
              next.push_back(b.multiplyAdd(q, k, carried[next.size()], fused));
          }
          return next;
        });
    for (int64_t i = 0; i < size; ++i) {
      Value at = b.add(t, i);
      Value factor = b.f32(spec.scale);
      if (Value step =
              loadStep(key, row.batch, row.group, b.add(first, at), spec.depth))
        factor = b.mul(factor, step);
      for (int64_t h = 0; h < heads; ++h) {
        Value dot = reduce(vector::CombiningKind::ADD, dots[i * heads + h]);
        Value logit = b.mul(factor, dot);
        if (mask)
          logit = b.add(logit, b.load(mask, {batch, b.index(0), row.position,
                                             b.add(first, at)}));
        b.store(logit, logits, {b.index(h), at});
      }
    }
  });
}

/// The largest logit of a row's block; those behind its end are -inf.
Value AttentionKernel::emitMaximum(Value head) {
  Value least = b.splat(negativeInfinity(), lanes);
  Value largest =
      b.forLoop(b.index(0), b.index(kKeys), lanes, least,
                [&](Value t, ValueRange carried) {
                  Value x = b.loadVector(logits, {head, t}, b.vecf(lanes));
                  return SmallVector<Value>{larger(x, carried.front())};
                })
          .front();
  return reduce(vector::CombiningKind::MAXIMUMF, largest);
}

/// logits[h][t] = exp(logits[h][t] - base); their sum.
Value AttentionKernel::emitExponentials(Value head, Value base) {
  VectorType type = b.vecf(lanes);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value bases = b.splat(base, lanes);
  Value sum = b.forLoop(b.index(0), b.index(kKeys), lanes, zero,
                        [&](Value t, ValueRange carried) {
                          Value x = b.loadVector(logits, {head, t}, type);
                          Value p = exponential(b.sub(x, bases));
                          b.storeVector(p, logits, {head, t});
                          return SmallVector<Value>{b.add(carried.front(), p)};
                        })
                  .front();
  return reduce(vector::CombiningKind::ADD, sum);
}

void AttentionKernel::addValues(const Row &row, int64_t heads, Value first,
                                Value count) {
  accumulateValues(
      row, heads, heads == 1 ? kSums : sumsOfHead(), first, count,
      [&](int64_t h) { return load(decays, b.index(h)); },
      [&](int64_t h, Value t) { return b.load(logits, {b.index(h), t}); },
      [&](Value t) { prefetchNextKeys(row, first, t, count); });
}

void AttentionKernel::accumulateValues(
    const Row &row, int64_t height, int64_t columnsAtOnce, Value first,
    Value count, llvm::function_ref<Value(int64_t)> getDecay,
    llvm::function_ref<Value(int64_t, Value)> getFactor,
    llvm::function_ref<void(Value)> beforeValue) {
  VectorType type = vectorOf(spec.width);
  int64_t size = type.getNumElements(), step = size * columnsAtOnce;
  for (int64_t e = 0; e < spec.width; e += step) {
    SmallVector<Value> columns, inits;
    for (int64_t i = e; i < std::min(e + step, spec.width); i += size)
      columns.push_back(b.index(i));
    for (int64_t i = 0; i < height; ++i) {
      Value decay = b.splat(getDecay(i), size);
      for (Value column : columns)
        inits.push_back(b.mul(
            decay, b.loadVector(sums, {b.add(row.slot, i), column}, type)));
    }
    SmallVector<Value> results = b.forLoop(
        b.index(0), count, 1, inits, [&](Value t, ValueRange carried) {
          Value at = b.add(first, t);
          if (e == 0)
            beforeValue(t);
          Value valueStep =
              loadStep(value, row.batch, row.group, at, spec.width);
          SmallVector<Value> values, next;
          for (Value column : columns)
            values.push_back(
                loadRow(value, {row.batch, row.group, at, column}, type));
          for (int64_t i = 0; i < height; ++i) {
            Value factor = getFactor(i, t);
            if (valueStep)
              factor = b.mul(factor, valueStep);
            factor = b.splat(factor, size);
            for (Value v : values)
              next.push_back(
                  b.multiplyAdd(factor, v, carried[next.size()], fused));
          }
          return next;
        });
    for (int64_t i = 0, n = columns.size(); i < height; ++i)
      for (int64_t j = 0; j < n; ++j)
        b.storeVector(results[i * n + j], sums,
                      {b.add(row.slot, i), columns[j]});
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
