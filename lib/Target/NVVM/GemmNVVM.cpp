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
// A block has 128 outputs by 128 rows; a warp 32 by 64. Of experts, a block has
// one expert's 64 outputs by up to 64 of the rows that go to it: one block
// sorts the rows by expert first and makes a table of such groups.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Layout/B16x256.h"
#include "pquant/Target/NVVM.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static constexpr int64_t kMmaRows = 8;
/// Warps along the outputs and the rows.
static constexpr int64_t kOutputWarps = 4, kRowWarps = 2;

namespace {
/// Weight tiles (16 outputs) and activation tiles (8 rows) of a warp.
struct GemmShape {
  int64_t weightTiles, rowTiles;

  int64_t blockTiles() const { return kOutputWarps * weightTiles; }
  int64_t blockRows() const { return kRowWarps * rowTiles * kMmaRows; }
};

/// What a block computes.
struct GemmPart {
  Value tile;     ///< the first one of the weights
  Value row, end; ///< of the rows, or of `order`
  Value order;    ///< null where rows are in theirs
  Value expert;   ///< null for one matrix
};

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
  GemmShape shape;
  GemmPart part;
  Lane at;
  Value firstTile, firstRow;

  GemmBlock(KernelBuilder &b, const GPUBlock &block, const Linear &linear,
            const GemmPlan &plan, GemmShape shape, const GemmPart &part);
  void emit();

private:
  Value rowAt(Value place);
  SmallVector<Value> multiply(Value chunk, ValueRange carried);
  void store(ValueRange acc);
};
} // namespace

GemmBlock::GemmBlock(KernelBuilder &b, const GPUBlock &block,
                     const Linear &linear, const GemmPlan &plan,
                     GemmShape shape, const GemmPart &part)
    : b(b), block(block), linear(linear), plan(plan), shape(shape), part(part),
      at(b, block.thread) {
  Value alongOutputs =
      arith::RemUIOp::create(b, at.warp, b.index(kOutputWarps));
  Value alongRows = arith::DivUIOp::create(b, at.warp, b.index(kOutputWarps));
  firstTile = b.add(part.tile, b.mul(alongOutputs, shape.weightTiles));
  firstRow = b.add(part.row, b.mul(alongRows, shape.rowTiles * kMmaRows));
}

Value GemmBlock::rowAt(Value place) {
  if (!part.order)
    return place;
  return arith::IndexCastOp::create(b, b.getIndexType(),
                                    b.load(part.order, place));
}

