//===- BinaryAVX2.cpp - 1-bit kernels with 256-bit vectors ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As the AVX-512 kernels on half lines, 8 rows x 32 columns. Without vpdpbusd,
// sums grow in 8 and 16 bits and move to wider lanes before they can overflow;
// the bounds are at each kernel.
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"

using namespace mlir;
using namespace pquant;

/// Columns of a panel: between two additions to 32 bits.
static constexpr int64_t kPanelColumns = 256;
/// Columns between two additions of the look-up's sums to 32 bits.
static constexpr int64_t kLookupColumns = 8192;

static VectorType halfType(KernelBuilder &b) { return b.veci(32, 8); }

/// u8 times s8, adjacent products added, 16 bits.
static Value emitMaddBytes(KernelBuilder &b, Value u8, Value s8) {
  return b.intrinsic("llvm.x86.avx2.pmadd.ub.sw", b.veci(16, 16),
                     {b.bitcast(u8, halfType(b)), b.bitcast(s8, halfType(b))});
}

/// Adjacent 16-bit lanes added to 32 bits.
static Value emitWiden(KernelBuilder &b, Value pairs) {
  return b.intrinsic("llvm.x86.avx2.pmadd.wd", b.veci(8, 32),
                     {pairs, b.constant(b.veci(16, 16), 1)});
}

static Value concatenate(KernelBuilder &b, Value low, Value high) {
  return b.shuffle(low, high, llvm::to_vector(llvm::seq<int64_t>(0, 16)));
}

//===----------------------------------------------------------------------===//
// Matrix-vector
//===----------------------------------------------------------------------===//
//
// Table look-up as in the AVX-512 kernel, but vpshufb has one 16-entry table
// for all bytes: the bytes of 32 rows (two blocks) are first transposed, so
// that a vector holds the same byte of each row. Of the eight nibbles of a
// row's word, each adds two numbers of 5 bits (lo and hi of the biased sum): 8
// * 31 = 248 fits a byte. The bytes are added to 16 bits line by line: 256
// lines are at most 63488.
//
// Scratch of 32 columns, 256 bytes: for byte i and nibble h, lo and hi.

/// The 16 biased sums of four activations, two activations a vpmaddubsw.
static void emitTables(KernelBuilder &b, const LinearArgs &args, Value m,
                       Value scratch) {
  VectorType sums = b.veci(16, 16), bytes = b.veci(16, 8);
  SmallVector<Value> patterns;
  for (int64_t pair = 0; pair < 2; ++pair) {
    SmallVector<int64_t> bits;
    for (int64_t n = 0; n < 16; ++n)
      for (int64_t j = 0; j < 2; ++j)
        bits.push_back((n >> (2 * pair + j)) & 1);
    patterns.push_back(b.laneConstant(halfType(b), bits));
  }
  Value low = b.constant(sums, 31);
  b.forLoop(b.index(0), args.columns, 4, [&](Value k) {
    Value sum = b.constant(sums, 512);
    for (int64_t pair = 0; pair < 2; ++pair) {
      Value x = b.broadcastWord(args.input, {m, b.add(k, 2 * pair)}, 16, 16);
      sum = b.add(sum, emitMaddBytes(b, patterns[pair], x));
    }
    Value at = b.mul(k, 8);
    b.storeVector(b.truncate(b.bitAnd(sum, low), bytes), scratch, at);
    b.storeVector(b.truncate(b.shiftRightLogical(sum, 5), bytes), scratch,
                  b.add(at, 16));
  });
}

/// Four half lines (8 rows x 4 bytes) to four vectors of byte i of 32 rows. Row
/// 8h + 4l + r of block c lands in byte 16l + 8c + 4h + r.
static SmallVector<Value> emitTranspose(KernelBuilder &b,
                                        ArrayRef<Value> halves) {
  SmallVector<int64_t> gather;
  for (int64_t lane = 0; lane < 2; ++lane)
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t r = 0; r < 4; ++r)
        gather.push_back(16 * lane + 4 * r + i);
  SmallVector<Value> words;
  for (Value half : halves)
    words.push_back(b.bitcast(b.shuffle(half, half, gather), b.veci(8, 32)));
  static constexpr int64_t words01[] = {0, 8, 1, 9, 4, 12, 5, 13};
  static constexpr int64_t words23[] = {2, 10, 3, 11, 6, 14, 7, 15};
  static constexpr int64_t even[] = {0, 4, 2, 6}, odd[] = {1, 5, 3, 7};
  SmallVector<Value> bytes;
  for (ArrayRef<int64_t> pick : {ArrayRef(words01), ArrayRef(words23)}) {
    VectorType pairs = b.veci(4, 64);
    Value first = b.bitcast(b.shuffle(words[0], words[1], pick), pairs);
    Value second = b.bitcast(b.shuffle(words[2], words[3], pick), pairs);
    for (ArrayRef<int64_t> half : {ArrayRef(even), ArrayRef(odd)})
      bytes.push_back(b.bitcast(b.shuffle(first, second, half), halfType(b)));
  }
  return bytes;
}

