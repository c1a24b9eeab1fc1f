//===- BinaryNVVM.cpp - 1-bit matrix-vector kernels of a GPU --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// With b1 tensor cores, a tile of 16 rows by 256 weight bits meets the eight
// bit planes of a row of activations as its eight columns, so that weights are
// never unpacked: with C_p the count of ones of plane p under the +1 weights,
// plus = sum_p 2^p C_p - 256 C_7, since bit 7 of a byte counts -128. C_p is at
// most K, so |plus| <= 128 K, which fits i32 for K < 2^24.
//
// Without them, a nibble of weights becomes four bytes of 0 or 1 for dp4a.
// Either way y = 2 plus - sum (docs/Layout.md, 2.6).
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "pquant/Layout/B16x256.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static constexpr int64_t kTileColumns = layout::b16x256Columns;
static constexpr int64_t kTileBytes = layout::b16x256TileBytes;
/// Bytes of the planes of a tile's columns; those of all columns are in shared
/// memory, which holds 48 KB for any kernel.
static constexpr int64_t kPlaneBytes = kTileColumns;
static constexpr int64_t kSharedBytes = 47 * 1024;
/// Row tiles of a block, at most.
static constexpr int64_t kMostTiles = 12;
/// Two blocks of so many fit a multiprocessor, with 64 registers a thread:
/// while one computes, that of the kernel behind it loads its weights. With
/// several rows there is more to compute.
static constexpr int64_t kMostWarps = 16, kMostWarpsOfRows = 32;
/// Tiles that a warp loads before the activations are there, of four of these
/// registers each; fewer where it has sums of several rows.
static constexpr int64_t kPrefetched = 10, kPrefetchedOfRows = 6;
/// Rows that meet the weights at a time, at most.
static constexpr int64_t kMostRows = 2;

namespace {
/// A block for each multiprocessor, so that few blocks transpose the
/// activations: `tiles` row tiles, `groups` of them at a time, the columns of
/// each shared by `split` warps. The weights are loaded once for all rows of
/// activations, which come `rows` at a time.
struct BitGemv {
  const Linear &linear;
  int64_t depth; ///< tiles along K
  int64_t tiles, split, groups, rows;

  BitGemv(const Linear &linear);
  /// Whether the planes and the sums of a row fit into shared memory.
  bool fits() const { return bytesOfRow() <= kSharedBytes; }
  void emit(OpBuilder &builder);

private:
  bool isOneRow() const {
    return cast<MemRefType>(linear.input.getType()).getDimSize(0) == 1;
  }
  int64_t prefetched() const {
    return isOneRow() ? kPrefetched : kPrefetchedOfRows;
  }
  int64_t mostWarps() const {
    return isOneRow() ? kMostWarps : kMostWarpsOfRows;
  }
  int64_t threads() const { return kWarp * split * groups; }
  int64_t bytesOfRow() const {
    return depth * kPlaneBytes + tiles * split * kBlockRows * 4;
  }
  /// Row tiles and column tiles of a warp.
  int64_t ownTiles() const { return llvm::divideCeil(tiles, groups); }
  int64_t ownColumns() const { return llvm::divideCeil(depth, split); }
  void chooseShape();

  /// Those of row m, as the `r`-th of the rows that come together.
  void storePlanes(KernelBuilder &b, const GPUBlock &block, Value m, int64_t r);
  Value transposeBits(KernelBuilder &b, Value bytes);
  void emitBlock(KernelBuilder &b, const GPUBlock &block);
  /// The weights of the warp's `i`-th row tile and `j`-th column tile, 0 where
  /// there is none.
  SmallVector<Value> loadTile(KernelBuilder &b, const GPUBlock &block,
                              const Lane &at, int64_t i, int64_t j);
  Value columnTile(KernelBuilder &b, const Lane &at, int64_t j);
  SmallVector<Value> loadPlanes(KernelBuilder &b, const GPUBlock &block,
                                const Lane &at, int64_t r, int64_t j);
  void storeSums(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                 int64_t r, int64_t i, ValueRange acc);
  /// `rows` rows from `first` on, by what the block has loaded of the weights.
  void emitRows(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                ArrayRef<SmallVector<Value>> weights, Value weightScale,
                Value first);
};
} // namespace

