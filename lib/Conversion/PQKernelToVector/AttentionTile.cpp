//===- AttentionTile.cpp - Attention with a lane for each query row -------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Logits are sums over the depth of a key's element times a vector of 16 query
// elements: nothing is added up across lanes, and the softmax of 16 rows is one
// vector. Slots behind the block's last row see no key.
//
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

using namespace mlir;
using namespace pquant;

void AttentionKernel::emitTile(const RowBlock &rows) {
  Value most = prepareTile(rows);
  b.forLoop(b.index(0), most, kKeys, [&](Value first) {
    Value count = b.min(b.index(kKeys), b.sub(most, first));
    emitTileLogits(rows, first, count);
    if (mask)
      addTileMask(rows, first, count);
    emitTileExponentials(count);
    addTileValues(rows, first, count);
  });
}

Value AttentionKernel::prepareTile(const RowBlock &rows) {
  Value zero = b.index(0);
  Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(b.vecf(kRows)));
  b.forLoop(zero, b.index(spec.depth), 1,
            [&](Value d) { b.storeVector(zeros, tileQueries, {d, zero}); });
  b.storeVector(b.constant(b.veci(kRows, 32), 0), tileLimits, zero);
  return b
      .forLoop(zero, rows.count, 1, zero,
               [&](Value slot, ValueRange most) {
                 Row row = locate(rows, slot);
                 b.forLoop(zero, b.index(spec.depth), 1, [&](Value d) {
                   Value x =
                       b.load(query, {row.batch, row.head, row.position, d});
                   b.store(x, tileQueries, {d, slot});
                 });
                 Value limit = visibleKeys(row);
                 b.store(arith::IndexCastOp::create(b, b.getI32Type(), limit),
                         tileLimits, slot);
                 return SmallVector<Value>{b.max(most.front(), limit)};
               })
      .front();
}

std::pair<Value, SmallVector<Value>>
AttentionKernel::widenKeys(const RowBlock &rows, ArrayRef<Value> at) {
  SmallVector<Value> places(at);
  if (!tileKeys)
    return {key, places};
  VectorType type = vectorOf(spec.depth);
  b.forLoop(
      b.index(0), b.index(spec.depth), type.getNumElements(), [&](Value d) {
        for (auto [i, t] : llvm::enumerate(at))
          b.storeVector(loadRow(key, {rows.batch, rows.group, t, d}, type),
                        tileKeys, {b.index(i), d});
      });
  for (auto [i, place] : llvm::enumerate(places))
    place = b.index(i);
  return {tileKeys, places};
}

/// tileLogits[t] = scale * (query rows . key row first + t), -inf in the lanes
/// of rows that do not see the key.
void AttentionKernel::emitTileLogits(const RowBlock &rows, Value first,
                                     Value count) {
  VectorType type = b.vecf(kRows);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value limits = b.loadVector(tileLimits, b.index(0), b.veci(kRows, 32));
  Value none = b.splat(negativeInfinity(), kRows);
  // A sum takes as many registers as `lanes` is short of a lane for each row.
  int64_t sumsAtOnce = kDots * lanes / kRows;
  b.forEachTile(b.index(0), count, {sumsAtOnce, 1}, [&](int64_t size, Value t) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < size; ++i)
      at.push_back(b.add(b.add(first, t), i));
    auto [source, places] = widenKeys(rows, at);
    SmallVector<Value> dots = b.forLoop(
        b.index(0), b.index(spec.depth), 1, SmallVector<Value>(size, zero),
        [&, source = source, places = places](Value d, ValueRange carried) {
          Value q = b.loadVector(tileQueries, {d, b.index(0)}, type);
          SmallVector<Value> next;
          for (Value place : places) {
            Value x = tileKeys
                          ? b.load(source, {place, d})
                          : b.load(source, {rows.batch, rows.group, place, d});
            next.push_back(b.multiplyAdd(b.splat(x, kRows), q,
                                         carried[next.size()], fused));
          }
          return next;
        });
    for (auto [i, dot] : llvm::enumerate(dots)) {
      Value factor = b.f32(spec.scale);
      if (Value step = loadStep(key, rows.batch, rows.group, at[i], spec.depth))
        factor = b.mul(factor, step);
      Value here = arith::IndexCastOp::create(b, b.getI32Type(), at[i]);
      Value seen =
          b.compare(arith::CmpIPredicate::slt, b.splat(here, kRows), limits);
      Value logit = b.select(seen, b.mul(dot, b.splat(factor, kRows)), none);
      b.storeVector(logit, tileLogits, {b.add(t, i), b.index(0)});
    }
  });
}

void AttentionKernel::addTileMask(const RowBlock &rows, Value first,
                                  Value count) {
  Value batch = maskBatch(rows.batch);
  forEachRow(rows, [&](Row row) {
    b.forLoop(b.index(0), count, 1, [&](Value t) {
      Value term =
          b.load(mask, {batch, b.index(0), row.position, b.add(first, t)});
      Value logit = b.load(tileLogits, {t, row.slot});
      b.store(b.add(logit, term), tileLogits, {t, row.slot});
    });
  });
}

/// tileLogits[t] = exp(tileLogits[t] - maximum); takes the maximum and the sum
/// into the state, and notes what earlier sums are scaled by.
void AttentionKernel::emitTileExponentials(Value count) {
  VectorType type = b.vecf(kRows);
  Value zero = b.index(0);
  auto reduceRows =
      [&](Value init, llvm::function_ref<Value(Value t, Value carried)> body) {
        return b
            .forLoop(zero, count, 1, init,
                     [&](Value t, ValueRange carried) {
                       return SmallVector<Value>{body(t, carried.front())};
                     })
            .front();
      };
  Value before = b.loadVector(maxima, zero, type);
  Value maximum = reduceRows(before, [&](Value t, Value largest) {
    return larger(b.loadVector(tileLogits, {t, zero}, type), largest);
  });
  // Where every logit so far is -inf, exp(-inf - 0) keeps the sums at 0.
  Value none = b.splat(negativeInfinity(), kRows);
  Value floats = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value base = b.select(
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, none),
      floats, maximum);
  Value decay = exponential(b.sub(before, base));
  Value sum = reduceRows(floats, [&](Value t, Value carried) {
    Value logit = b.loadVector(tileLogits, {t, zero}, type);
    Value p = exponential(b.sub(logit, base));
    b.storeVector(p, tileLogits, {t, zero});
    return b.add(carried, p);
  });
  Value total =
      b.multiplyAdd(b.loadVector(totals, zero, type), decay, sum, fused);
  b.storeVector(maximum, maxima, zero);
  b.storeVector(total, totals, zero);
  b.storeVector(decay, tileDecays, zero);
}

void AttentionKernel::addTileValues(const RowBlock &rows, Value first,
                                    Value count) {
  int64_t vectors = spec.width / vectorOf(spec.width).getNumElements();
  int64_t columnsAtOnce = std::min(kSums, vectors);
  // Three quarters of the registers are sums: 32 of 512 bits, or 16.
  int64_t rowsAtOnce = std::max<int64_t>(
      1, std::min<int64_t>(8, (lanes == 16 ? 24 : 12) / columnsAtOnce));
  b.forEachTile(
      b.index(0), rows.count, {rowsAtOnce, 1}, [&](int64_t height, Value slot) {
        accumulateValues(
            locate(rows, slot), height, columnsAtOnce, first, count,
            [&](int64_t i) { return load(tileDecays, b.add(slot, i)); },
            [&](int64_t i, Value t) {
              return b.load(tileLogits, {t, b.add(slot, i)});
            },
            [](Value) {});
      });
}
