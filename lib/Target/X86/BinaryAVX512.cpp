//===- BinaryAVX512.cpp - 1-bit kernels with vpdpbusd ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A 512-bit vector of layout d16 is 16 rows x 32 columns, one row to a 32-bit
// lane. All kernels here sum over the +1 weights only (Correction::PlusSum) and
// are exact: a lane adds at most 128 * 128 * K for K columns, below 2^31 for
// K < 131072.
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"

using namespace mlir;
using namespace pquant;

static VectorType lineType(KernelBuilder &b) { return b.veci(64, 8); }

Value x86::emitDotProduct(KernelBuilder &b, Value acc, Value u8, Value s8) {
  VectorType bytes = lineType(b);
  return b.intrinsic("llvm.x86.avx512.vpdpbusd.512", acc.getType(),
                     {acc, b.bitcast(u8, bytes), b.bitcast(s8, bytes)});
}

void x86::emitTransposedRow(KernelBuilder &b, Value input, Value m,
                            Value columns, Value to, Value offset) {
  SmallVector<int64_t> order;
  for (int64_t j = 0; j < 8; ++j)
    for (int64_t i = 0; i < 4; ++i)
      order.push_back(8 * i + j);
  b.forLoop(b.index(0), columns, 32, [&](Value k) {
    Value row = b.loadVector(input, {m, k}, b.veci(32, 8));
    b.storeVector(b.shuffle(row, row, order), to, b.add(offset, k));
  });
}

/// Byte offsets of the first lines of blocks.
static SmallVector<Value> blockOffsets(KernelBuilder &b, const LinearArgs &args,
                                       ArrayRef<Value> blocks) {
  SmallVector<Value> offsets;
  for (Value block : blocks)
    offsets.push_back(b.mul(b.mul(block, args.columns), 2));
  return offsets;
}

static Value loadLine(KernelBuilder &b, Value weight, Value at) {
  b.prefetch(weight, b.add(at, x86::kPrefetchBytes));
  return b.loadVector(weight, at, lineType(b));
}

//===----------------------------------------------------------------------===//
// Matrix-matrix: bits to bytes, then vpdpbusd
//===----------------------------------------------------------------------===//

void x86::emitExpandedLine(KernelBuilder &b, Value line, Value to, Value at) {
  Value ones = b.constant(lineType(b), 1);
  for (int64_t j = 0; j < 8; ++j) {
    Value bits = b.bitcast(b.shiftRightLogical(line, j), lineType(b));
    b.storeVector(b.bitAnd(bits, ones), to, b.add(at, 64 * j));
  }
}

static void emitPanel(KernelBuilder &b, const LinearArgs &args, Value block,
                      Value k0, Value width, Value panel, int64_t offset) {
  Value base = b.mul(b.add(b.mul(block, args.columns), k0), 2);
  b.forLoop(b.index(0), width, 32, [&](Value k) {
    Value line =
        b.loadBytes(args.weight, b.add(base, b.mul(k, 2)), b.veci(32, 16));
    x86::emitExpandedLine(b, line, panel, b.add(b.mul(k, 16), offset));
  });
}

static void emitBinaryGemm(KernelBuilder &b, const LinearArgs &args) {
  GemmPlan plan;
  plan.blocks = {2, 1};
  plan.rows = {12, 4, 1};
  plan.chunk = 512;
  plan.activationBytes = 1;
  plan.panelBytes = kBlockRows * plan.chunk;
  plan.prepareRow = [&](Value m, Value to, Value offset) {
    x86::emitTransposedRow(b, args.input, m, args.columns, to, offset);
  };
  plan.fillPanel = [&](Value block, Value k0, Value width, Value panel,
                       int64_t offset) {
    emitPanel(b, args, block, k0, width, panel, offset);
  };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    return b.forLoop(
        b.index(0), tile.width, 4, acc, [&](Value k, ValueRange sums) {
          SmallVector<Value> next, weights;
          for (int64_t j = 0; j < tile.blocks; ++j)
            weights.push_back(b.loadVector(
                tile.panel, b.add(b.mul(k, 16), j * plan.panelBytes),
                lineType(b)));
          for (Value row : tile.rowOffsets) {
            Value x = b.broadcastWord(tile.activations, b.add(row, k), 32, 16);
            for (Value weight : weights)
              next.push_back(
                  x86::emitDotProduct(b, sums[next.size()], weight, x));
          }
          return next;
        });
  };
  emitGemm(b, args, Correction::PlusSum, plan);
}

//===----------------------------------------------------------------------===//
// Matrix-vector, AND
//===----------------------------------------------------------------------===//