/// Warps for `tiles`, so that the busiest one has least to do: a step for each
/// tile, three for the sums of each row tile, and two more where weights are
/// loaded late.
void BitGemv::chooseShape() {
  int64_t best = INT64_MAX;
  for (int64_t s = 1; s <= std::min(mostWarps(), depth); ++s)
    for (int64_t g = 1; g <= std::min(tiles, mostWarps() / s); ++g) {
      int64_t sums = llvm::divideCeil(tiles, g);
      int64_t steps = sums * llvm::divideCeil(depth, s);
      int64_t late = std::max<int64_t>(0, steps - prefetched());
      int64_t cost = (steps + 3 * sums + 2 * late) * (mostWarps() + 1) + s * g;
      // A thread for each output.
      if (cost >= best || s * g * kWarp < tiles * kBlockRows)
        continue;
      best = cost;
      split = s;
      groups = g;
    }
}

BitGemv::BitGemv(const Linear &linear)
    : linear(linear), depth(llvm::divideCeil(linear.columns, kTileColumns)),
      tiles(1), split(1), groups(1), rows(1) {
  int64_t outputs = cast<MemRefType>(linear.output.getType()).getDimSize(1);
  if (!ShapedType::isDynamic(outputs))
    tiles =
        std::min(kMostTiles,
                 int64_t(llvm::divideCeil(llvm::divideCeil(outputs, kBlockRows),
                                          kMultiprocessors)));
  chooseShape();
  while (!fits() && tiles > 1) {
    --tiles;
    chooseShape();
  }
  if (!isOneRow())
    rows = std::clamp<int64_t>(kSharedBytes / bytesOfRow(), 1, kMostRows);
}

/// Byte i, bit j of the result is byte j, bit i of `bytes`: 8 x 8 bits in an
/// i64, by exchanging blocks of 1, 2 and 4 (Hacker's Delight, 7-3).
Value BitGemv::transposeBits(KernelBuilder &b, Value bytes) {
  constexpr std::pair<int64_t, int64_t> steps[] = {{7, 0x00AA00AA00AA00AA},
                                                   {14, 0x0000CCCC0000CCCC},
                                                   {28, 0x00000000F0F0F0F0}};
  Value x = bytes;
  for (auto [shift, mask] : steps) {
    Value t = b.bitAnd(b.bitXor(x, b.shiftRightLogical(x, shift)),
                       b.constant(b.getI64Type(), mask));
    x = b.bitXor(x, b.bitXor(t, b.shiftLeft(t, shift)));
  }
  return x;
}

/// Shared byte ((k 32 + lane) 2 + half) 4 + j of tile k: plane lane / 4 of the
/// columns 32 (lane % 4) + 128 half + 8 j and the seven behind.
void BitGemv::storePlanes(KernelBuilder &b, const GPUBlock &block, Value m,
                          int64_t r) {
  Value groups = b.index(depth * kTileColumns / 8);
  Value padded = b.index(linear.paddedColumns);
  b.forLoop(block.thread, groups, threads(), [&](Value group) {
    Value column = b.mul(group, 8);
    Value inside = b.compare(arith::CmpIPredicate::ult, column, padded);
    Value from = b.select(inside, column, b.index(0));
    SmallVector<Value> words = loadWords(b, linear.input, {m, from}, 2);
    Value low = arith::ExtUIOp::create(b, b.getI64Type(), words[0]);
    Value high = arith::ExtUIOp::create(b, b.getI64Type(), words[1]);
    Value bytes = b.bitOr(low, b.shiftLeft(high, 32));
    bytes = b.select(inside, bytes, b.constant(b.getI64Type(), 0));
    Value planes = transposeBits(b, bytes);
    // The bits of `group`, from below: j, quad, half, tile.
    auto bits = [&](int64_t first, int64_t count) {
      return arith::RemUIOp::create(
          b, arith::DivUIOp::create(b, group, b.index(int64_t(1) << first)),
          b.index(int64_t(1) << count));
    };
    Value tile = arith::DivUIOp::create(b, group, b.index(32));
    Value place = b.add(b.mul(tile, kPlaneBytes), b.mul(bits(2, 2), 8));
    place = b.add(b.add(place, b.mul(bits(4, 1), 4)), bits(0, 2));
    if (r)
      place = b.add(place, r * depth * kPlaneBytes);
    for (int64_t plane = 0; plane < 8; ++plane)
      b.store(b.truncate(b.shiftRightLogical(planes, 8 * plane), b.getI8Type()),
              block.shared[0], b.add(place, 32 * plane));
  });
}