/// The sums of lo and of hi, bytes, of 32 columns of 32 rows.
static std::pair<Value, Value> emitLookups(KernelBuilder &b, Value scratch,
                                           Value k, ArrayRef<Value> bytes) {
  Value nibble = b.constant(halfType(b), 15);
  SmallVector<int64_t> twice;
  for (int64_t i = 0; i < 32; ++i)
    twice.push_back(i % 16);
  Value sums[2];
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t h = 0; h < 2; ++h) {
      Value shifted = b.bitcast(
          b.shiftRightLogical(b.bitcast(bytes[i], b.veci(16, 16)), 4 * h),
          halfType(b));
      Value index = b.bitAnd(shifted, nibble);
      for (int64_t part = 0; part < 2; ++part) {
        Value at = b.add(b.mul(k, 8), 64 * i + 32 * h + 16 * part);
        Value table = b.loadVector(scratch, at, b.veci(16, 8));
        Value found = b.intrinsic("llvm.x86.avx2.pshuf.b", halfType(b),
                                  {b.shuffle(table, table, twice), index});
        sums[part] = sums[part] ? b.add(sums[part], found) : found;
      }
    }
  return {sums[0], sums[1]};
}

/// lo + 32 hi of columns [k0, to) of 32 rows: the even bytes' rows and the odd
/// bytes' rows.
static std::pair<Value, Value>
emitColumns(KernelBuilder &b, const LinearArgs &args, Value scratch,
            ArrayRef<Value> offsets, Value k0, Value to) {
  VectorType wide = b.veci(16, 16), sumType = b.veci(16, 32);
  SmallVector<Value> init(4, b.constant(wide, 0));
  SmallVector<Value> sums =
      b.forLoop(k0, to, 32, init, [&](Value k, ValueRange acc) {
        SmallVector<Value> halves;
        for (Value offset : offsets) {
          Value at = b.add(offset, b.mul(k, 2));
          b.prefetch(args.weight, b.add(at, x86::kPrefetchBytes));
          halves.push_back(b.loadVector(args.weight, at, halfType(b)));
          halves.push_back(
              b.loadVector(args.weight, b.add(at, 32), halfType(b)));
        }
        auto [lo, hi] = emitLookups(b, scratch, k, emitTranspose(b, halves));
        Value even = b.constant(wide, 255);
        SmallVector<Value> next;
        for (Value bytes : {lo, hi}) {
          Value pairs = b.bitcast(bytes, wide);
          next.push_back(b.add(acc[next.size()], b.bitAnd(pairs, even)));
          next.push_back(
              b.add(acc[next.size()], b.shiftRightLogical(pairs, 8)));
        }
        return next;
      });
  auto combine = [&](Value lo, Value hi) -> Value {
    Value low = arith::ExtUIOp::create(b, sumType, lo);
    Value high = arith::ExtUIOp::create(b, sumType, hi);
    return b.add(low, b.shiftLeft(high, 5));
  };
  return {combine(sums[0], sums[2]), combine(sums[1], sums[3])};
}

/// Two blocks; one block alone is read twice and counted once.
static SmallVector<Value> emitLookupDot(KernelBuilder &b,
                                        const LinearArgs &args, Value scratch,
                                        ArrayRef<Value> blocks) {
  SmallVector<Value> offsets;
  for (Value block : {blocks.front(), blocks.back()})
    offsets.push_back(b.mul(b.mul(block, args.columns), 2));
  Value bias =
      arith::IndexCastOp::create(b, b.getI32Type(), b.mul(args.columns, -128));
  SmallVector<Value> init(2, b.splat(bias, 16));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, kLookupColumns, init,
      [&](Value k0, ValueRange acc) {
        Value to = b.min(b.add(k0, kLookupColumns), args.columns);
        auto [even, odd] = emitColumns(b, args, scratch, offsets, k0, to);
        return SmallVector<Value>{b.add(acc[0], even), b.add(acc[1], odd)};
      });
  SmallVector<Value> results;
  for (size_t c = 0; c < blocks.size(); ++c) {
    SmallVector<int64_t> order;
    for (int64_t row = 0; row < 16; ++row) {
      int64_t byte =
          16 * (row / 4 % 2) + 8 * int64_t(c) + 4 * (row / 8) + row % 4;
      order.push_back(16 * (byte % 2) + byte / 2);
    }
    results.push_back(b.shuffle(sums[0], sums[1], order));
  }
  return results;
}