/// Eight sums for each block: sum j takes bit j of the bytes, in place, so it
/// is 2^j times the sum of the activations it selects (bit 7 is unsigned 128).
/// The shifts at the end are exact.
static SmallVector<Value> emitAndDot(KernelBuilder &b, const LinearArgs &args,
                                     Value scratch, ArrayRef<Value> blocks) {
  VectorType sumType = b.veci(kBlockRows, 32);
  int64_t count = blocks.size();
  SmallVector<Value> offsets = blockOffsets(b, args, blocks);
  SmallVector<Value> init(8 * count, b.constant(sumType, 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, 32, init, [&](Value k, ValueRange acc) {
        SmallVector<Value> lines, next(acc);
        for (Value offset : offsets)
          lines.push_back(loadLine(b, args.weight, b.add(offset, b.mul(k, 2))));
        for (int64_t j = 0; j < 8; ++j) {
          Value mask = b.constant(lineType(b), int64_t(int8_t(1u << j)));
          Value x = b.broadcastWord(scratch, b.add(k, 4 * j), 32, 16);
          for (int64_t i = 0; i < count; ++i)
            next[8 * i + j] = x86::emitDotProduct(b, acc[8 * i + j],
                                                  b.bitAnd(lines[i], mask), x);
        }
        return next;
      });
  SmallVector<Value> results;
  for (int64_t i = 0; i < count; ++i) {
    Value total = sums[8 * i];
    for (int64_t j = 1; j < 8; ++j)
      total = b.add(total, b.shiftRightArithmetic(sums[8 * i + j], j));
    results.push_back(total);
  }
  return results;
}

void x86::emitBinaryAnd(KernelBuilder &b, const KernelSpec &spec,
                        ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  auto gemv = [&] {
    GemvPlan plan;
    plan.groups = {2, 1};
    plan.blockBytes = 2;
    plan.minimumGrain = 4;
    plan.scratchBytes = [](Value columns) { return columns; };
    plan.prepare = [&](Value m, Value scratch, ArrayRef<Value>) {
      emitTransposedRow(b, args.input, m, args.columns, scratch, b.index(0));
    };
    plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
      return emitAndDot(b, args, scratch, blocks);
    };
    emitGemv(b, args, Correction::PlusSum, plan);
  };
  emitByRows(b, args, gemv, [&] { emitBinaryGemm(b, args); });
}

//===----------------------------------------------------------------------===//
// Matrix-vector, look-up
//===----------------------------------------------------------------------===//
//
// Four weights are a nibble, and a nibble selects one of the 16 sums of its
// four activations. Byte i of a word holds columns 8i .. 8i+7: its low nibble h
// = 0 selects from the table of columns 8i .. 8i+3, its high nibble h = 1 from
// that of 8i+4 .. 8i+7. So one 64-byte vector of four 16-entry tables serves
// the same nibble of all 64 bytes of a line: vpermb's index is 16i + nibble.
//
// A sum s is in [-512, 508]; s + 512 is split as 32 hi + lo with 5 bits each,
// and vpdpbusd adds the four bytes of a lane times 1 and 32. The bias makes
// 512 * K / 4 = 128 K in total, which the sums start from with the other sign.
//
// Scratch of 32 columns, 256 bytes: lo and hi of h = 0, lo and hi of h = 1.

/// Prefetches the first lines of `blocks` while the tables of columns
/// [k, k + 32) are made, half a line of each.
static void prefetchFirstLines(KernelBuilder &b, const LinearArgs &args,
                               ArrayRef<Value> blocks, Value k) {
  Value step = b.div(k, b.index(32));
  Value odd = b.compare(arith::CmpIPredicate::ne, b.bitAnd(step, b.index(1)),
                        b.index(0));
  Value line = b.mul(b.div(step, b.index(2)), 64);
  SmallVector<Value> offsets = blockOffsets(b, args, blocks);
  for (size_t i = 0, half = blocks.size() / 2; i < half; ++i)
    b.prefetch(args.weight,
               b.add(b.select(odd, offsets[half + i], offsets[i]), line));
}