Value BitGemv::columnTile(KernelBuilder &b, const Lane &at, int64_t j) {
  Value part = arith::RemUIOp::create(b, at.warp, b.index(split));
  Value k = b.add(part, j * split);
  if ((j + 1) * split <= depth)
    return k;
  return arith::MinUIOp::create(b, k, b.index(depth - 1));
}

SmallVector<Value> BitGemv::loadTile(KernelBuilder &b, const GPUBlock &block,
                                     const Lane &at, int64_t i, int64_t j) {
  Value group = arith::DivUIOp::create(b, at.warp, b.index(split));
  Value tile = b.add(b.add(b.mul(block.x, tiles), group), i * groups);
  tile = arith::MinUIOp::create(b, tile, b.sub(linear.tiles, b.index(1)));
  Value place = b.add(b.mul(tile, depth), columnTile(b, at, j));
  SmallVector<Value> words = loadWords(
      b, linear.weight, b.add(b.mul(place, kTileBytes), b.mul(at.lane, 16)), 4);
  if ((j + 1) * split <= depth)
    return words;
  Value part = arith::RemUIOp::create(b, at.warp, b.index(split));
  Value inside =
      b.compare(arith::CmpIPredicate::ult, part, b.index(depth - j * split));
  for (Value &word : words)
    word = b.select(inside, word, b.constant(b.getI32Type(), 0));
  return words;
}

SmallVector<Value> BitGemv::loadPlanes(KernelBuilder &b, const GPUBlock &block,
                                       const Lane &at, int64_t r, int64_t j) {
  Value place =
      b.add(b.mul(columnTile(b, at, j), kPlaneBytes), b.mul(at.lane, 8));
  if (r)
    place = b.add(place, r * depth * kPlaneBytes);
  return loadWords(b, block.shared[0], place, 2);
}

/// shared[1][tile, part] = the warp's sums of 16 rows of weights.
void BitGemv::storeSums(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                        int64_t r, int64_t i, ValueRange acc) {
  // A lane has planes 2 quad and 2 quad + 1 of rows lane / 4 and 8 below.
  Type i32 = b.getI32Type();
  Value quad = arith::IndexCastOp::create(b, i32, at.quad);
  Value low = arith::ShLIOp::create(b, b.constant(i32, 1), b.add(quad, quad));
  Value isSign = b.compare(arith::CmpIPredicate::eq, at.quad, b.index(3));
  Value high = b.select(isSign, b.constant(i32, -128), b.add(low, low));
  Value part = arith::RemUIOp::create(b, at.warp, b.index(split));
  Value tile =
      b.add(arith::DivUIOp::create(b, at.warp, b.index(split)), i * groups);
  SmallVector<Value> sums;
  for (int64_t half = 0; half < 2; ++half) {
    Value plus =
        b.add(b.mul(acc[2 * half], low), b.mul(acc[2 * half + 1], high));
    sums.push_back(shuffleReduce(
        b, plus, 1, 4, [&](Value x, Value y) { return b.add(x, y); }));
  }
  Value stores = b.compare(arith::CmpIPredicate::eq, at.quad, b.index(0));
  if ((i + 1) * groups > tiles)
    stores = b.bitAnd(
        stores, b.compare(arith::CmpIPredicate::ult, tile, b.index(tiles)));
  b.ifElse(stores, [&] {
    for (int64_t half = 0; half < 2; ++half)
      b.store(
          sums[half], block.shared[1],
          {r ? b.add(tile, r * tiles) : tile, part, b.add(at.row, 8 * half)});
  });
}

