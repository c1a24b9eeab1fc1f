//===- AttentionMmaNVVM.cpp - Attention of many rows on a GPU -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block has 64 query rows of one head, a warp 16 of them, and goes over the
// keys in tiles of 32, which pass through shared memory as f32. Logits and
// results are mma.m16n8k8 of tf32; each f32 operand is the sum of two tf32,
// and the product of the two low parts, below 2^-20 of the whole, is left out.
// Rows keep their largest logit and scale their sums down when it grows, as in
// AttentionNVVM.cpp, all in registers: a quad of lanes shares two rows.
//
// The order of the elements within a sum is free. Of 16 columns of a query or
// key a lane takes four that lie side by side, for two instructions. The eight
// keys of an instruction of the second product are those of which the lane has
// the weights, 2 quad and the next; its columns n, of four instructions
// together, are 4 n to 4 n + 3.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static constexpr int64_t kKeys = 32, kRows = 64, kWarpRows = 16;
static constexpr int64_t kTileThreads = kRows / kWarpRows * kWarp;
/// Keys or columns of an instruction.
static constexpr int64_t kMmaColumns = 8, kKeyTiles = kKeys / kMmaColumns;
/// Columns that one load of a warp covers.
static constexpr int64_t kDepthStep = 16, kWidthStep = 32;
/// More columns do not fit in the registers.
static constexpr int64_t kMostColumns = 128;
/// Rows up to which a block for each is faster.
static constexpr int64_t kFewRows = 16;
static constexpr float kNegativeInfinity =
    -std::numeric_limits<float>::infinity();
static constexpr float kLog2E = 1.44269504f;

namespace {
/// An f32 as the sum of two tf32, in 32-bit words; `low` is null where it is 0.
struct Split {
  Value high, low;
};

/// What passes through shared memory: kKeys rows of f32.
struct Tile {
  Value cache, memory;
  int64_t columns, padded;
  int64_t stride; ///< of the rows in `memory`

  bool hasSteps() const { return getElement().isInteger(8); }
  /// Whether elements are tf32 as they are.
  bool isExact() const { return getElement().isF16(); }
  Type getElement() const {
    return cast<MemRefType>(cache.getType()).getElementType();
  }
};

/// Builds one block's body.
struct AttentionTiles {
  KernelBuilder &b;
  const GPUBlock &block;
  pqk::AttentionOp op;
  Lane at;
  Tile keys, values;
  Value batch, head, group;
  Value rows, end;  ///< S, T
  Value firstRow;   ///< of the block
  Value row[2];     ///< of the lane
  Value clamped[2]; ///< the same, of the last row where beyond
  Value visible[2]; ///< keys that the row sees
  SmallVector<Value> query;

  AttentionTiles(KernelBuilder &b, const GPUBlock &block, pqk::AttentionOp op);
  void emit();

private:
  Value loadElement(const Tile &tile, Value key, Value column, Value step);
  SmallVector<Value> loadGroup(const Tile &tile, Value key, Value column);
  void loadTile(const Tile &tile, Value first);
  void loadQuery();
  SmallVector<Value> loadShared(const Tile &tile, Value place, int64_t offset);
  Split split(Value value, bool isExact = false);
  SmallVector<Value> multiply(ArrayRef<Split> a, ArrayRef<Split> x,
                              ValueRange c);
  SmallVector<Value> multiplyKeys();
  Value logit(Value product, int64_t which, Value key);
  Value exponential(Value x, Value reference);
  void addValues(ArrayRef<Value> weights, MutableArrayRef<Value> sums);
  SmallVector<Value> addKeys(Value first, ValueRange carried);
  void store(ArrayRef<Value> state);
};
} // namespace

/// Whether groups of four elements have the alignment of vectors.
static bool isAligned(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  auto isMultiple = [](int64_t value) {
    return !ShapedType::isDynamic(value) && value % 4 == 0;
  };
  // In a contiguous memref the outer strides are multiples of the inner ones.
  if (type.getLayout().isIdentity())
    return isMultiple(type.getShape().back());
  return isMultiple(offset) &&
         llvm::all_of(ArrayRef(strides).drop_back(), isMultiple);
}

