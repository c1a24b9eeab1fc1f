//===- FloatKernel.cpp - Float matrix times float32 rows ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tiles of rows x blocks whose sums stay in registers: a weight vector is read
// once for all rows of the tile, an activation broadcast once for all blocks.
// One row takes many blocks (independent chains hide the latency of the
// multiply-add), many rows take few. The tile sizes follow from the level's
// vector width; multiply-add has one rounding where the level has "fma".
// Weights of two bytes are widened on the way: the same floats, the same sums.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/PQKernelToVector.h"

using namespace mlir;
using namespace pquant;

namespace {
/// Sums of a tile in vectors of 16 floats: at most half of 32 x 512-bit
/// registers, or of 16 registers of 256 or 128 bits.
struct FloatTiles {
  SmallVector<int64_t> rows, rowBlocks;
  SmallVector<int64_t> vectorBlocks; ///< blocks at once for one row
};
} // namespace

static FloatTiles getFloatTiles(int64_t vectorBits) {
  if (vectorBits >= 512)
    return {{8, 1}, {2, 1}, {8, 1}};
  if (vectorBits >= 256)
    return {{4, 1}, {1}, {4, 1}};
  return {{2, 1}, {1}, {2, 1}};
}

/// 16 weights from element `at` on.
static Value loadWeights(KernelBuilder &b, const LinearArgs &args, Value at) {
  VectorType floats = b.vecf(kBlockRows);
  if (cast<MemRefType>(args.weight.getType()).getElementType().isF32())
    return b.loadVector(args.weight, at, floats);
  Value halves = b.loadVector(args.weight, at, b.veci(kBlockRows, 16));
  VectorType words = b.veci(kBlockRows, 32);
  Value wide = arith::ExtUIOp::create(b, words, halves);
  return b.bitcast(b.shiftLeft(wide, 16), floats);
}

/// Sums over k of `rows` rows from m times blocks.
static SmallVector<Value> emitTile(KernelBuilder &b, const LinearArgs &args,
                                   bool fused, Value m, int64_t rows,
                                   ArrayRef<Value> blocks) {
  VectorType type = b.vecf(kBlockRows);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value blockSize = b.mul(args.columns, kBlockRows);
  SmallVector<Value> bases;
  for (Value block : blocks)
    bases.push_back(b.mul(block, blockSize));
  SmallVector<Value> init(rows * blocks.size(), zero);
  return b.forLoop(
      b.index(0), args.columns, 1, init, [&](Value k, ValueRange carried) {
        SmallVector<Value> weights, sums;
        for (Value base : bases)
          weights.push_back(
              loadWeights(b, args, b.add(base, b.mul(k, kBlockRows))));
        for (int64_t i = 0; i < rows; ++i) {
          Value x = b.splat(b.load(args.input, {b.add(m, i), k}), kBlockRows);
          for (Value weight : weights)
            sums.push_back(
                b.multiplyAdd(x, weight, carried[sums.size()], fused));
        }
        return sums;
      });
}

void pquant::emitFloatLinear(KernelBuilder &b, const KernelSpec &spec,
                             ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  bool fused = spec.level.hasFusedMultiplyAdd();
  FloatTiles tiles = getFloatTiles(spec.level.getVectorBits());
  auto vector = [&] {
    GemvPlan plan;
    plan.groups = tiles.vectorBlocks;
    plan.blockBytes = (spec.halved ? 2 : 4) * kBlockRows;
    plan.dot = [&](Value m, Value, ArrayRef<Value> blocks) {
      return emitTile(b, args, fused, m, 1, blocks);
    };
    emitGemv(b, args, Correction::None, plan);
  };
  auto matrix = [&] {
    Value grain = b.index(tiles.rowBlocks.front());
    b.parallel(args.blocks, grain, [&](Value begin, Value end) {
      b.forEachTile(
          begin, end, tiles.rowBlocks, [&](int64_t count, Value block) {
            SmallVector<Value> blocks;
            for (int64_t j = 0; j < count; ++j)
              blocks.push_back(b.add(block, j));
            b.forEachTile(
                b.index(0), args.rows, tiles.rows, [&](int64_t rows, Value m) {
                  SmallVector<Value> sums =
                      emitTile(b, args, fused, m, rows, blocks);
                  for (int64_t i = 0; i < rows; ++i)
                    for (int64_t j = 0; j < count; ++j)
                      emitEpilogue(b, args, Correction::None, b.add(m, i),
                                   blocks[j], sums[i * count + j]);
                });
          });
    });
  };
  emitByRows(b, args, vector, matrix);
}