void BitGemv::emitRows(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                       ArrayRef<SmallVector<Value>> weights, Value weightScale,
                       Value first) {
  Value n = b.add(b.mul(block.x, tiles * kBlockRows), block.thread);
  Value last = b.sub(linear.rows, b.index(1));
  SmallVector<Value> m, scale, sum, before;
  for (int64_t r = 0; r < rows; ++r) {
    m.push_back(r ? arith::MinUIOp::create(b, b.add(first, r), last) : first);
    scale.push_back(b.load(linear.scale, m[r]));
    sum.push_back(b.load(linear.sum, m[r]));
    before.push_back(loadBefore(b, linear, m[r], n));
  }
  for (int64_t r = 0; r < rows; ++r)
    storePlanes(b, block, m[r], r);
  gpu::BarrierOp::create(b);
  Value zero = b.constant(b.getI32Type(), 0);
  SmallVector<SmallVector<Value>> acc(rows);
  size_t unit = 0;
  for (int64_t i = 0; i < ownTiles(); ++i) {
    for (SmallVector<Value> &sums : acc)
      sums.assign(4, zero);
    for (int64_t j = 0; j < ownColumns(); ++j, ++unit) {
      SmallVector<Value> tile =
          unit < weights.size() ? weights[unit] : loadTile(b, block, at, i, j);
      for (int64_t r = 0; r < rows; ++r)
        acc[r] = mmaBits(b, tile, loadPlanes(b, block, at, r, j), acc[r]);
    }
    for (int64_t r = 0; r < rows; ++r)
      storeSums(b, block, at, r, i, acc[r]);
  }
  gpu::BarrierOp::create(b);
  Value ours = b.compare(arith::CmpIPredicate::ult, block.thread,
                         b.index(tiles * kBlockRows));
  b.ifElse(ours, [&] {
    Value tile = arith::DivUIOp::create(b, block.thread, b.index(kBlockRows));
    Value row = arith::RemUIOp::create(b, block.thread, b.index(kBlockRows));
    for (int64_t r = 0; r < rows; ++r) {
      // A row that is not there is the last one, which gets the same again;
      // where it adds to what was there, only once.
      Value plus = zero;
      for (int64_t part = 0; part < split; ++part)
        plus = b.add(plus, b.load(block.shared[1], {b.add(tile, r * tiles),
                                                    b.index(part), row}));
      storeResult(b, linear, m[r], n, b.sub(b.add(plus, plus), sum[r]),
                  b.mul(scale[r], weightScale), before[r]);
    }
  });
}

void BitGemv::emitBlock(KernelBuilder &b, const GPUBlock &block) {
  Lane at(b, block.thread);
  // Weights first: they do not wait for the activations.
  SmallVector<SmallVector<Value>> weights;
  for (int64_t unit = 0, end = ownTiles() * ownColumns();
       unit < std::min(prefetched(), end); ++unit)
    weights.push_back(
        loadTile(b, block, at, unit / ownColumns(), unit % ownColumns()));
  Value n = b.add(b.mul(block.x, tiles * kBlockRows), block.thread);
  Value weightScale = loadWeightScale(b, linear, b.index(0), n);
  waitForKernels(b);
  if (rows == 1)
    return emitRows(b, block, at, weights, weightScale, block.y);
  // What a round reads of shared memory, it has read before a barrier of the
  // next one behind which that is written.
  b.forLoop(b.index(0), linear.rows, rows, [&](Value first) {
    emitRows(b, block, at, weights, weightScale, first);
  });
}

void BitGemv::emit(OpBuilder &builder) {
  KernelBuilder b(linear.loc, builder);
  Value blocks = b.ceilDiv(linear.tiles, tiles);
  buildLaunch(
      builder, linear.loc,
      {blocks, rows == 1 ? linear.rows : Value(b.index(1))}, threads(),
      {getSharedType({rows * depth * kPlaneBytes}, b.getI8Type()),
       getSharedType({rows * tiles, split, kBlockRows}, b.getI32Type())},
      [&](KernelBuilder &b, const GPUBlock &block) { emitBlock(b, block); });
}