static Tile makeTile(Value cache, Value memory, Value like, int64_t step) {
  Tile tile{cache, memory, cast<MemRefType>(like.getType()).getDimSize(3), 0,
            0};
  tile.padded = llvm::alignTo(tile.columns, step);
  return tile;
}

/// Rows g and g + 1, 16 columns each, are in different banks.
static int64_t getKeyStride(int64_t padded) {
  return padded % 32 == 16 ? padded : padded + 16;
}
/// Rows 0, 2, 4 and 6, eight columns each, are in different banks.
static int64_t getValueStride(int64_t padded) { return padded + 4; }

AttentionTiles::AttentionTiles(KernelBuilder &b, const GPUBlock &block,
                               pqk::AttentionOp op)
    : b(b), block(block), op(op), at(b, block.thread),
      keys(makeTile(op.getKey(), block.shared[0], op.getQuery(), kDepthStep)),
      values(
          makeTile(op.getValue(), block.shared[1], op.getOutput(), kWidthStep)),
      rows(b.dim(op.getQuery(), 2)), end(b.dim(op.getKey(), 2)) {
  keys.stride = getKeyStride(keys.padded);
  values.stride = getValueStride(values.padded);
  Value heads = b.dim(op.getQuery(), 1);
  batch = arith::DivUIOp::create(b, block.y, heads);
  head = arith::RemUIOp::create(b, block.y, heads);
  Value share = arith::DivUIOp::create(b, heads, b.dim(op.getKey(), 1));
  group = arith::DivUIOp::create(b, head, share);
  // Blocks that see most keys come first.
  Value last = b.sub(b.ceilDiv(rows, kRows), b.index(1));
  firstRow = b.mul(b.sub(last, block.x), kRows);
  for (int64_t i = 0; i < 2; ++i) {
    row[i] =
        b.add(b.add(firstRow, b.mul(at.warp, kWarpRows)), b.add(at.row, 8 * i));
    clamped[i] = arith::MinUIOp::create(b, row[i], b.sub(rows, b.index(1)));
    visible[i] = end;
    // The last query stands by the last key.
    if (op.getCausal())
      visible[i] = b.add(b.add(clamped[i], b.sub(end, rows)), 1);
  }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value AttentionTiles::loadElement(const Tile &tile, Value key, Value column,
                                  Value step) {
  Value value = b.load(tile.cache, {batch, group, key, column});
  if (step)
    return b.mul(arith::SIToFPOp::create(b, b.getF32Type(), value), step);
  if (value.getType().isF32())
    return value;
  return arith::ExtFOp::create(b, b.getF32Type(), value);
}

/// Four elements of a key from `column` on; 0 beyond the columns.
SmallVector<Value> AttentionTiles::loadGroup(const Tile &tile, Value key,
                                             Value column) {
  SmallVector<Value> group4;
  if (tile.columns == tile.padded && isAligned(tile.cache) &&
      !tile.hasSteps()) {
    unsigned bytes = tile.getElement().getIntOrFloatBitWidth() / 2;
    Value four =
        vector::LoadOp::create(b, b.vec(4, tile.getElement()), tile.cache,
                               ValueRange{batch, group, key, column},
                               /*nontemporal=*/false, llvm::MaybeAlign(bytes));
    if (!tile.getElement().isF32())
      four = arith::ExtFOp::create(b, b.vecf(4), four);
    for (int64_t i = 0; i < 4; ++i)
      group4.push_back(vector::ExtractOp::create(b, four, i));
    return group4;
  }
  Value step;
  if (tile.hasSteps())
    step = loadCacheStep(b, tile.cache, {batch, group, key}, tile.columns);
  for (int64_t i = 0; i < 4; ++i) {
    Value own = b.add(column, i);
    if (tile.columns == tile.padded) {
      group4.push_back(loadElement(tile, key, own, step));
      continue;
    }
    Value inside =
        b.compare(arith::CmpIPredicate::ult, own, b.index(tile.columns));
    own = b.select(inside, own, b.index(0));
    group4.push_back(
        b.select(inside, loadElement(tile, key, own, step), b.f32(0.0f)));
  }
  return group4;
}

/// The keys from `first` on; of the last one where beyond the end.
void AttentionTiles::loadTile(const Tile &tile, Value first) {
  Value lastKey = b.sub(end, b.index(1));
  int64_t groups = tile.padded / 4;
  SmallVector<std::pair<Value, SmallVector<Value>>> loaded;
  for (int64_t i = 0; i < kKeys * groups; i += kTileThreads) {
    bool whole = kTileThreads % groups == 0;
    Value number = whole ? block.thread : b.add(block.thread, i);
    Value key = arith::DivUIOp::create(b, number, b.index(groups));
    if (whole)
      key = b.add(key, i / groups);
    Value column = b.mul(arith::RemUIOp::create(b, number, b.index(groups)), 4);
    Value source = arith::MinUIOp::create(b, b.add(first, key), lastKey);
    loaded.emplace_back(b.add(b.mul(key, tile.stride), column),
                        loadGroup(tile, source, column));
  }
  for (auto &[place, group4] : loaded) {
    Value four = vector::FromElementsOp::create(b, b.vecf(4), group4);
    vector::StoreOp::create(b, four, tile.memory, place, /*nontemporal=*/false,
                            llvm::MaybeAlign(16));
  }
}

/// For each 16 columns the lane's four of its first row, then of its second.
void AttentionTiles::loadQuery() {
  for (int64_t j = 0; j < keys.padded; j += kDepthStep)
    for (Value own : clamped)
      for (int64_t i = 0; i < 4; ++i) {
        Value column = b.add(b.mul(at.quad, 4), j + i);
        Value inside =
            b.compare(arith::CmpIPredicate::ult, column, b.index(keys.columns));
        Value source = b.select(inside, column, b.index(0));
        Value element = b.load(op.getQuery(), {batch, head, own, source});
        query.push_back(b.select(inside, element, b.f32(0.0f)));
      }
}

SmallVector<Value> AttentionTiles::loadShared(const Tile &tile, Value place,
                                              int64_t offset) {
  Value four = vector::LoadOp::create(
      b, b.vecf(4), tile.memory, ValueRange{b.add(place, offset)},
      /*nontemporal=*/false, llvm::MaybeAlign(16));
  SmallVector<Value> elements;
  for (int64_t i = 0; i < 4; ++i)
    elements.push_back(vector::ExtractOp::create(b, four, i));
  return elements;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Split AttentionTiles::split(Value value, bool isExact) {
  Type i32 = b.getI32Type();
  Value word = arith::BitcastOp::create(b, i32, value);
  if (isExact)
    return {word, {}};
  // A tf32 is an f32 without its low 13 bits, which instructions ignore.
  Value high = b.bitAnd(word, b.constant(i32, ~int64_t(0x1fff)));
  Value rest = b.sub(value, arith::BitcastOp::create(b, b.getF32Type(), high));
  return {high, arith::BitcastOp::create(b, i32, rest)};
}

SmallVector<Value> AttentionTiles::multiply(ArrayRef<Split> a,
                                            ArrayRef<Split> x, ValueRange c) {
  auto take = [](ArrayRef<Split> parts, bool high) {
    return llvm::map_to_vector(
        parts, [&](Split part) { return high ? part.high : part.low; });
  };
  SmallVector<Value> sums = mmaFloats(b, take(a, false), take(x, true), c);
  if (x.front().low)
    sums = mmaFloats(b, take(a, true), take(x, false), sums);
  return mmaFloats(b, take(a, true), take(x, true), sums);
}

/// The products with the tile's keys, four for each eight keys: of the first
/// row with keys 2 quad and the next, then of the second.
SmallVector<Value> AttentionTiles::multiplyKeys() {
  SmallVector<SmallVector<Value>> sums(kKeyTiles,
                                       SmallVector<Value>(4, b.f32(0.0f)));
  Value place = b.add(b.mul(at.row, keys.stride), b.mul(at.quad, 4));
  for (int64_t j = 0; j < keys.padded; j += kDepthStep) {
    SmallVector<Split> own;
    for (Value element : ArrayRef(query).slice(j / 2, 8))
      own.push_back(split(element));
    SmallVector<SmallVector<Split>> others(kKeyTiles);
    for (int64_t n = 0; n < kKeyTiles; ++n)
      for (Value element :
           loadShared(keys, place, n * kMmaColumns * keys.stride + j))
        others[n].push_back(split(element, keys.isExact()));
    for (int64_t step = 0; step < 4; step += 2) {
      Split a[] = {own[step], own[4 + step], own[step + 1], own[5 + step]};
      for (int64_t n = 0; n < kKeyTiles; ++n)
        sums[n] = multiply(a, ArrayRef(others[n]).slice(step, 2), sums[n]);
    }
  }
  SmallVector<Value> all;
  for (ArrayRef<Value> four : sums)
    llvm::append_range(all, four);
  return all;
}

/// -inf for keys that the lane's row does not see.
Value AttentionTiles::logit(Value product, int64_t which, Value key) {
  Value result = b.mul(product, b.f32(op.getScale()));
  if (op.getMask()) {
    // One mask for all batches, or one for each.
    Value last = b.sub(b.dim(op.getMask(), 0), b.index(1));
    Value place = arith::MinUIOp::create(b, key, b.sub(end, b.index(1)));
    Value mask = b.load(op.getMask(), {arith::MinUIOp::create(b, batch, last),
                                       b.index(0), clamped[which], place});
    result = b.add(result, mask);
  }
  Value inside = b.compare(arith::CmpIPredicate::slt, key, visible[which]);
  return b.select(inside, result, b.f32(kNegativeInfinity));
}

/// exp(x - reference), 0 where x is -inf.
Value AttentionTiles::exponential(Value x, Value reference) {
  Value power = b.mul(b.sub(x, reference), b.f32(kLog2E));
  return b.intrinsic("llvm.nvvm.ex2.approx.ftz.f32", b.getF32Type(), power);
}

/// Adds the values of the tile's keys, with the weights that the lane has.
void AttentionTiles::addValues(ArrayRef<Value> weights,
                               MutableArrayRef<Value> sums) {
  Value place = b.add(b.mul(at.quad, 2 * values.stride), b.mul(at.row, 4));
  for (int64_t n = 0; n < kKeyTiles; ++n) {
    SmallVector<Split> a;
    for (int64_t i : {0, 2, 1, 3})
      a.push_back(split(weights[4 * n + i]));
    for (int64_t j = 0; j < values.padded; j += kWidthStep) {
      int64_t offset = n * kMmaColumns * values.stride + j;
      SmallVector<Value> first = loadShared(values, place, offset);
      SmallVector<Value> second =
          loadShared(values, place, offset + values.stride);
      for (int64_t i = 0; i < 4; ++i) {
        Split x[] = {split(first[i], values.isExact()),
                     split(second[i], values.isExact())};
        MutableArrayRef<Value> four = sums.slice(j / 2 + 4 * i, 4);
        llvm::copy(multiply(a, x, four), four.begin());
      }
    }
  }
}

/// One tile of keys. Carried are the two rows' largest logits, this lane's
/// parts of their sums, and the results.
SmallVector<Value> AttentionTiles::addKeys(Value first, ValueRange carried) {
  gpu::BarrierOp::create(b);
  loadTile(keys, first);
  loadTile(values, first);
  gpu::BarrierOp::create(b);
  SmallVector<Value> weights = multiplyKeys();
  SmallVector<Value> next(carried);
  Value firstKey = b.add(first, b.mul(at.quad, 2));
  for (int64_t which = 0; which < 2; ++which) {
    auto maximum = [&](Value x, Value y) -> Value {
      return arith::MaximumFOp::create(b, x, y);
    };
    Value largest;
    for (int64_t n = 0; n < kKeyTiles; ++n)
      for (int64_t i = 0; i < 2; ++i) {
        Value &own = weights[4 * n + 2 * which + i];
        own = logit(own, which, b.add(firstKey, n * kMmaColumns + i));
        largest = largest ? maximum(largest, own) : own;
      }
    largest = maximum(carried[which], shuffleReduce(b, largest, 1, 4, maximum));
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, largest,
                                       b.f32(kNegativeInfinity));
    Value reference = b.select(none, b.f32(0.0f), largest);
    Value shrink = exponential(carried[which], reference);
    next[which] = largest;
    Value &sum = next[2 + which];
    sum = b.mul(sum, shrink);
    for (int64_t n = 0; n < kKeyTiles; ++n)
      for (int64_t i = 0; i < 2; ++i) {
        Value &own = weights[4 * n + 2 * which + i];
        own = exponential(own, reference);
        sum = b.add(sum, own);
      }
    for (size_t i = 4 + 2 * which; i < next.size(); i += 4)
      for (Value &element : MutableArrayRef(next).slice(i, 2))
        element = b.mul(element, shrink);
  }
  addValues(weights, MutableArrayRef(next).drop_front(4));
  return next;
}

/// Of each 32 columns a lane has eight that lie side by side.
void AttentionTiles::store(ArrayRef<Value> state) {
  for (int64_t which = 0; which < 2; ++which) {
    Value sum = shuffleReduce(b, state[2 + which], 1, 4,
                              [&](Value x, Value y) { return b.add(x, y); });
    Value none =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0.0f));
    Value factor = b.select(none, b.f32(0.0f), b.div(b.f32(1.0f), sum));
    b.ifElse(b.compare(arith::CmpIPredicate::ult, row[which], rows), [&] {
      for (int64_t j = 0; j < values.padded; j += kWidthStep)
        for (int64_t i = 0; i < 8; ++i) {
          Value column = b.add(b.mul(at.quad, 8), j + i);
          Value element = state[4 + j / 2 + 4 * (i % 4) + 2 * which + i / 4];
          auto put = [&] {
            b.store(b.mul(element, factor), op.getOutput(),
                    {batch, head, row[which], column});
          };
          if (values.columns == values.padded)
            put();
          else
            b.ifElse(b.compare(arith::CmpIPredicate::ult, column,
                               b.index(values.columns)),
                     put);
        }
    });
  }
}

