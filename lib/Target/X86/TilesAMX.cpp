//===- TilesAMX.cpp - Matrix-matrix kernels on AMX tiles ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tile is 16 rows of 64 bytes. tdpb*d adds to 16 x 16 sums (rows x outputs)
// the products of an activation tile, 16 rows x 64 columns, and a weight tile,
// whose row r holds columns 4r .. 4r+3 of 16 outputs. All eight registers are
// used: 2 x 2 sums, two activation and two weight tiles.
//
// - Activations are packed once per call, tile by tile, so that a tile is
//   loaded from 1024 consecutive bytes.
// - INT8 weights in layout i8x16x4 are weight tiles as they are stored.
// - 1-bit weights are expanded to bytes 0 and 1: two lines of layout d16 are
//   one weight tile, if the columns of each 32 activations are transposed as
//   x86::emitTransposedRow says. The first rows expand the weights of a chunk
//   of columns a few steps ahead of their use, between the tile instructions,
//   and leave them in the first-level cache for the other rows. Up to 32 rows,
//   there are no others: then all columns are one chunk, and its weights are
//   overwritten as soon as they have been used.
//
// A sum is exact: at most 128 * K for 1-bit and 128 * 128 * K for INT8 weights,
// below 2^31 for K < 131072.
//
//===----------------------------------------------------------------------===//

#include "X86Kernels.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace pquant;

static constexpr int64_t kTileRows = 16;
static constexpr int64_t kTileColumns = 64;
static constexpr int64_t kTileBytes = kTileRows * kTileColumns;
/// Steps of 64 columns whose expanded weights are kept: 8 KB for each of two
/// blocks. A power of two.
static constexpr int64_t kChunkSteps = 8;
static constexpr int64_t kPanelBytes = kChunkSteps * kTileBytes;
/// Rows that a thread takes together: at least and at most (the sums of two
/// blocks are 64 KB then), and the bytes that their packed activations may have
/// to stay in a second-level cache of 2 MB.
static constexpr int64_t kLeastRows = 64;
static constexpr int64_t kMostRows = 512;
static constexpr int64_t kRowBytes = 768 << 10;
/// Rows whose results a step prefetches: a chunk's steps those of a group.
static constexpr int64_t kPrefetchRows = 2 * kTileRows / kChunkSteps;
/// Steps that are expanded before the first is used.
static constexpr int64_t kLead = 3;
/// Multiplications that make a range worth a thread.
static constexpr int64_t kGrainProducts = 1 << 22;

//===----------------------------------------------------------------------===//
// Tile instructions
//===----------------------------------------------------------------------===//

namespace {
/// Instructions on whole tiles and the addresses that they take.
class Tiles {
public:
  explicit Tiles(KernelBuilder &b)
      : b(b), type(LLVM::LLVMX86AMXType::get(b.getContext())) {}

  Type getType() const { return type; }
  /// The address of the first byte of a memref.
  Value address(Value memref);
  Value zero();
  Value load(Value base, Value offset);
  void store(Value tile, Value base, Value offset);
  Value dot(StringRef intrinsic, Value acc, Value rows, Value weights);

private:
  Value size(int64_t value) { return b.constant(b.getI16Type(), value); }
  Value at(Value base, Value offset);

  KernelBuilder &b;
  Type type;
};
} // namespace

static Value ceilDiv(KernelBuilder &b, Value value, Value by) {
  return b.div(b.add(value, b.sub(by, b.index(1))), by);
}

static Value toI64(KernelBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI64Type(), index);
}

Value Tiles::address(Value memref) {
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  auto type = cast<MemRefType>(memref.getType());
  if (!type.getLayout().isIdentity()) {
    auto parts = memref::ExtractStridedMetadataOp::create(b, memref);
    base = b.add(base,
                 b.mul(parts.getOffset(), type.getElementTypeBitWidth() / 8));
  }
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  return LLVM::IntToPtrOp::create(b, pointer, toI64(b, base));
}

