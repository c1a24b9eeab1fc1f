//===- Int8AVX2.cpp - INT8 kernels with vpmaddwd --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Both factors are widened to 16 bits, as vpmaddubsw would saturate on
// -128 * -128. A quarter of a weight line is 4 rows x 4 columns: 16 lanes of 16
// bits against the four activations repeated, two 32-bit sums for each row.
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"

using namespace mlir;
using namespace pquant;

/// Quarters of a line of 16 rows.
static constexpr int64_t kQuarters = 4;

static void emitWideRow(KernelBuilder &b, const LinearArgs &args, Value m,
                        Value to, Value offset) {
  b.forLoop(b.index(0), args.columns, 16, [&](Value k) {
    Value row = b.loadVector(args.input, {m, k}, b.veci(16, 8));
    b.storeBytes(b.extend(row, b.veci(16, 16)), to, b.add(offset, b.mul(k, 2)));
  });
}

/// The quarters of the line of columns k .. k+3 of a block.
static SmallVector<Value> loadQuarters(KernelBuilder &b, const LinearArgs &args,
                                       Value base, Value k) {
  SmallVector<Value> quarters;
  for (int64_t i = 0; i < kQuarters; ++i) {
    Value at = b.add(b.add(base, b.mul(k, 16)), 16 * i);
    Value bytes = b.loadVector(args.weight, at, b.veci(16, 8));
    quarters.push_back(b.extend(bytes, b.veci(16, 16)));
  }
  return quarters;
}

/// Four 16-bit activations, four times.
static Value loadActivations(KernelBuilder &b, Value memory, Value at) {
  return b.bitcast(b.broadcastWord(memory, at, 64, 4), b.veci(16, 16));
}

static Value emitMadd(KernelBuilder &b, Value acc, Value weights, Value x) {
  return b.add(
      acc, b.intrinsic("llvm.x86.avx2.pmadd.wd", b.veci(8, 32), {weights, x}));
}

/// The sums of 16 rows from those of four quarters, two lanes a row.
static Value emitRowSums(KernelBuilder &b, ValueRange quarters) {
  static constexpr int64_t even[] = {0, 2, 4, 6, 8, 10, 12, 14};
  static constexpr int64_t odd[] = {1, 3, 5, 7, 9, 11, 13, 15};
  auto pair = [&](Value first, Value second) {
    return b.add(b.shuffle(first, second, even), b.shuffle(first, second, odd));
  };
  return b.shuffle(pair(quarters[0], quarters[1]),
                   pair(quarters[2], quarters[3]),
                   llvm::to_vector(llvm::seq<int64_t>(0, 16)));
}

static SmallVector<Value> emitDot(KernelBuilder &b, const LinearArgs &args,
                                  Value scratch, ArrayRef<Value> blocks) {
  SmallVector<Value> bases;
  for (Value block : blocks)
    bases.push_back(b.mul(b.mul(block, args.columns), 16));
  SmallVector<Value> init(kQuarters * blocks.size(),
                          b.constant(b.veci(8, 32), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, 4, init, [&](Value k, ValueRange acc) {
        Value x = loadActivations(b, scratch, b.mul(k, 2));
        SmallVector<Value> next;
        for (Value base : bases)
          for (Value weights : loadQuarters(b, args, base, k))
            next.push_back(emitMadd(b, acc[next.size()], weights, x));
        return next;
      });
  SmallVector<Value> results;
  for (size_t i = 0; i < blocks.size(); ++i)
    results.push_back(
        emitRowSums(b, ValueRange(sums).slice(kQuarters * i, kQuarters)));
  return results;
}

static void emitInt8Gemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {2, 1};
  plan.blockBytes = 16;
  plan.scratchBytes = [&](Value columns) { return b.mul(columns, 2); };
  plan.prepare = [&](Value m, Value scratch, ArrayRef<Value>) {
    emitWideRow(b, args, m, scratch, b.index(0));
  };
  plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
    return emitDot(b, args, scratch, blocks);
  };
  emitGemv(b, args, Correction::None, plan);
}

static SmallVector<Value> emitTile(KernelBuilder &b, const LinearArgs &args,
                                   const GemmPlan::Tile &tile,
                                   ArrayRef<Value> acc) {
  Value base = b.mul(b.add(b.mul(tile.block, args.columns), tile.k0), 16);
  SmallVector<Value> init(kQuarters * tile.rows, b.constant(b.veci(8, 32), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), tile.width, 4, init, [&](Value k, ValueRange carried) {
        SmallVector<Value> weights = loadQuarters(b, args, base, k);
        SmallVector<Value> next;
        for (Value row : tile.rowOffsets) {
          Value x =
              loadActivations(b, tile.activations, b.add(row, b.mul(k, 2)));
          for (Value weight : weights)
            next.push_back(emitMadd(b, carried[next.size()], weight, x));
        }
        return next;
      });
  SmallVector<Value> results;
  for (int64_t i = 0; i < tile.rows; ++i)
    results.push_back(b.add(
        acc[i],
        emitRowSums(b, ValueRange(sums).slice(kQuarters * i, kQuarters))));
  return results;
}

static void emitInt8Gemm(KernelBuilder &b, const LinearArgs &args) {
  GemmPlan plan;
  plan.blocks = {1};
  plan.rows = {2, 1};
  plan.chunk = 512;
  plan.activationBytes = 2;
  plan.panelBytes = 0;
  plan.prepareRow = [&](Value m, Value to, Value offset) {
    emitWideRow(b, args, m, to, offset);
  };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    return emitTile(b, args, tile, acc);
  };
  emitGemm(b, args, Correction::None, plan);
}

void x86::emitInt8Madd(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitInt8Gemv(b, args); }, [&] { emitInt8Gemm(b, args); });
}
