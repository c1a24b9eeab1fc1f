//===- GemmNVVM.cpp - Matrix-matrix kernels of a GPU ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// m16n8k32 of bytes: 16 outputs by 8 rows of activations. The order of the
// columns within a sum is free, so each lane takes those that it finds side by
// side in memory, 16 bytes of a row of activations at once, and the weights of
// the same columns; nothing is shuffled. 1-bit weights are spread from nibbles
// to bytes of 0 or 1 in registers; y = 2 plus - sum.
//
// A block has 128 outputs by 128 rows; a warp 32 by 64.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "pquant/Layout/B16x256.h"
#include "pquant/Target/NVVM.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Weight tiles (16 outputs) and activation tiles (8 rows) of a warp, and
/// warps along the outputs and the rows.
static constexpr int64_t kWeightTiles = 2, kRowTiles = 8;
static constexpr int64_t kOutputWarps = 4, kRowWarps = 2;
static constexpr int64_t kMmaRows = 8;

namespace {
/// How one kind of weights is multiplied, chunk of columns by chunk.
struct GemmPlan {
  int64_t chunks;
  int64_t steps; ///< matrix instructions of a chunk
  /// Words that a lane loads of a weight tile, and those of one instruction.
  std::function<SmallVector<Value>(Value tile, Value chunk)> loadWeights;
  std::function<SmallVector<Value>(ArrayRef<Value> words, int64_t step)>
      weights;
  /// Words that a lane loads of a row of activations: two of each step.
  std::function<SmallVector<Value>(Value row, Value chunk)> loadRow;
  bool isBinary;
};

/// Builds the body of one block.
struct GemmBlock {
  KernelBuilder &b;
  const GPUBlock &block;
  const Linear &linear;
  const GemmPlan &plan;
  Lane at;
  Value firstTile, firstRow;

  GemmBlock(KernelBuilder &b, const GPUBlock &block, const Linear &linear,
            const GemmPlan &plan);
  void emit();
  SmallVector<Value> multiply(Value chunk, ValueRange carried);
  void store(ValueRange acc);
};
} // namespace

GemmBlock::GemmBlock(KernelBuilder &b, const GPUBlock &block,
                     const Linear &linear, const GemmPlan &plan)
    : b(b), block(block), linear(linear), plan(plan), at(b, block.thread) {
  Value alongOutputs =
      arith::RemUIOp::create(b, at.warp, b.index(kOutputWarps));
  Value alongRows = arith::DivUIOp::create(b, at.warp, b.index(kOutputWarps));
  firstTile =
      b.mul(b.add(b.mul(block.x, kOutputWarps), alongOutputs), kWeightTiles);
  firstRow =
      b.mul(b.add(b.mul(block.y, kRowWarps), alongRows), kRowTiles * kMmaRows);
}

SmallVector<Value> GemmBlock::multiply(Value chunk, ValueRange carried) {
  SmallVector<Value> acc(carried);
  SmallVector<SmallVector<Value>> weights, rows;
  Value lastTile = b.sub(linear.tiles, b.index(1));
  Value lastRow = b.sub(linear.rows, b.index(1));
  // Tiles and rows beyond the end are computed and not stored.
  for (int64_t i = 0; i < kWeightTiles; ++i)
    weights.push_back(plan.loadWeights(
        arith::MinUIOp::create(b, b.add(firstTile, i), lastTile), chunk));
  for (int64_t j = 0; j < kRowTiles; ++j) {
    Value row = b.add(b.add(firstRow, at.row), kMmaRows * j);
    rows.push_back(
        plan.loadRow(arith::MinUIOp::create(b, row, lastRow), chunk));
  }
  for (int64_t step = 0; step < plan.steps; ++step)
    for (int64_t i = 0; i < kWeightTiles; ++i) {
      SmallVector<Value> a = plan.weights(weights[i], step);
      for (int64_t j = 0; j < kRowTiles; ++j) {
        int64_t first = (i * kRowTiles + j) * 4;
        SmallVector<Value> sums(ArrayRef(acc).slice(first, 4));
        sums = mmaBytes(b, a, {rows[j][2 * step], rows[j][2 * step + 1]}, sums);
        llvm::copy(sums, acc.begin() + first);
      }
    }
  return acc;
}

/// Of a 16 x 8 result a lane has outputs lane / 4 and 8 below, of the rows
/// 2 (lane % 4) and the next.
void GemmBlock::store(ValueRange acc) {
  for (int64_t i = 0; i < kWeightTiles; ++i)
    for (int64_t j = 0; j < kRowTiles; ++j)
      for (int64_t part = 0; part < 4; ++part) {
        Value m = b.add(b.add(firstRow, kMmaRows * j),
                        b.add(b.add(at.quad, at.quad), part % 2));
        Value n = b.add(b.mul(b.add(firstTile, i), kBlockRows),
                        b.add(at.row, 8 * (part / 2)));
        Value sum = acc[(i * kRowTiles + j) * 4 + part];
        Value inside = b.compare(arith::CmpIPredicate::ult, m, linear.rows);
        b.ifElse(inside, [&] {
          if (plan.isBinary)
            sum = b.sub(b.add(sum, sum), b.load(linear.sum, m));
          storeResult(b, linear, m, n, sum, loadFactor(b, linear, m, n));
        });
      }
}

void GemmBlock::emit() {
  SmallVector<Value> acc(kWeightTiles * kRowTiles * 4,
                         b.constant(b.getI32Type(), 0));
  store(b.forLoop(b.index(0), b.index(plan.chunks), 1, acc,
                  [&](Value chunk, ValueRange carried) {
                    return multiply(chunk, carried);
                  }));
}