static void emitBinaryGemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {2, 1};
  plan.blockBytes = 2;
  plan.minimumGrain = 4;
  plan.scratchBytes = [&](Value columns) { return b.mul(columns, 8); };
  plan.prepare = [&](Value m, Value scratch, ArrayRef<Value>) {
    emitTables(b, args, m, scratch);
  };
  plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
    return emitLookupDot(b, args, scratch, blocks);
  };
  emitGemv(b, args, Correction::PlusSum, plan);
}

//===----------------------------------------------------------------------===//
// Matrix-matrix
//===----------------------------------------------------------------------===//

/// 32-byte vector 2j + h of a line's panel holds bit j of the bytes of half h.
static void emitPanel(KernelBuilder &b, const LinearArgs &args, Value block,
                      Value k0, Value width, Value panel) {
  Value base = b.mul(b.add(b.mul(block, args.columns), k0), 2);
  Value ones = b.constant(halfType(b), 1);
  b.forLoop(b.index(0), width, 32, [&](Value k) {
    for (int64_t half = 0; half < 2; ++half) {
      Value at = b.add(base, b.add(b.mul(k, 2), 32 * half));
      Value line = b.loadBytes(args.weight, at, b.veci(16, 16));
      for (int64_t j = 0; j < 8; ++j) {
        Value bits = b.bitcast(b.shiftRightLogical(line, j), halfType(b));
        b.storeVector(b.bitAnd(bits, ones), panel,
                      b.add(b.mul(k, 16), 64 * j + 32 * half));
      }
    }
  });
}

/// A 16-bit lane adds two activations for each 4 columns: 64 * 2 * 128 = 16384
/// at most in a chunk.
static SmallVector<Value> emitTile(KernelBuilder &b, const GemmPlan::Tile &tile,
                                   ArrayRef<Value> acc) {
  SmallVector<Value> init(2 * tile.rows, b.constant(b.veci(16, 16), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), tile.width, 4, init, [&](Value k, ValueRange carried) {
        Value at = b.mul(k, 16);
        Value low = b.loadVector(tile.panel, at, halfType(b));
        Value high = b.loadVector(tile.panel, b.add(at, 32), halfType(b));
        SmallVector<Value> next;
        for (Value row : tile.rowOffsets) {
          Value x = b.broadcastWord(tile.activations, b.add(row, k), 32, 8);
          for (Value weight : {low, high})
            next.push_back(
                b.add(carried[next.size()], emitMaddBytes(b, weight, x)));
        }
        return next;
      });
  SmallVector<Value> results;
  for (int64_t i = 0; i < tile.rows; ++i)
    results.push_back(
        b.add(acc[i], concatenate(b, emitWiden(b, sums[2 * i]),
                                  emitWiden(b, sums[2 * i + 1]))));
  return results;
}

static void emitBinaryGemm(KernelBuilder &b, const LinearArgs &args) {
  GemmPlan plan;
  plan.blocks = {1};
  plan.rows = {4, 1};
  plan.chunk = kPanelColumns;
  plan.activationBytes = 1;
  plan.panelBytes = kBlockRows * kPanelColumns;
  plan.prepareRow = [&](Value m, Value to, Value offset) {
    x86::emitTransposedRow(b, args.input, m, args.columns, to, offset);
  };
  plan.fillPanel = [&](Value block, Value k0, Value width, Value panel,
                       int64_t) {
    emitPanel(b, args, block, k0, width, panel);
  };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    return emitTile(b, tile, acc);
  };
  emitGemm(b, args, Correction::PlusSum, plan);
}

void x86::emitBinaryShuffle(KernelBuilder &b, const KernelSpec &spec,
                            ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitBinaryGemv(b, args); },
      [&] { emitBinaryGemm(b, args); });
}
