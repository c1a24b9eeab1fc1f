//===- BinaryNEON.cpp - 1-bit kernels for Armv8.0 and dotprod -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Matrix-vector: 16 bytes of layout i1x16x8 are 8 columns of 16 rows; each
// nibble selects one of the 16 sums of 4 activations. Sums biased by 512 have
// 10 bits, looked up as lo and hi of 5 bits each by one tbl, so that 8 of them
// (32 columns: 8 * 31 = 248) add up in a byte. The bytes are added to 16 bits
// line by line: 256 lines are at most 63488. Lossless, and no multiplication.
//
// Matrix-matrix: weights are expanded to bytes -1 and 0 as quads, the layout of
// INT8 weights, once for all rows of a panel.
//
//===----------------------------------------------------------------------===//

#include "ARMKernels.h"

using namespace mlir;
using namespace pquant;

/// Columns of 256 lines, after which 16-bit sums are widened.
static constexpr int64_t kTableColumns = 8192;

//===----------------------------------------------------------------------===//
// The oracle
//===----------------------------------------------------------------------===//

void arm::emitBinaryGeneric(KernelBuilder &b, const KernelSpec &spec,
                            ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitBinaryBits(b, args, 8, [&](Value offset) {
    Value bytes = b.loadVector(args.weight, offset, b.veci(kBlockRows, 8));
    return b.extend(bytes, b.veci(kBlockRows, 32));
  });
}

//===----------------------------------------------------------------------===//
// Matrix-vector
//===----------------------------------------------------------------------===//

/// Scratch of 8 columns, 64 bytes: lo of both nibbles, hi of both.
static void emitTables(KernelBuilder &b, const LinearArgs &args, Value m,
                       Value scratch) {
  VectorType sums = b.veci(16, 16), bytes = b.veci(16, 8);
  SmallVector<Value> selects;
  for (int64_t j = 0; j < 4; ++j) {
    SmallVector<int64_t> lanes;
    for (int64_t n = 0; n < 16; ++n)
      lanes.push_back((n >> j) & 1 ? -1 : 0);
    selects.push_back(b.laneConstant(sums, lanes));
  }
  Value low = b.constant(sums, 31);
  b.forLoop(b.index(0), args.columns, 8, [&](Value k) {
    for (int64_t nibble = 0; nibble < 2; ++nibble) {
      Value sum = b.constant(sums, 512);
      for (int64_t j = 0; j < 4; ++j) {
        Value q = b.load(args.input, {m, b.add(k, 4 * nibble + j)});
        Value x = b.splat(b.extend(q, b.getI16Type()), 16);
        sum = b.add(sum, b.bitAnd(x, selects[j]));
      }
      Value at = b.add(b.mul(k, 8), 16 * nibble);
      b.storeVector(b.truncate(b.bitAnd(sum, low), bytes), scratch, at);
      b.storeVector(b.truncate(b.shiftRightLogical(sum, 5), bytes), scratch,
                    b.add(at, 32));
    }
  });
}

/// Adds lo and hi, bytes, of 32 columns of each block: `sums` holds lo and hi
/// of the first block, then of the second.
static SmallVector<Value> emitLookups(KernelBuilder &b, const LinearArgs &args,
                                      Value scratch, ArrayRef<Value> offsets,
                                      Value k) {
  VectorType line = b.veci(16, 8);
  Value nibble = b.constant(line, 15);
  SmallVector<Value> sums(2 * offsets.size());
  for (int64_t i = 0; i < 4; ++i) {
    Value at = b.add(b.mul(k, 8), 64 * i);
    SmallVector<Value> tables; // lo of nibbles 0 and 1, hi of both
    for (int64_t part = 0; part < 4; ++part)
      tables.push_back(b.loadVector(scratch, b.add(at, 16 * part), line));
    for (auto [c, offset] : llvm::enumerate(offsets)) {
      Value bits = b.loadVector(
          args.weight, b.add(b.add(offset, b.mul(k, 2)), 16 * i), line);
      Value indices[] = {b.bitAnd(bits, nibble), b.shiftRightLogical(bits, 4)};
      for (int64_t part = 0; part < 4; ++part) {
        Value found = b.intrinsic("llvm.aarch64.neon.tbl1.v16i8", line,
                                  {tables[part], indices[part % 2]});
        Value &sum = sums[2 * c + part / 2];
        sum = sum ? b.add(sum, found) : found;
      }
    }
  }
  return sums;
}

/// lo + 32 hi of columns [k0, to) of each block.
static SmallVector<Value>
emitTableColumns(KernelBuilder &b, const LinearArgs &args, Value scratch,
                 ArrayRef<Value> offsets, Value k0, Value to) {
  VectorType wide = b.veci(16, 16), sumType = b.veci(16, 32);
  SmallVector<Value> init(2 * offsets.size(), b.constant(wide, 0));
  SmallVector<Value> sums =
      b.forLoop(k0, to, 32, init, [&](Value k, ValueRange acc) {
        for (Value offset : offsets)
          b.prefetch(args.weight,
                     b.add(b.add(offset, b.mul(k, 2)), arm::kPrefetchBytes));
        SmallVector<Value> next;
        for (Value bytes : emitLookups(b, args, scratch, offsets, k))
          next.push_back(
              b.add(acc[next.size()], arith::ExtUIOp::create(b, wide, bytes)));
        return next;
      });
  SmallVector<Value> results;
  for (size_t c = 0; c < offsets.size(); ++c) {
    Value low = arith::ExtUIOp::create(b, sumType, sums[2 * c]);
    Value high = arith::ExtUIOp::create(b, sumType, sums[2 * c + 1]);
    results.push_back(b.add(low, b.shiftLeft(high, 5)));
  }
  return results;
}