/// The 16 biased sums of four activations by vpdpbusd: lane n adds activation
/// j where bit j of n is set.
static void emitTables(KernelBuilder &b, const LinearArgs &args, Value m,
                       Value scratch, ArrayRef<Value> blocks) {
  VectorType words = b.veci(16, 32), bytes = b.veci(16, 8);
  SmallVector<int64_t> bits;
  for (int64_t n = 0; n < 16; ++n)
    for (int64_t j = 0; j < 4; ++j)
      bits.push_back((n >> j) & 1);
  Value pattern = b.laneConstant(lineType(b), bits);
  Value bias = b.constant(words, 512), low = b.constant(words, 31);
  b.forLoop(b.index(0), args.columns, 32, [&](Value k) {
    Value base = b.mul(k, 8);
    prefetchFirstLines(b, args, blocks, k);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = 0; i < 4; ++i) {
        Value x =
            b.broadcastWord(args.input, {m, b.add(k, 8 * i + 4 * h)}, 32, 16);
        Value sum = x86::emitDotProduct(b, bias, pattern, x);
        int64_t at = 128 * h + 16 * i;
        b.storeVector(b.truncate(b.bitAnd(sum, low), bytes), scratch,
                      b.add(base, at));
        b.storeVector(b.truncate(b.shiftRightLogical(sum, 5), bytes), scratch,
                      b.add(base, at + 64));
      }
  });
}

namespace {
/// Constants of the look-up loop.
struct LookupConstants {
  explicit LookupConstants(KernelBuilder &b);
  Value nibble, subTable, one, thirtyTwo;
};
} // namespace

LookupConstants::LookupConstants(KernelBuilder &b) {
  SmallVector<int64_t> starts;
  for (int64_t i = 0; i < 64; ++i)
    starts.push_back(16 * (i % 4));
  nibble = b.constant(lineType(b), 15);
  subTable = b.laneConstant(lineType(b), starts);
  one = b.constant(lineType(b), 1);
  thirtyTwo = b.constant(lineType(b), 32);
}

/// Adds one line to the sums `acc[0]`, or to four sums in turn when there are
/// that many (one block alone has no other chains to hide the latency).
static void emitLookupLine(KernelBuilder &b, const LookupConstants &constants,
                           Value line, ArrayRef<Value> tables,
                           MutableArrayRef<Value> acc) {
  VectorType type = lineType(b);
  size_t next = 0;
  auto accumulate = [&](Value values, Value factor) {
    Value &sum = acc[next++ % acc.size()];
    sum = x86::emitDotProduct(b, sum, values, factor);
  };
  for (int64_t h = 0; h < 2; ++h) {
    Value nibbles = b.bitcast(
        b.shiftRightLogical(b.bitcast(line, b.veci(32, 16)), 4 * h), type);
    Value index =
        b.bitOr(b.bitAnd(nibbles, constants.nibble), constants.subTable);
    auto lookUp = [&](Value table) {
      return b.intrinsic("llvm.x86.avx512.permvar.qi.512", type,
                         {table, index});
    };
    accumulate(lookUp(tables[2 * h]), constants.one);
    accumulate(lookUp(tables[2 * h + 1]), constants.thirtyTwo);
  }
}

static SmallVector<Value> emitLookupDot(KernelBuilder &b,
                                        const LinearArgs &args, Value scratch,
                                        ArrayRef<Value> blocks) {
  VectorType sumType = b.veci(kBlockRows, 32);
  LookupConstants constants(b);
  Value bias =
      arith::IndexCastOp::create(b, b.getI32Type(), b.mul(args.columns, -128));
  SmallVector<Value> offsets = blockOffsets(b, args, blocks);
  int64_t count = blocks.size();
  int64_t chains = count == 1 ? 4 : 1;
  SmallVector<Value> init(count * chains, b.constant(sumType, 0));
  for (int64_t i = 0; i < count; ++i)
    init[i * chains] = b.splat(bias, kBlockRows);
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, 32, init, [&](Value k, ValueRange acc) {
        SmallVector<Value> tables, next(acc);
        for (int64_t i = 0; i < 4; ++i)
          tables.push_back(
              b.loadVector(scratch, b.add(b.mul(k, 8), 64 * i), lineType(b)));
        for (int64_t i = 0; i < count; ++i) {
          Value line = loadLine(b, args.weight, b.add(offsets[i], b.mul(k, 2)));
          emitLookupLine(b, constants, line, tables,
                         MutableArrayRef(next).slice(i * chains, chains));
        }
        return next;
      });
  if (count == 1)
    sums = {b.add(b.add(sums[0], sums[1]), b.add(sums[2], sums[3]))};
  return sums;
}

void x86::emitLookupGemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {8, 1};
  plan.blockBytes = 2;
  plan.minimumGrain = 8;
  plan.scratchBytes = [&](Value columns) { return b.mul(columns, 8); };
  plan.prepare = [&](Value m, Value scratch, ArrayRef<Value> blocks) {
    emitTables(b, args, m, scratch, blocks);
  };
  plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
    return emitLookupDot(b, args, scratch, blocks);
  };
  emitGemv(b, args, Correction::PlusSum, plan);
}

void x86::emitBinaryLookup(KernelBuilder &b, const KernelSpec &spec,
                           ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitLookupGemv(b, args); },
      [&] { emitBinaryGemm(b, args); });
}