void AttentionTiles::emit() {
  loadQuery();
  Value last = end;
  if (op.getCausal()) {
    Value behind = arith::MinUIOp::create(b, b.add(firstRow, kRows), rows);
    last = arith::MinSIOp::create(b, end, b.add(behind, b.sub(end, rows)));
  }
  SmallVector<Value> state(2, b.f32(kNegativeInfinity));
  state.append(2 + values.padded / 2, b.f32(0.0f));
  store(b.forLoop(b.index(0), last, kKeys, state,
                  [&](Value first, ValueRange carried) {
                    return addKeys(first, carried);
                  }));
}

static void emitTiles(OpBuilder &builder, pqk::AttentionOp op) {
  KernelBuilder b(op.getLoc(), builder);
  auto columns = [](Value value) {
    return cast<MemRefType>(value.getType()).getDimSize(3);
  };
  int64_t keyStride =
      getKeyStride(llvm::alignTo(columns(op.getQuery()), kDepthStep));
  int64_t valueStride =
      getValueStride(llvm::alignTo(columns(op.getOutput()), kWidthStep));
  Value heads = b.mul(b.dim(op.getQuery(), 0), b.dim(op.getQuery(), 1));
  Value blocks = b.ceilDiv(b.dim(op.getQuery(), 2), kRows);
  buildLaunch(builder, op.getLoc(), {blocks, heads}, kTileThreads,
              {getSharedType({kKeys * keyStride}, b.getF32Type()),
               getSharedType({kKeys * valueStride}, b.getF32Type())},
              [&](KernelBuilder &b, const GPUBlock &block) {
                AttentionTiles(b, block, op).emit();
              });
}

void pquant::nvvm::emitAttentionMma(OpBuilder &builder, Operation *op) {
  auto attention = cast<pqk::AttentionOp>(op);
  auto query = cast<MemRefType>(attention.getQuery().getType());
  auto output = cast<MemRefType>(attention.getOutput().getType());
  if (query.getDimSize(3) > kMostColumns || output.getDimSize(3) > kMostColumns)
    return emitAttention(builder, op);
  KernelBuilder b(op->getLoc(), builder);
  emitByRows(
      builder, op->getLoc(), query.getDimSize(2),
      b.dim(attention.getQuery(), 2), kFewRows,
      [&](OpBuilder &inner) { emitAttention(inner, op); },
      [&](OpBuilder &inner) { emitTiles(inner, attention); });
}