static bool hasWarpgroups(OpBuilder &builder) {
  Operation *parent = builder.getInsertionBlock()->getParentOp();
  auto module = dyn_cast<ModuleOp>(parent);
  if (!module)
    module = parent->getParentOfType<ModuleOp>();
  return module->getAttrOfType<TargetAttr>(kTargetAttrName)
      .getGpu()
      .hasCapability(kByteWgmma);
}

static void
emitGemm(OpBuilder &builder, const Linear &linear,
         llvm::function_ref<GemmPlan(KernelBuilder &, const Lane &)> plan) {
  KernelBuilder b(linear.loc, builder);
  Value outputBlocks = b.ceilDiv(linear.tiles, kOutputWarps * kWeightTiles);
  Value rowBlocks = b.ceilDiv(linear.rows, kRowWarps * kRowTiles * kMmaRows);
  buildLaunch(builder, linear.loc, {outputBlocks, rowBlocks}, kThreads, {},
              [&](KernelBuilder &b, const GPUBlock &block) {
                Lane at(b, block.thread);
                GemmPlan made = plan(b, at);
                GemmBlock(b, block, linear, made).emit();
              });
}

/// A chunk is half of a weight tile's columns, those of four nibbles of each
/// word: columns 32 quad + 16 (chunk % 2) and 128 behind, 16 of each.
void pquant::nvvm::emitBinaryGemm(OpBuilder &builder, const Linear &linear) {
  if (hasWarpgroups(builder))
    return emitBinaryWgmma(builder, linear);
  int64_t depth = llvm::divideCeil(linear.columns, layout::b16x256Columns);
  emitGemm(builder, linear, [&](KernelBuilder &b, const Lane &at) {
    GemmPlan plan;
    plan.chunks = 2 * depth;
    plan.steps = 4;
    plan.isBinary = true;
    auto halves = [&](Value chunk) {
      return std::pair<Value, Value>(
          arith::DivUIOp::create(b, chunk, b.index(2)),
          arith::RemUIOp::create(b, chunk, b.index(2)));
    };
    Type i32 = b.getI32Type();
    plan.loadWeights = [=, &b, &linear](Value tile, Value chunk) {
      auto [k, half] = halves(chunk);
      Value place =
          b.add(b.mul(b.add(b.mul(tile, depth), k), layout::b16x256TileBytes),
                b.mul(at.lane, 16));
      SmallVector<Value> words = loadWords(b, linear.weight, place, 4);
      Value shift = arith::IndexCastOp::create(b, i32, b.mul(half, 16));
      for (Value &word : words)
        word = arith::ShRUIOp::create(b, word, shift);
      return words;
    };
    plan.weights = [=, &b](ArrayRef<Value> words, int64_t step) {
      SmallVector<Value> spread;
      for (Value word : words) {
        Value nibble =
            b.bitAnd(b.shiftRightLogical(word, 4 * step), b.constant(i32, 15));
        spread.push_back(b.bitAnd(b.mul(nibble, b.constant(i32, 0x00204081)),
                                  b.constant(i32, 0x01010101)));
      }
      return spread;
    };
    plan.loadRow = [=, &b, &linear](Value row, Value chunk) {
      auto [k, half] = halves(chunk);
      SmallVector<Value> words[2];
      for (int64_t side = 0; side < 2; ++side) {
        Value column =
            b.add(b.add(b.mul(k, layout::b16x256Columns), 128 * side),
                  b.add(b.mul(at.quad, 32), b.mul(half, 16)));
        // Padding has no weights, so any activation will do.
        Value inside = b.compare(arith::CmpIPredicate::ult, column,
                                 b.index(linear.paddedColumns));
        column = b.select(inside, column, b.index(0));
        words[side] = loadWords(b, linear.input, {row, column}, 4);
      }
      SmallVector<Value> pairs;
      for (int64_t i = 0; i < 4; ++i)
        llvm::append_values(pairs, words[0][i], words[1][i]);
      return pairs;
    };
    return plan;
  });
}

/// A chunk is 64 columns, of which a lane has 16 in a row.
void pquant::nvvm::emitInt8Gemm(OpBuilder &builder, const Linear &linear) {
  if (hasWarpgroups(builder))
    return emitInt8Wgmma(builder, linear);
  emitGemm(builder, linear, [&](KernelBuilder &b, const Lane &at) {
    GemmPlan plan;
    plan.chunks = linear.paddedColumns / 64;
    plan.steps = 2;
    plan.isBinary = false;
    plan.loadWeights = [=, &b, &linear](Value tile, Value chunk) {
      Value groups = b.add(b.mul(tile, linear.paddedColumns / 4),
                           b.add(b.mul(chunk, 16), b.mul(at.quad, 4)));
      SmallVector<Value> words;
      for (int64_t group = 0; group < 4; ++group)
        for (int64_t half = 0; half < 2; ++half) {
          Value row = b.add(at.row, 8 * half);
          Value place = b.add(b.mul(b.add(groups, group), 64), b.mul(row, 4));
          words.push_back(loadWords(b, linear.weight, place, 1)[0]);
        }
      return words;
    };
    plan.weights = [](ArrayRef<Value> words, int64_t step) {
      return SmallVector<Value>(words.slice(4 * step, 4));
    };
    plan.loadRow = [=, &b, &linear](Value row, Value chunk) {
      Value column = b.add(b.mul(chunk, 64), b.mul(at.quad, 16));
      return loadWords(b, linear.input, {row, column}, 4);
    };
    return plan;
  });
}
