//===- AttentionKernel.h - Scaled dot-product attention ---------*- C++ -*-===//
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
// Few rows are taken one by one, with a vector along the depth, or four heads
// of one position together; a block that is at least half full is taken as a
// tile, with a lane for each row.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_ATTENTIONKERNEL_H
#define PQUANT_LIB_CONVERSION_ATTENTIONKERNEL_H

#include "pquant/Conversion/PQKernelToVector.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>
#include <numeric>

namespace pquant {

/// Writes the body of one pqk.attention kernel.
class AttentionKernel {
public:
  AttentionKernel(KernelBuilder &b, const KernelSpec &spec, ValueRange args);
  void emit();

private:
  /// Query rows and keys of a block.
  static constexpr int64_t kRows = 16, kKeys = 64;
  /// Rows of one position that are taken together.
  static constexpr int64_t kHeads = 4;
  /// Keys whose products are summed at once, at most, and vectors of the value
  /// that are.
  static constexpr int64_t kDots = 8, kSums = 8;

  /// A query row: its batch, key head, head and position, and its place in
  /// the state of its block.
  struct Row {
    Value batch, group, head, position, slot;
  };

  /// A block of `count` rows of a key head, from its row `start` on.
  struct RowBlock {
    Value batch, group, start, count;
  };

  void emitRange(Value begin, Value end);
  void emitItem(Value item);
  void emitReset(Value count);
  void emitResult(const Row &row);
  /// sums = decay * sums + factors . values [first, first + count) for `height`
  /// rows from `row` on; `beforeValue` is called for each value once.
  void accumulateValues(const Row &row, int64_t height, int64_t columnsAtOnce,
                        Value first, Value count,
                        llvm::function_ref<Value(int64_t i)> getDecay,
                        llvm::function_ref<Value(int64_t i, Value t)> getFactor,
                        llvm::function_ref<void(Value t)> beforeValue);
  /// The row at `slot` of a block.
  Row locate(const RowBlock &rows, Value slot);
  void forEachRow(const RowBlock &rows, llvm::function_ref<void(Row)> body);
  /// The number of keys that a row sees, from the first one on.
  Value visibleKeys(const Row &row);
  /// The batch of the mask that goes with a batch.
  Value maskBatch(Value batch);

  //===--- Row by row -----------------------------------------------------===//

  void emitRows(const RowBlock &rows);
  void emitBlock(const Row &row, int64_t heads, Value first, Value count);
  void emitLogits(const Row &row, int64_t heads, Value first, Value count);
  Value emitMaximum(Value head);
  Value emitExponentials(Value head, Value base);
  void addValues(const Row &row, int64_t heads, Value first, Value count);
  /// Vectors of sums for each of kHeads rows: half of the registers in all.
  int64_t sumsOfHead() const { return lanes == 16 ? 4 : 2; }

  //===--- A lane for each row --------------------------------------------===//

  void emitTile(const RowBlock &rows);
  /// Transposes the query rows and notes which keys each sees; the most that
  /// one of them sees.
  Value prepareTile(const RowBlock &rows);
  void emitTileLogits(const RowBlock &rows, Value first, Value count);
  /// Keys as floats where they are none; what to read elements from.
  std::pair<Value, SmallVector<Value>> widenKeys(const RowBlock &rows,
                                                 ArrayRef<Value> at);
  void addTileMask(const RowBlock &rows, Value first, Value count);
  void emitTileExponentials(Value count);
  void addTileValues(const RowBlock &rows, Value first, Value count);

  /// As many lanes as fit and divide `size`.
  mlir::VectorType vectorOf(int64_t size) {
    return b.vecf(std::gcd(size, lanes));
  }
  Value load(Value memref, Value at) { return b.load(memref, at); }
  /// Elements of a row of keys or values as floats, without its step.
  Value loadRow(Value rows, ValueRange at, mlir::VectorType type);
  /// The step of key or value row `t`; null where they are no integers.
  Value loadStep(Value rows, Value batch, Value group, Value t,
                 int64_t columns);
  /// Prefetches row `at` of the `count` from `first` on, where these are
  /// walked as kStreams parts side by side.
  void prefetch(Value rows, const Row &row, Value group, Value first,
                Value count, Value at);
  /// Prefetches, while row `at` of the `count` from `first` on is read, its
  /// share of the next block of keys, in the walk over blocks and then heads.
  void prefetchNextKeys(const Row &row, Value first, Value at, Value count);
  Value negativeInfinity() {
    return b.f32(-std::numeric_limits<float>::infinity());
  }
  Value exponential(Value x) { return mlir::math::ExpOp::create(b, x); }
  Value reduce(mlir::vector::CombiningKind kind, Value v);
  /// The larger one, `y` where one is NaN: one instruction. A NaN among logits
  /// still becomes one of the result, by the sum of exponentials.
  Value larger(Value x, Value y);

  KernelBuilder &b;
  AttentionSpec spec;
  int64_t lanes;
  bool fused;
  Value query, key, value, mask, output;
  Value queries, keys, groups, perGroup; ///< S, T, G, H / G
  Value groupRows, rowBlocks;            ///< H / G * S, and in blocks
  /// State of a block of rows: for each row the sums of values (unscaled), the
  /// maximum and the sum of exponentials.
  Value sums, maxima, totals;
  /// Of rows taken together: logits (rows x keys), what earlier sums are
  /// scaled by.
  Value logits, decays;
  /// Of a tile: the query rows transposed (depth x rows), the number of keys
  /// that each sees, logits (keys x rows), what earlier sums are scaled by, and
  /// some keys as floats.
  Value tileQueries, tileLimits, tileLogits, tileDecays, tileKeys;
};

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_ATTENTIONKERNEL_H
