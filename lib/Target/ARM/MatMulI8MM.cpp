//===- MatMulI8MM.cpp - Matrix-matrix kernels with smmla ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// smmla multiplies 2 rows x 8 columns of activations by 2 rows x 8 columns of
// weights to 2 x 2 sums. The panel holds the weights of a block so: for each 8
// columns 8 pairs of rows, 16 bytes each. 1-bit weights are expanded to -1 and
// 0 there, INT8 weights rearranged.
//
//===----------------------------------------------------------------------===//

#include "ARMKernels.h"

using namespace mlir;
using namespace pquant;

/// Pairs of rows of a block.
static constexpr int64_t kPairs = kBlockRows / 2;

//===----------------------------------------------------------------------===//
// Panels
//===----------------------------------------------------------------------===//

static void emitBinaryPanel(KernelBuilder &b, const LinearArgs &args,
                            Value block, Value k0, Value width, Value panel) {
  Value base = b.mul(b.add(b.mul(block, args.columns), k0), 2);
  SmallVector<int64_t> mask;
  for (int64_t lane = 0; lane < 16; ++lane)
    mask.push_back(int8_t(1 << (lane % 8)));
  b.forLoop(b.index(0), width, 8, [&](Value k) {
    Value bits =
        b.loadVector(args.weight, b.add(base, b.mul(k, 2)), b.veci(16, 8));
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      SmallVector<int64_t> rows;
      for (int64_t lane = 0; lane < 16; ++lane)
        rows.push_back(2 * pair + lane / 8);
      b.storeVector(arm::emitTestBits(b, b.shuffle(bits, bits, rows), mask),
                    panel, b.add(b.mul(k, 16), 16 * pair));
    }
  });
}

static void emitInt8Panel(KernelBuilder &b, const LinearArgs &args, Value block,
                          Value k0, Value width, Value panel) {
  VectorType words = b.veci(4, 32);
  Value base = arm::getInt8Offset(b, args, block, k0);
  static constexpr int64_t first[] = {0, 4, 1, 5}, second[] = {2, 6, 3, 7};
  b.forLoop(b.index(0), width, 8, [&](Value k) {
    Value at = b.mul(k, 16);
    for (int64_t quad = 0; quad < 4; ++quad) {
      Value low =
          b.loadBytes(args.weight, b.add(b.add(base, at), 16 * quad), words);
      Value high = b.loadBytes(args.weight,
                               b.add(b.add(base, at), 64 + 16 * quad), words);
      b.storeBytes(b.shuffle(low, high, first), panel, b.add(at, 32 * quad));
      b.storeBytes(b.shuffle(low, high, second), panel,
                   b.add(at, 32 * quad + 16));
    }
  });
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// Rows of the tile two by two, a last odd one with itself, for 16 columns from
/// k on: for each pair the vectors of columns 0 to 7 and 8 to 15.
static SmallVector<std::array<Value, 2>>
emitRowPairs(KernelBuilder &b, const GemmPlan::Tile &tile, Value k) {
  VectorType halves = b.veci(2, 64), bytes = b.veci(16, 8);
  static constexpr int64_t low[] = {0, 2}, high[] = {1, 3};
  SmallVector<std::array<Value, 2>> pairs;
  for (int64_t i = 0; i < tile.rows; i += 2) {
    Value rows[2];
    for (int64_t j = 0; j < 2; ++j) {
      Value row = tile.rowOffsets[std::min(i + j, tile.rows - 1)];
      rows[j] = b.loadBytes(tile.activations, b.add(row, k), halves);
    }
    pairs.push_back({b.bitcast(b.shuffle(rows[0], rows[1], low), bytes),
                     b.bitcast(b.shuffle(rows[0], rows[1], high), bytes)});
  }
  return pairs;
}

/// Row `row` (0 or 1) of a pair's 2 x 2 sums, 16 outputs.
static Value emitRowSums(KernelBuilder &b, ValueRange sums, int64_t row) {
  SmallVector<int64_t> pick = {2 * row, 2 * row + 1, 4 + 2 * row, 5 + 2 * row};
  SmallVector<Value> quads;
  for (int64_t pair = 0; pair < kPairs; pair += 2)
    quads.push_back(b.shuffle(sums[pair], sums[pair + 1], pick));
  return arm::emitConcat(b, quads);
}

/// The products of a tile with the panel, vector<16xi32> for each row.
static SmallVector<Value> emitTile(KernelBuilder &b,
                                   const GemmPlan::Tile &tile) {
  int64_t rowPairs = (tile.rows + 1) / 2;
  VectorType bytes = b.veci(16, 8);
  SmallVector<Value> init(rowPairs * kPairs, b.constant(b.veci(4, 32), 0));
  SmallVector<Value> sums =
      b.forLoop(b.index(0), tile.width, 16, init, [&](Value k, ValueRange acc) {
        SmallVector<std::array<Value, 2>> x = emitRowPairs(b, tile, k);
        SmallVector<Value> next(acc);
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t pair = 0; pair < kPairs; ++pair) {
            Value at = b.add(b.mul(k, 16), 128 * half + 16 * pair);
            Value w = b.loadVector(tile.panel, at, bytes);
            for (int64_t i = 0; i < rowPairs; ++i) {
              Value &sum = next[i * kPairs + pair];
              sum = b.intrinsic("llvm.aarch64.neon.smmla.v4i32.v16i8",
                                sum.getType(), {sum, x[i][half], w});
            }
          }
        return next;
      });
  SmallVector<Value> rows;
  for (int64_t i = 0; i < tile.rows; ++i)
    rows.push_back(
        emitRowSums(b, ValueRange(sums).slice(i / 2 * kPairs, kPairs), i % 2));
  return rows;
}

/// `negated`: the panel holds the weights' negatives.
static void emitGemmTiles(
    KernelBuilder &b, const LinearArgs &args, Correction fix, bool negated,
    llvm::function_ref<void(Value block, Value k0, Value width, Value panel)>
        fillPanel) {
  GemmPlan plan = arm::makeQuadPlan(b, args, /*hasSdot=*/true);
  plan.rows = {4, 2, 1};
  plan.panelBytes = kBlockRows * arm::kPanelColumns;
  plan.fillPanel = [&](Value block, Value k0, Value width, Value panel,
                       int64_t) { fillPanel(block, k0, width, panel); };
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    for (auto [sum, more] : llvm::zip(acc, emitTile(b, tile)))
      sum = negated ? b.sub(sum, more) : b.add(sum, more);
    return acc;
  };
  emitGemm(b, args, fix, plan);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

void arm::emitBinaryMatMul(KernelBuilder &b, const KernelSpec &spec,
                           ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  auto gemm = [&] {
    emitGemmTiles(b, args, Correction::PlusSum, /*negated=*/true,
                  [&](Value block, Value k0, Value width, Value panel) {
                    emitBinaryPanel(b, args, block, k0, width, panel);
                  });
  };
  emitByRows(b, args, [&] { emitTableGemv(b, args); }, gemm);
}

void arm::emitInt8MatMul(KernelBuilder &b, const KernelSpec &spec,
                         ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  auto gemm = [&] {
    emitGemmTiles(b, args, Correction::None, /*negated=*/false,
                  [&](Value block, Value k0, Value width, Value panel) {
                    emitInt8Panel(b, args, block, k0, width, panel);
                  });
  };
  emitByRows(b, args, [&] { emitQuadGemv(b, args, /*hasSdot=*/true); }, gemm);
}