/// The biased sums of all columns, less the bias: 512 for 4 columns.
static SmallVector<Value> emitTableDot(KernelBuilder &b, const LinearArgs &args,
                                       Value scratch, ArrayRef<Value> blocks) {
  SmallVector<Value> offsets;
  for (Value block : blocks)
    offsets.push_back(b.mul(b.mul(block, args.columns), 2));
  Value bias =
      arith::IndexCastOp::create(b, b.getI32Type(), b.mul(args.columns, -128));
  SmallVector<Value> init(blocks.size(), b.splat(bias, kBlockRows));
  return b.forLoop(b.index(0), args.columns, kTableColumns, init,
                   [&](Value k0, ValueRange acc) {
                     Value to = b.min(b.add(k0, kTableColumns), args.columns);
                     SmallVector<Value> next =
                         emitTableColumns(b, args, scratch, offsets, k0, to);
                     for (auto [sum, total] : llvm::zip(next, acc))
                       sum = b.add(total, sum);
                     return next;
                   });
}

void arm::emitTableGemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {2, 1}; // more would not fit the registers
  plan.blockBytes = 2;
  plan.minimumGrain = 4;
  plan.scratchBytes = [&](Value columns) { return b.mul(columns, 8); };
  plan.prepare = [&](Value m, Value scratch, ArrayRef<Value>) {
    emitTables(b, args, m, scratch);
  };
  plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
    return emitTableDot(b, args, scratch, blocks);
  };
  emitGemv(b, args, Correction::PlusSum, plan);
}

//===----------------------------------------------------------------------===//
// Matrix-matrix
//===----------------------------------------------------------------------===//

/// Quad t of 4 columns is the 16 bytes of the panel at 16 * (4 * k / 4 + t).
static void emitQuadPanel(KernelBuilder &b, const LinearArgs &args, Value block,
                          Value k0, Value width, Value panel) {
  VectorType line = b.veci(16, 8);
  Value base = b.mul(b.add(b.mul(block, args.columns), k0), 2);
  b.forLoop(b.index(0), width, 8, [&](Value k) {
    Value bits = b.loadVector(args.weight, b.add(base, b.mul(k, 2)), line);
    for (int64_t t = 0; t < 4; ++t) {
      SmallVector<int64_t> rows, masks[2];
      for (int64_t lane = 0; lane < 16; ++lane) {
        rows.push_back(4 * t + lane / 4);
        masks[0].push_back(1 << (lane % 4));
        masks[1].push_back(int8_t(16 << (lane % 4)));
      }
      Value spread = b.shuffle(bits, bits, rows);
      for (int64_t half = 0; half < 2; ++half)
        b.storeVector(arm::emitTestBits(b, spread, masks[half]), panel,
                      b.add(b.mul(k, 16), 64 * half + 16 * t));
    }
  });
}

/// The sums of a tile of one block without sdot: the panel's bytes mask the
/// activations, and sadalp adds pairs to 16 bits, of which a chunk of 256
/// columns takes 64 * 256 = 16384 at most.
static SmallVector<Value> emitMaskTile(KernelBuilder &b,
                                       const GemmPlan::Tile &tile) {
  VectorType bytes = b.veci(16, 8), pairs = b.veci(8, 16), sums = b.veci(4, 32);
  SmallVector<Value> init(4 * tile.rows, b.constant(pairs, 0));
  SmallVector<Value> acc = b.forLoop(
      b.index(0), tile.width, 4, init, [&](Value k, ValueRange carried) {
        SmallVector<Value> x, next(carried);
        for (Value row : tile.rowOffsets)
          x.push_back(b.bitcast(
              b.broadcastWord(tile.activations, b.add(row, k), 32, 4), bytes));
        for (int64_t t = 0; t < 4; ++t) {
          Value mask =
              b.loadVector(tile.panel, b.add(b.mul(k, 16), 16 * t), bytes);
          for (int64_t i = 0; i < tile.rows; ++i) {
            Value &sum = next[4 * i + t];
            sum = b.add(sum, b.intrinsic("llvm.aarch64.neon.saddlp.v8i16.v16i8",
                                         pairs, b.bitAnd(x[i], mask)));
          }
        }
        return next;
      });
  for (Value &sum : acc)
    sum = b.intrinsic("llvm.aarch64.neon.saddlp.v4i32.v8i16", sums, sum);
  return arm::emitConcatEach(b, acc);
}

static void emitQuadGemm(KernelBuilder &b, const LinearArgs &args,
                         bool hasSdot) {
  GemmPlan plan = arm::makeQuadPlan(b, args, hasSdot);
  if (!hasSdot) {
    plan.rows = {4, 1};
    plan.chunk = 256;
  }
  plan.panelBytes = kBlockRows * plan.chunk;
  plan.fillPanel = [&](Value block, Value k0, Value width, Value panel,
                       int64_t) {
    emitQuadPanel(b, args, block, k0, width, panel);
  };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    // Bytes of -1 multiply, and mask: the products of one have another sign.
    SmallVector<Value> sums =
        hasSdot ? arm::emitQuadTile(b, tile, tile.panel, b.index(0), hasSdot)
                : emitMaskTile(b, tile);
    for (auto [sum, more] : llvm::zip(acc, sums))
      sum = hasSdot ? b.sub(sum, more) : b.add(sum, more);
    return acc;
  };
  emitGemm(b, args, Correction::PlusSum, plan);
}

void arm::emitBinaryTable(KernelBuilder &b, const KernelSpec &spec,
                          ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitTableGemv(b, args); },
      [&] { emitQuadGemm(b, args, spec.level.hasFeature("dotprod")); });
}
