//===- Int8AVX512.cpp - INT8 kernels with vpdpbusd ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// vpdpbusd multiplies unsigned by signed bytes, so activations are stored as
// q + 128 (the sign bit flipped) and the result is 128 times the weights' row
// sum too large (Correction::Biased). Exact: 255 * 128 * K < 2^31 for
// K < 65536.
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"

using namespace mlir;
using namespace pquant;

static void emitBiasedRow(KernelBuilder &b, const LinearArgs &args, Value m,
                          Value to, Value offset) {
  VectorType line = b.veci(64, 8);
  Value sign = b.constant(line, -128);
  b.forLoop(b.index(0), args.columns, 64, [&](Value k) {
    Value row = b.loadVector(args.input, {m, k}, line);
    b.storeVector(b.bitXor(row, sign), to, b.add(offset, k));
  });
}

static Value loadWeights(KernelBuilder &b, const LinearArgs &args, Value base,
                         Value k) {
  return b.loadVector(args.weight, b.add(base, b.mul(k, 16)), b.veci(64, 8));
}

/// Byte offset of column k0 of a block.
static Value blockOffset(KernelBuilder &b, const LinearArgs &args, Value block,
                         Value k0) {
  return b.mul(b.add(b.mul(block, args.columns), k0), 16);
}

/// One block alone takes four words in turn, to have four chains.
static SmallVector<Value> emitDot(KernelBuilder &b, const LinearArgs &args,
                                  Value scratch, ArrayRef<Value> blocks) {
  int64_t unroll = blocks.size() == 1 ? 4 : 1;
  SmallVector<Value> bases;
  for (Value block : blocks)
    bases.push_back(blockOffset(b, args, block, b.index(0)));
  SmallVector<Value> init(blocks.size() * unroll,
                          b.constant(b.veci(kBlockRows, 32), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, 4 * unroll, init, [&](Value k, ValueRange acc) {
        SmallVector<Value> next;
        for (int64_t u = 0; u < unroll; ++u) {
          Value at = b.add(k, 4 * u);
          Value x = b.broadcastWord(scratch, at, 32, 16);
          for (Value base : bases)
            next.push_back(x86::emitDotProduct(b, acc[next.size()], x,
                                               loadWeights(b, args, base, at)));
        }
        return next;
      });
  if (blocks.size() == 1)
    sums = {b.add(b.add(sums[0], sums[1]), b.add(sums[2], sums[3]))};
  return sums;
}

void x86::emitVnniGemv(KernelBuilder &b, const LinearArgs &args) {
  GemvPlan plan;
  plan.groups = {8, 1};
  plan.blockBytes = 16;
  plan.scratchBytes = [](Value columns) { return columns; };
  plan.prepare = [&](Value m, Value scratch, ArrayRef<Value>) {
    emitBiasedRow(b, args, m, scratch, b.index(0));
  };
  plan.dot = [&](Value, Value scratch, ArrayRef<Value> blocks) {
    return emitDot(b, args, scratch, blocks);
  };
  emitGemv(b, args, Correction::Biased, plan);
}

static void emitInt8Gemm(KernelBuilder &b, const LinearArgs &args) {
  GemmPlan plan;
  plan.blocks = {2, 1};
  plan.rows = {12, 4, 1};
  plan.chunk = 512;
  plan.activationBytes = 1;
  plan.panelBytes = 0;
  plan.prepareRow = [&](Value m, Value to, Value offset) {
    emitBiasedRow(b, args, m, to, offset);
  };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    SmallVector<Value> bases;
    for (int64_t j = 0; j < tile.blocks; ++j)
      bases.push_back(blockOffset(b, args, b.add(tile.block, j), tile.k0));
    return b.forLoop(
        b.index(0), tile.width, 4, acc, [&](Value k, ValueRange sums) {
          SmallVector<Value> next, weights;
          for (Value base : bases)
            weights.push_back(loadWeights(b, args, base, k));
          for (Value row : tile.rowOffsets) {
            Value x = b.broadcastWord(tile.activations, b.add(row, k), 32, 16);
            for (Value weight : weights)
              next.push_back(
                  x86::emitDotProduct(b, sums[next.size()], x, weight));
          }
          return next;
        });
  };
  emitGemm(b, args, Correction::Biased, plan);
}

void x86::emitInt8Vnni(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitVnniGemv(b, args); }, [&] { emitInt8Gemm(b, args); });
}