Value Tiles::at(Value base, Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{toI64(b, offset)});
}

Value Tiles::zero() {
  return b.intrinsic("llvm.x86.tilezero.internal", type,
                     {size(kTileRows), size(kTileColumns)});
}

Value Tiles::load(Value base, Value offset) {
  return b.intrinsic("llvm.x86.tileloadd64.internal", type,
                     {size(kTileRows), size(kTileColumns), at(base, offset),
                      b.constant(b.getI64Type(), kTileColumns)});
}

void Tiles::store(Value tile, Value base, Value offset) {
  LLVM::CallIntrinsicOp::create(
      b, b.getStringAttr("llvm.x86.tilestored64.internal"),
      ValueRange{size(kTileRows), size(kTileColumns), at(base, offset),
                 b.constant(b.getI64Type(), kTileColumns), tile});
}

Value Tiles::dot(StringRef intrinsic, Value acc, Value rows, Value weights) {
  return b.intrinsic(intrinsic, type,
                     {size(kTileRows), size(kTileColumns), size(kTileColumns),
                      acc, rows, weights});
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

namespace {
/// What the 1-bit and the INT8 kernel differ in.
struct TilePlan {
  StringRef dot;
  Correction fix;
  bool expand; ///< weights are bits
};

/// The part of a kernel that one thread works on.
class TileGemm {
public:
  TileGemm(KernelBuilder &b, const LinearArgs &args, const TilePlan &plan,
           Value prepared);
  /// `count` (1 or 2) blocks of outputs of a panel of rows.
  void emitBlocks(int64_t count, Value block, Value firstRow, Value rows);

private:
  void emitChunk(Value firstRow, Value rows, Value from);
  void emitGroup(int64_t count, Value tile, Value row, bool expand);
  void emitOutputPrefetch(Value row, Value step);
  void emitSums(Value firstRow, Value tile, Value rows);
  void emitLine(Value step, int64_t line);
  SmallVector<Value> emitProducts(ValueRange rowBases, Value step,
                                  ValueRange acc,
                                  llvm::function_ref<void(int64_t)> between);
  SmallVector<Value> loadSums(int64_t count, Value tile);
  Value inPanel(Value step) {
    return b.mul(b.bitAnd(step, b.index(kChunkSteps - 1)), kTileBytes);
  }

  KernelBuilder &b;
  Tiles tiles;
  const LinearArgs &args;
  const TilePlan &plan;
  Value sums, panel; ///< memory
  Value rowsAt, sumsAt, weightsAt;
  Value chunk; ///< columns

  // The work in hand.
  int64_t blocks = 0;
  Value block, k0, steps;
};
} // namespace

TileGemm::TileGemm(KernelBuilder &b, const LinearArgs &args,
                   const TilePlan &plan, Value prepared)
    : b(b), tiles(b), args(args), plan(plan) {
  sums = b.stackBuffer({2 * kMostRows, kBlockRows}, b.getI32Type());
  if (plan.expand)
    panel = b.stackBuffer({2 * kPanelBytes}, b.getI8Type());
  rowsAt = tiles.address(prepared);
  sumsAt = tiles.address(sums);
  weightsAt = tiles.address(plan.expand ? panel : args.weight);
  Value few =
      b.compare(arith::CmpIPredicate::sle, args.rows, b.index(2 * kTileRows));
  chunk = b.select(few, args.columns, b.index(kChunkSteps * kTileColumns));
}

/// Expands line `line` (of two for each block) of a step, and prefetches the
/// one that is a chunk ahead: where the columns end, in the next pair of
/// blocks.
void TileGemm::emitLine(Value step, int64_t line) {
  int64_t j = line / 2, half = line % 2;
  Value column = b.add(k0, b.mul(step, kTileColumns));
  Value from = b.mul(
      b.add(b.mul(b.add(block, j), args.columns), b.add(column, 32 * half)), 2);
  Value ahead = b.add(column, kChunkSteps * kTileColumns);
  Value skipped =
      b.select(b.compare(arith::CmpIPredicate::sge, ahead, args.columns),
               args.columns, b.index(0));
  b.prefetch(args.weight,
             b.add(from, b.mul(b.add(skipped, kChunkSteps * kTileColumns), 2)));
  x86::emitExpandedLine(
      b, b.loadBytes(args.weight, from, b.veci(32, 16)), panel,
      b.add(inPanel(step), j * kPanelBytes + half * kTileBytes / 2));
}

/// One step: all tiles are loaded by the second product, into registers of
/// their own. `between` is called after each product.
SmallVector<Value>
TileGemm::emitProducts(ValueRange rowBases, Value step, ValueRange acc,
                       llvm::function_ref<void(int64_t)> between) {
  Value at = b.mul(step, kTileBytes);
  SmallVector<Value> weights, rows, next;
  auto loadWeights = [&](int64_t j) {
    Value offset;
    if (plan.expand)
      offset = b.add(inPanel(step), j * kPanelBytes);
    else
      offset = b.add(
          b.mul(b.add(b.mul(b.add(block, j), args.columns), k0), kBlockRows),
          at);
    weights.push_back(tiles.load(weightsAt, offset));
  };
  auto loadRows = [&](Value base) {
    rows.push_back(tiles.load(rowsAt, b.add(base, at)));
  };
  loadWeights(0);
  loadRows(rowBases.front());
  for (size_t i = 0; i < acc.size(); ++i) {
    next.push_back(
        tiles.dot(plan.dot, acc[i], rows[i / blocks], weights[i % blocks]));
    if (i == 0) {
      if (blocks == 2)
        loadWeights(1);
      if (rowBases.size() == 2)
        loadRows(rowBases.back());
    }
    between(i);
  }
  return next;
}

/// Zero before the first chunk, the sums so far after it.
SmallVector<Value> TileGemm::loadSums(int64_t count, Value tile) {
  SmallVector<Type> types(count * blocks, tiles.getType());
  Value first = b.compare(arith::CmpIPredicate::eq, k0, b.index(0));
  auto choice = scf::IfOp::create(b, types, first, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> zeros, loaded;
  b.setInsertionPointToStart(choice.thenBlock());
  for (int64_t i = 0; i < count * blocks; ++i)
    zeros.push_back(tiles.zero());
  scf::YieldOp::create(b, zeros);
  b.setInsertionPointToStart(choice.elseBlock());
  Value base = b.mul(tile, blocks * kTileBytes);
  for (int64_t i = 0; i < count * blocks; ++i)
    loaded.push_back(tiles.load(sumsAt, b.add(base, i * kTileBytes)));
  scf::YieldOp::create(b, loaded);
  return SmallVector<Value>(choice.getResults());
}

/// Adds the chunk to the sums of `count` row tiles from `tile` of the panel,
/// whose first row is `row`.
void TileGemm::emitGroup(int64_t count, Value tile, Value row, bool expand) {
  SmallVector<Value> bases;
  for (int64_t i = 0; i < count; ++i)
    bases.push_back(b.add(b.mul(b.add(row, i * kTileRows), args.columns),
                          b.mul(k0, kTileRows)));
  Value zero = b.index(0), start = zero;
  if (expand)
    b.forLoop(zero, b.min(steps, b.index(kLead)), 1, [&](Value step) {
      for (int64_t line = 0; line < 2 * blocks; ++line)
        emitLine(step, line);
    });
  SmallVector<Value> acc = loadSums(count, tile);
  if (expand) {
    start = b.max(b.sub(steps, b.index(kLead)), zero);
    acc = b.forLoop(zero, start, 1, acc, [&](Value step, ValueRange carried) {
      Value ahead = b.add(step, kLead);
      return emitProducts(bases, step, carried, [&](int64_t product) {
        if (product == 0)
          emitOutputPrefetch(row, step);
        for (int64_t i = 0; i < 2 / count; ++i)
          emitLine(ahead, product * 2 / count + i);
      });
    });
  }
  acc = b.forLoop(start, steps, 1, acc, [&](Value step, ValueRange carried) {
    return emitProducts(bases, step, carried, [&](int64_t product) {
      if (product == 0)
        emitOutputPrefetch(row, step);
    });
  });
  Value base = b.mul(tile, blocks * kTileBytes);
  for (auto [i, sum] : llvm::enumerate(acc))
    tiles.store(sum, sumsAt, b.add(base, i * kTileBytes));
}

/// Prefetches the results of four of the 32 rows from `row` on: their lines lie
/// far apart, where no hardware foresees them. Eight steps reach all rows.
void TileGemm::emitOutputPrefetch(Value row, Value step) {
  Value first = b.add(
      row, b.mul(b.bitAnd(step, b.index(kChunkSteps - 1)), kPrefetchRows));
  for (int64_t i = 0; i < kPrefetchRows; ++i)
    for (int64_t j = 0; j < blocks; ++j)
      b.prefetch(args.output,
                 {b.add(first, i), b.mul(b.add(block, j), kBlockRows)},
                 /*isWrite=*/true);
}

/// The results of up to 32 rows from `tile` of the panel.
void TileGemm::emitSums(Value firstRow, Value tile, Value rows) {
  for (int64_t j = 0; j < blocks; ++j)
    emitEpilogueRows(
        b, args, plan.fix, firstRow, rows, b.add(block, j), [&](Value row) {
          // The tiles of a row tile lie side by side.
          Value local = b.div(row, b.index(kTileRows));
          Value line = b.add(row, b.mul(local, kTileRows * (blocks - 1)));
          Value base = b.mul(tile, kTileRows * blocks);
          return b.loadVector(
              sums, {b.add(b.add(base, line), kTileRows * j), b.index(0)},
              b.veci(kBlockRows, 32));
        });
}

/// Adds columns [from, from + chunk) to the sums of a panel of rows, two row
/// tiles at a time; the last chunk writes the results.
void TileGemm::emitChunk(Value firstRow, Value rows, Value from) {
  k0 = from;
  Value end = b.min(b.add(k0, chunk), args.columns);
  steps = b.div(b.sub(end, k0), b.index(kTileColumns));
  Value last = b.compare(arith::CmpIPredicate::eq, end, args.columns);
  b.forLoop(b.index(0), rows, 2 * kTileRows, [&](Value row) {
    Value left = b.min(b.sub(rows, row), b.index(2 * kTileRows));
    Value tile = b.div(row, b.index(kTileRows));
    Value inputRow = b.add(firstRow, row);
    Value two = b.compare(arith::CmpIPredicate::sgt, left, b.index(kTileRows));
    auto emit = [&](bool expand) {
      b.ifElse(
          two, [&] { emitGroup(2, tile, inputRow, expand); },
          [&] { emitGroup(1, tile, inputRow, expand); });
    };
    if (plan.expand)
      b.ifElse(
          b.compare(arith::CmpIPredicate::eq, row, b.index(0)),
          [&] { emit(/*expand=*/true); }, [&] { emit(/*expand=*/false); });
    else
      emit(/*expand=*/false);
    b.ifElse(last, [&] { emitSums(inputRow, tile, left); });
  });
}

void TileGemm::emitBlocks(int64_t count, Value first, Value firstRow,
                          Value rows) {
  blocks = count;
  block = first;
  b.forLoop(b.index(0), ceilDiv(b, args.columns, chunk), 1,
            [&](Value i) { emitChunk(firstRow, rows, b.mul(i, chunk)); });
}

/// The rows of a panel, a multiple of 32: panels are alike and no larger than
/// the constants above say.
static Value emitPanelRows(KernelBuilder &b, const LinearArgs &args) {
  constexpr int64_t pair = 2 * kTileRows;
  Value fitting =
      b.mul(b.div(b.index(kRowBytes), b.mul(args.columns, pair)), pair);
  Value most = b.min(b.max(fitting, b.index(kLeastRows)), b.index(kMostRows));
  Value rows = b.max(args.rows, b.index(1));
  Value each = ceilDiv(b, rows, ceilDiv(b, rows, most));
  return b.mul(b.ceilDiv(each, pair), pair);
}

/// Packs the activations of rows from 16 * `tile` on; rows of the last tile
/// that do not exist stay as they are, and so do their sums, which nobody
/// reads.
static void emitPackedRows(KernelBuilder &b, const LinearArgs &args,
                           const TilePlan &plan, Value tile, Value to) {
  VectorType line = b.veci(kTileColumns, 8);
  SmallVector<int64_t> order;
  for (int64_t half = 0; half < 64; half += 32)
    for (int64_t j = 0; j < 8; ++j)
      for (int64_t i = 0; i < 4; ++i)
        order.push_back(half + 8 * i + j);
  Value firstRow = b.mul(tile, kTileRows);
  Value rows = b.min(b.index(kTileRows), b.sub(args.rows, firstRow));
  b.forLoop(b.index(0), args.columns, kTileColumns, [&](Value k) {
    Value base = b.mul(b.add(b.mul(tile, args.columns), k), kTileRows);
    b.forLoop(b.index(0), rows, 1, [&](Value row) {
      Value x = b.loadVector(args.input, {b.add(firstRow, row), k}, line);
      if (plan.expand)
        x = b.shuffle(x, x, order);
      b.storeVector(x, to, b.add(base, b.mul(row, kTileColumns)));
    });
  });
}

static void emitTileGemm(KernelBuilder &b, const LinearArgs &args,
                         const TilePlan &plan) {
  Value rowTiles = b.ceilDiv(args.rows, kTileRows);
  Value tileBytes = b.mul(args.columns, kTileRows);
  Value prepared = b.heapBytes(b.mul(tileBytes, rowTiles));
  Value packGrain = b.add(b.div(b.index(65536), tileBytes), 1);
  b.parallel(rowTiles, packGrain, [&](Value begin, Value end) {
    b.forLoop(begin, end, 1, [&](Value tile) {
      emitPackedRows(b, args, plan, tile, prepared);
    });
  });
  // Shares are pairs of blocks, so that only the last may be a single one.
  Value products = b.mul(b.mul(args.columns, args.rows), 2 * kBlockRows);
  Value grain = b.add(b.div(b.index(kGrainProducts), products), 1);
  Value panelRows = emitPanelRows(b, args);
  b.parallel(b.ceilDiv(args.blocks, 2), grain, [&](Value begin, Value end) {
    TileGemm gemm(b, args, plan, prepared);
    b.forLoop(b.index(0), ceilDiv(b, args.rows, panelRows), 1, [&](Value i) {
      Value firstRow = b.mul(i, panelRows);
      Value rows = b.min(panelRows, b.sub(args.rows, firstRow));
      b.forEachTile(b.mul(begin, 2), b.min(b.mul(end, 2), args.blocks), {2, 1},
                    [&](int64_t count, Value block) {
                      gemm.emitBlocks(count, block, firstRow, rows);
                    });
    });
  });
  b.free(prepared);
}

void x86::emitBinaryTiles(KernelBuilder &b, const KernelSpec &spec,
                          ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitLookupGemv(b, args); },
      [&] {
        emitTileGemm(b, args,
                     {"llvm.x86.tdpbsud.internal", Correction::PlusSum,
                      /*expand=*/true});
      });
}

void x86::emitInt8Tiles(KernelBuilder &b, const KernelSpec &spec,
                        ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitByRows(
      b, args, [&] { emitVnniGemv(b, args); },
      [&] {
        emitTileGemm(b, args,
                     {"llvm.x86.tdpbssd.internal", Correction::None,
                      /*expand=*/false});
      });
}
