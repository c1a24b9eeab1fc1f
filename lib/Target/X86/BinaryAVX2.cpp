//===- BinaryAVX2.cpp - 1-bit kernels with vpmaddubsw ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As the AVX-512 kernels on 8 rows x 32 columns. Without vpdpbusd, pairs of
// products go to 16-bit lanes first and are added to 32 bits every 256 columns,
// before they can overflow (the bounds are at each kernel).
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"

using namespace mlir;
using namespace pquant;

/// Columns between two additions to 32 bits.
static constexpr int64_t kChunk = 256;

static VectorType halfType(KernelBuilder &b) { return b.veci(32, 8); }

/// u8 times s8, adjacent products added, 16 bits.
static Value emitMaddBytes(KernelBuilder &b, Value u8, Value s8) {
  return b.intrinsic(
      "llvm.x86.avx2.pmadd.ub.sw", b.veci(16, 16),
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

/// Sum j takes bits j and j + 4 (moved to j), so it is 2^j times what it
/// selects. For j = 3 and 256 columns a 16-bit lane adds 8 lines x 2 bits x 2
/// products of 8 * q: within [-32768, 32512].
static Value emitChunk(KernelBuilder &b, const LinearArgs &args,
                       Value scratch, Value offset, Value k0, Value width) {
  VectorType pairs = b.veci(16, 16);
  SmallVector<Value> init(4, b.constant(pairs, 0));
  SmallVector<Value> sums = b.forLoop(
      k0, b.add(k0, width), 32, init, [&](Value k, ValueRange acc) {
        Value at = b.add(offset, b.mul(k, 2));
        Value line = b.loadBytes(args.weight, at, pairs);
        SmallVector<Value> next(acc);
        for (int64_t j = 0; j < 8; ++j) {
          Value bits = b.bitcast(b.shiftRightLogical(line, j / 4 * 4),
                                 halfType(b));
          Value mask = b.constant(halfType(b), 1 << (j % 4));
          Value x = b.broadcastWord(scratch, b.add(k, 4 * j), 32, 8);
          Value products = emitMaddBytes(b, b.bitAnd(bits, mask), x);
          next[j % 4] = b.add(next[j % 4], products);
        }
        return next;
      });
  Value total = emitWiden(b, sums[0]);
  for (int64_t j = 1; j < 4; ++j)
    total = b.add(total, b.shiftRightArithmetic(emitWiden(b, sums[j]), j));
  return total;
}

static SmallVector<Value> emitDot(KernelBuilder &b, const LinearArgs &args,
                                  Value scratch, Value block, int64_t count) {
  SmallVector<Value> offsets; // of the halves of each block
  for (int64_t i = 0; i < 2 * count; ++i) {
    Value first = b.mul(b.mul(b.add(block, i / 2), args.columns), 2);
    offsets.push_back(b.add(first, 32 * (i % 2)));
  }
  SmallVector<Value> init(2 * count, b.constant(b.veci(8, 32), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, kChunk, init, [&](Value k0, ValueRange acc) {
        Value width = b.min(b.index(kChunk), b.sub(args.columns, k0));
        SmallVector<Value> next;
        for (Value offset : offsets) {
          b.prefetch(args.weight,
                     b.add(b.add(offset, b.mul(k0, 2)), 2 * kChunk));
          Value chunk = emitChunk(b, args, scratch, offset, k0, width);
          next.push_back(b.add(acc[next.size()], chunk));
        }
        return next;
      });
  SmallVector<Value> results;
  for (int64_t i = 0; i < count; ++i)
    results.push_back(concatenate(b, sums[2 * i], sums[2 * i + 1]));
  return results;
}

static void emitBinaryGemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {4, 1};
  plan.blockBytes = 2;
  plan.minimumGrain = 4;
  plan.scratchBytes = [](Value columns) { return columns; };
  plan.prepare = [&](Value m, Value scratch) {
    x86::emitTransposedRow(b, args.input, m, args.columns, scratch,
                           b.index(0));
  };
  plan.dot = [&](Value, Value scratch, Value block, int64_t count) {
    return emitDot(b, args, scratch, block, count);
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
static SmallVector<Value> emitTile(KernelBuilder &b,
                                   const GemmPlan::Tile &tile,
                                   ArrayRef<Value> acc) {
  SmallVector<Value> rows;
  for (int64_t i = 0; i < tile.rows; ++i)
    rows.push_back(b.add(tile.rowOffset, b.mul(tile.rowStride, i)));
  SmallVector<Value> init(2 * tile.rows, b.constant(b.veci(16, 16), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), tile.width, 4, init, [&](Value k, ValueRange carried) {
        Value at = b.mul(k, 16);
        Value low = b.loadVector(tile.panel, at, halfType(b));
        Value high = b.loadVector(tile.panel, b.add(at, 32), halfType(b));
        SmallVector<Value> next;
        for (Value row : rows) {
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
  plan.chunk = kChunk;
  plan.activationBytes = 1;
  plan.panelBytes = kBlockRows * kChunk;
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

void x86::emitBinaryMadd(KernelBuilder &b, const KernelSpec &spec,
                         ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitBinaryGemv(b, args); },
      [&] { emitBinaryGemm(b, args); });
}