SmallVector<Value> GemmBlock::multiply(Value chunk, ValueRange carried) {
  SmallVector<Value> acc(carried);
  SmallVector<SmallVector<Value>> weights, rows;
  Value lastTile = b.sub(linear.tiles, b.index(1));
  Value lastRow = b.sub(part.end, b.index(1));
  // Tiles and rows beyond the end are computed and not stored.
  for (int64_t i = 0; i < shape.weightTiles; ++i) {
    Value tile = arith::MinUIOp::create(b, b.add(firstTile, i), lastTile);
    if (part.expert)
      tile = b.add(tile, b.mul(part.expert, linear.tiles));
    weights.push_back(plan.loadWeights(tile, chunk));
  }
  for (int64_t j = 0; j < shape.rowTiles; ++j) {
    Value place = b.add(b.add(firstRow, at.row), kMmaRows * j);
    place = arith::MinUIOp::create(b, place, lastRow);
    rows.push_back(plan.loadRow(rowAt(place), chunk));
  }
  for (int64_t step = 0; step < plan.steps; ++step)
    for (int64_t i = 0; i < shape.weightTiles; ++i) {
      SmallVector<Value> a = plan.weights(weights[i], step);
      for (int64_t j = 0; j < shape.rowTiles; ++j) {
        int64_t first = (i * shape.rowTiles + j) * 4;
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
  for (int64_t i = 0; i < shape.weightTiles; ++i)
    for (int64_t j = 0; j < shape.rowTiles; ++j)
      for (int64_t which = 0; which < 4; ++which) {
        Value place = b.add(b.add(firstRow, kMmaRows * j),
                            b.add(b.add(at.quad, at.quad), which % 2));
        Value n = b.add(b.mul(b.add(firstTile, i), kBlockRows),
                        b.add(at.row, 8 * (which / 2)));
        Value sum = acc[(i * shape.rowTiles + j) * 4 + which];
        Value inside = b.compare(arith::CmpIPredicate::ult, place, part.end);
        b.ifElse(inside, [&] {
          Value m = rowAt(place);
          if (plan.isBinary)
            sum = b.sub(b.add(sum, sum), b.load(linear.sum, m));
          storeResult(b, linear, m, n, sum, loadFactor(b, linear, m, n));
        });
      }
}

void GemmBlock::emit() {
  SmallVector<Value> acc(shape.weightTiles * shape.rowTiles * 4,
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
  static constexpr GemmShape shape = {2, 8};
  KernelBuilder b(linear.loc, builder);
  Value outputBlocks = b.ceilDiv(linear.tiles, shape.blockTiles());
  Value rowBlocks = b.ceilDiv(linear.rows, shape.blockRows());
  buildLaunch(builder, linear.loc, {outputBlocks, rowBlocks}, kThreads, {},
              [&](KernelBuilder &b, const GPUBlock &block) {
                Lane at(b, block.thread);
                GemmPlan made = plan(b, at);
                GemmPart part;
                part.tile = b.mul(block.x, shape.blockTiles());
                part.row = b.mul(block.y, shape.blockRows());
                part.end = linear.rows;
                GemmBlock(b, block, linear, made, shape, part).emit();
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
static GemmPlan makeInt8Plan(KernelBuilder &b, const Lane &at,
                             const Linear &linear) {
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
}

void pquant::nvvm::emitInt8Gemm(OpBuilder &builder, const Linear &linear) {
  if (hasWarpgroups(builder))
    return emitInt8Wgmma(builder, linear);
  emitGemm(builder, linear, [&](KernelBuilder &b, const Lane &at) {
    return makeInt8Plan(b, at, linear);
  });
}

static constexpr GemmShape kExpertShape = {1, 4};

/// counts[the expert of row m] before 1 was added to it.
static Value countRow(KernelBuilder &b, const Linear &linear, Value m,
                      Value counts) {
  Value expert =
      arith::IndexCastOp::create(b, b.getIndexType(), b.load(linear.index, m));
  return memref::AtomicRMWOp::create(b, arith::AtomicRMWKind::addi,
                                     b.constant(b.getI32Type(), 1), counts,
                                     expert);
}

/// order = the rows by expert; groups[i] = the expert, the first place in
/// `order` and the one behind the last of the i-th group, or an empty one. The
/// order within an expert is that of the threads: no result depends on it.
static void sortRows(KernelBuilder &b, const GPUBlock &block,
                     const Linear &linear, int64_t experts, Value order,
                     Value groups) {
  Type i32 = b.getI32Type();
  Value counts = block.shared[0], places = block.shared[1];
  auto asIndex = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, b.getIndexType(), value);
  };
  auto asWord = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, i32, value);
  };
  b.forLoop(block.thread, b.index(experts), kBlockThreads,
            [&](Value expert) { b.store(b.constant(i32, 0), counts, expert); });
  gpu::BarrierOp::create(b);
  b.forLoop(block.thread, linear.rows, kBlockThreads,
            [&](Value m) { countRow(b, linear, m, counts); });
  gpu::BarrierOp::create(b);
  // Each expert's first place, and its groups.
  b.forLoop(block.thread, b.index(experts), kBlockThreads, [&](Value expert) {
    SmallVector<Value> before = b.forLoop(
        b.index(0), expert, 1, {b.index(0), b.index(0)},
        [&](Value other, ValueRange carried) {
          Value count = asIndex(b.load(counts, other));
          return SmallVector<Value>{
              b.add(carried[0], count),
              b.add(carried[1], b.ceilDiv(count, kExpertShape.blockRows()))};
        });
    b.store(asWord(before[0]), places, expert);
    Value end = b.add(before[0], asIndex(b.load(counts, expert)));
    b.forLoop(before[0], end, kExpertShape.blockRows(), [&](Value first) {
      Value group = b.add(
          before[1], arith::DivUIOp::create(b, b.sub(first, before[0]),
                                            b.index(kExpertShape.blockRows())));
      b.store(asWord(expert), groups, {group, b.index(0)});
      b.store(asWord(first), groups, {group, b.index(1)});
      b.store(asWord(end), groups, {group, b.index(2)});
    });
    // The last expert knows how many groups there are.
    Value isLast =
        b.compare(arith::CmpIPredicate::eq, expert, b.index(experts - 1));
    b.ifElse(isLast, [&] {
      Value count = asIndex(b.load(counts, expert));
      Value used = b.add(before[1], b.ceilDiv(count, kExpertShape.blockRows()));
      b.forLoop(used, b.dim(groups, 0), 1, [&](Value group) {
        for (int64_t i = 0; i < 3; ++i)
          b.store(b.constant(i32, 0), groups, {group, b.index(i)});
      });
    });
  });
  gpu::BarrierOp::create(b);
  b.forLoop(block.thread, linear.rows, kBlockThreads, [&](Value m) {
    Value place = asIndex(countRow(b, linear, m, places));
    b.store(asWord(m), order, place);
  });
}

/// The rows of each expert together.
static void emitExpertGemm(OpBuilder &builder, const Linear &linear,
                           int64_t experts) {
  KernelBuilder b(linear.loc, builder);
  Type i32 = b.getI32Type();
  // Every expert can have one group that is not full.
  Value most = b.add(b.ceilDiv(linear.rows, kExpertShape.blockRows()), experts);
  auto allocate = [&](ArrayRef<int64_t> shape, Value size) {
    return gpu::AllocOp::create(b, MemRefType::get(shape, i32), Type(),
                                ValueRange(), size, ValueRange())
        .getMemref();
  };
  Value order = allocate({ShapedType::kDynamic}, linear.rows);
  Value groups = allocate({ShapedType::kDynamic, 3}, most);
  Type words = getSharedType({experts}, i32);
  buildLaunch(b, linear.loc, {}, kBlockThreads, {words, words},
              [&](KernelBuilder &b, const GPUBlock &block) {
                sortRows(b, block, linear, experts, order, groups);
              });
  buildLaunch(
      b, linear.loc, {b.ceilDiv(linear.tiles, kExpertShape.blockTiles()), most},
      kThreads, {}, [&](KernelBuilder &b, const GPUBlock &block) {
        SmallVector<Value> group;
        for (int64_t i = 0; i < 3; ++i)
          group.push_back(arith::IndexCastOp::create(
              b, b.getIndexType(), b.load(groups, {block.y, b.index(i)})));
        Value isUsed = b.compare(arith::CmpIPredicate::ult, group[1], group[2]);
        b.ifElse(isUsed, [&] {
          GemmPart part;
          part.tile = b.mul(block.x, kExpertShape.blockTiles());
          part.expert = group[0];
          part.row = group[1];
          part.end = arith::MinUIOp::create(
              b, group[2], b.add(group[1], kExpertShape.blockRows()));
          part.order = order;
          GemmPlan plan = makeInt8Plan(b, Lane(b, block.thread), linear);
          GemmBlock(b, block, linear, plan, kExpertShape, part).emit();
        });
      });
  gpu::DeallocOp::create(b, Type(), ValueRange(), groups);
  gpu::DeallocOp::create(b, Type(), ValueRange(), order);
}

void pquant::nvvm::emitExpertMma(OpBuilder &builder, Operation *op) {
  int64_t experts =
      cast<MemRefType>(cast<pqk::ExpertLinearOp>(op).getWeightScale().getType())
          .getDimSize(0);
  Linear linear(builder, op);
  emitByRows(
      builder, linear, [&](OpBuilder &inner) { emitInt8Dot(inner, op); },
      [&](OpBuilder &inner) { emitExpertGemm(inner, linear, experts); });
}