/// Four bytes of 0 or 1: nibble `i` of a word of weights.
static Value spreadNibble(KernelBuilder &b, Value word, int64_t i) {
  Type i32 = b.getI32Type();
  Value nibble =
      b.bitAnd(b.shiftRightLogical(word, 4 * i), b.constant(i32, 15));
  return b.bitAnd(b.mul(nibble, b.constant(i32, 0x00204081)),
                  b.constant(i32, 0x01010101));
}

/// A warp for a row tile: each lane has words of two rows and 64 columns.
static void emitDotWarp(KernelBuilder &b, const GPUBlock &block,
                        const Linear &linear) {
  Lane at(b, block.thread);
  Type i32 = b.getI32Type();
  int64_t depth = llvm::divideCeil(linear.columns, kTileColumns);
  Value tile = b.add(b.mul(block.x, kWarps), at.warp);
  Value clamped =
      arith::MinUIOp::create(b, tile, b.sub(linear.tiles, b.index(1)));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), b.index(depth), 1, SmallVector<Value>(2, b.constant(i32, 0)),
      [&](Value k, ValueRange carried) {
        SmallVector<Value> acc(carried);
        Value place = b.add(b.mul(b.add(b.mul(clamped, depth), k), kTileBytes),
                            b.mul(at.lane, 16));
        SmallVector<Value> words = loadWords(b, linear.weight, place, 4);
        for (int64_t half = 0; half < 2; ++half) {
          Value column = b.add(b.add(b.mul(k, kTileColumns), 128 * half),
                               b.mul(at.quad, 32));
          // Padding has no weights, so any activation will do.
          Value inside = b.compare(arith::CmpIPredicate::ult, column,
                                   b.index(linear.paddedColumns));
          column = b.select(inside, column, b.index(0));
          for (int64_t i = 0; i < 8; ++i) {
            Value x = loadWords(b, linear.input,
                                {block.y, b.add(column, 4 * i)}, 1)[0];
            for (int64_t row = 0; row < 2; ++row)
              acc[row] = dot4(b, x, spreadNibble(b, words[2 * half + row], i),
                              acc[row]);
          }
        }
        return acc;
      });
  for (int64_t half = 0; half < 2; ++half) {
    Value plus = shuffleReduce(b, sums[half], 1, 4,
                               [&](Value x, Value y) { return b.add(x, y); });
    b.ifElse(b.compare(arith::CmpIPredicate::eq, at.quad, b.index(0)), [&] {
      Value n = b.add(b.add(b.mul(tile, kBlockRows), at.row), 8 * half);
      Value acc = b.sub(b.add(plus, plus), b.load(linear.sum, block.y));
      storeResult(b, linear, block.y, n, acc,
                  loadFactor(b, linear, block.y, n));
    });
  }
}

static void emitDotGemv(OpBuilder &builder, const Linear &linear) {
  KernelBuilder b(linear.loc, builder);
  buildLaunch(builder, linear.loc,
              {b.ceilDiv(linear.tiles, kWarps), linear.rows}, kThreads, {},
              [&](KernelBuilder &b, const GPUBlock &block) {
                emitDotWarp(b, block, linear);
              });
}

void pquant::nvvm::emitBinaryDot(OpBuilder &builder, Operation *op) {
  emitDotGemv(builder, Linear(builder, op));
}

void pquant::nvvm::emitBinaryMma(OpBuilder &builder, Operation *op) {
  Linear linear(builder, op);
  emitByRows(
      builder, linear,
      [&](OpBuilder &inner) {
        BitGemv gemv(linear);
        if (!gemv.fits())
          return emitDotGemv(inner, linear);
        gemv.emit(inner);
      },
      [&](OpBuilder &inner) { emitBinaryGemm(inner, linear); });
}
