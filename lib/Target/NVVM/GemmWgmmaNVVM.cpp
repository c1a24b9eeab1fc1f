//===- GemmWgmmaNVVM.cpp - Matrix-matrix kernels of warpgroups ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// wgmma.m64n128k32 of bytes: 64 outputs by 128 rows of activations. A block is
// two warpgroups, of 64 outputs each, and 128 rows. The weights come straight
// from memory into the registers of the instruction, 1-bit ones spread to bytes
// of 0 or 1 (y = 2 plus - sum); the activations pass through shared memory, 128
// columns at a time, by cp.async, two such steps ahead.
//
// A row of a step is 128 bytes; its pieces of 16 bytes are swizzled: piece c of
// row r is at c ^ (r % 8), the 128-byte mode of the instruction's descriptor.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Layout/B16x256.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static constexpr int64_t kRows = 128, kMmaColumns = 32;
static constexpr int64_t kStepColumns = 128; ///< the swizzle's row
static constexpr int64_t kMmas = kStepColumns / kMmaColumns;
static constexpr int64_t kStepBytes = kRows * kStepColumns;
static constexpr int64_t kStages = 3, kAhead = kStages - 1;
static constexpr int64_t kPiece = 16, kPieces = kStepColumns / kPiece;
/// Rows of a step that all threads copy a piece of at once.
static constexpr int64_t kCopyRows = kThreads / kPieces;
static constexpr int64_t kSums = kRows / 2; ///< of a lane

namespace {
/// How one kind of weights is read, chunk of columns by chunk.
struct WgmmaPlan {
  int64_t chunks;
  int64_t stepsOfChunk;
  /// The words that a lane loads of a tile of 16 outputs.
  std::function<SmallVector<Value>(Value tile, Value chunk)> load;
  /// Those of the four instructions of a step, four of each.
  std::function<SmallVector<Value>(ArrayRef<Value> words, int64_t step)> expand;
  bool isBinary;
};

/// Builds the body of one block.
struct WgmmaBlock {
  KernelBuilder &b;
  const GPUBlock &block;
  const Linear &linear;
  const WgmmaPlan &plan;
  Lane at;
  int64_t steps; ///< of all columns
  Value tile;    ///< of the warp
  Value firstRow;
  Value shared;                ///< address
  Value copyTo;                ///< this thread's place in a step
  Value piece;                 ///< column of this thread's pieces
  SmallVector<Value> copyFrom; ///< addresses of rows

  WgmmaBlock(KernelBuilder &b, const GPUBlock &block, const Linear &linear,
             const WgmmaPlan &plan);
  void emit();

private:
  Value addressOf(Value memref);
  void prepareCopies();
  void copyStep(Value step, Value slot);
  void waitForStep();
  SmallVector<Value> multiply(ArrayRef<Value> weights, Value slot,
                              ArrayRef<Value> sums);
  void waitForSums(SmallVector<Value> &sums, SmallVector<Value> &weights);
  Value nextSlot(Value slot, int64_t count);
  void store(ArrayRef<Value> sums);
};
} // namespace

WgmmaBlock::WgmmaBlock(KernelBuilder &b, const GPUBlock &block,
                       const Linear &linear, const WgmmaPlan &plan)
    : b(b), block(block), linear(linear), plan(plan), at(b, block.thread),
      steps(llvm::divideCeil(linear.paddedColumns, kStepColumns)) {
  tile = b.add(b.mul(block.x, kWarps), at.warp);
  firstRow = b.mul(block.y, kRows);
  prepareCopies();
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

Value WgmmaBlock::addressOf(Value memref) {
  return memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
}

void WgmmaBlock::prepareCopies() {
  shared = addressOf(block.shared[0]);
  Value row = arith::DivUIOp::create(b, block.thread, b.index(kPieces));
  Value number = arith::RemUIOp::create(b, block.thread, b.index(kPieces));
  piece = b.mul(number, kPiece);
  Value swizzled =
      b.bitXor(number, arith::RemUIOp::create(b, row, b.index(kPieces)));
  copyTo =
      b.add(shared, b.add(b.mul(row, kStepColumns), b.mul(swizzled, kPiece)));
  auto parts = memref::ExtractStridedMetadataOp::create(b, linear.input);
  Value base = b.add(addressOf(linear.input), parts.getOffset());
  Value lastRow = b.sub(linear.rows, b.index(1));
  for (int64_t i = 0; i < kRows; i += kCopyRows) {
    // Rows beyond the end are computed and not stored.
    Value own =
        arith::MinUIOp::create(b, b.add(b.add(firstRow, row), i), lastRow);
    copyFrom.push_back(b.add(base, b.mul(own, parts.getStrides()[0])));
  }
}

/// Starts copies of a step's columns, and closes their group.
void WgmmaBlock::copyStep(Value step, Value slot) {
  auto pointer = [&](Value address, unsigned space) {
    Value word = arith::IndexCastOp::create(b, b.getI64Type(), address);
    auto type = LLVM::LLVMPointerType::get(b.getContext(), space);
    return LLVM::IntToPtrOp::create(b, type, word);
  };
  auto inside = b.compare(arith::CmpIPredicate::ult, step, b.index(steps));
  b.ifElse(inside, [&] {
    Value column = b.add(b.mul(step, kStepColumns), piece);
    // Padding has no weights, so any activation will do.
    if (linear.paddedColumns % kStepColumns) {
      Value known = b.compare(arith::CmpIPredicate::ult, column,
                              b.index(linear.paddedColumns));
      column = b.select(known, column, b.index(0));
    }
    for (auto [i, row] : llvm::enumerate(copyFrom)) {
      Value to =
          b.add(b.add(copyTo, slot), int64_t(i) * kCopyRows * kStepColumns);
      NVVM::CpAsyncOp::create(b, pointer(to, 3), pointer(b.add(row, column), 1),
                              kPiece, NVVM::LoadCacheModifierKind::CG,
                              /*cpSize=*/Value());
    }
  });
  NVVM::CpAsyncCommitGroupOp::create(b);
}

/// Of the groups of copies the last may be under way. wgmma reads memory apart
/// from other instructions, so that what those wrote needs a fence.
void WgmmaBlock::waitForStep() {
  NVVM::CpAsyncWaitGroupOp::create(b, kAhead - 1);
  NVVM::FenceProxyOp::create(
      b,
      NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(b.getContext(),
                                 NVVM::SharedSpace::shared_cta));
  gpu::BarrierOp::create(b);
}

/// The slot `count` behind, by its offset.
Value WgmmaBlock::nextSlot(Value slot, int64_t count) {
  Value next = b.add(slot, count * kStepBytes);
  Value isBeyond =
      b.compare(arith::CmpIPredicate::uge, next, b.index(kStages * kStepBytes));
  return b.select(isBeyond, b.add(next, -kStages * kStepBytes), next);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Inline assembly that changes `values` in place.
static SmallVector<Value> emitAssembly(KernelBuilder &b, StringRef text,
                                       ArrayRef<Value> values,
                                       ArrayRef<Value> inputs) {
  SmallVector<std::string> constraints(values.size(), "=r");
  for (size_t i = 0; i < values.size(); ++i)
    constraints.push_back(std::to_string(i));
  for (Value input : inputs)
    constraints.push_back(input.getType().isInteger(64) ? "l" : "r");
  SmallVector<Value> operands(values);
  llvm::append_range(operands, inputs);
  auto type = LLVM::LLVMStructType::getLiteral(
      b.getContext(), SmallVector<Type>(values.size(), b.getI32Type()));
  Value all = LLVM::InlineAsmOp::create(
                  b, type, operands, text, llvm::join(constraints, ","),
                  /*has_side_effects=*/true, /*is_align_stack=*/false,
                  LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
                  .getResult(0);
  SmallVector<Value> results;
  for (size_t i = 0; i < values.size(); ++i)
    results.push_back(LLVM::ExtractValueOp::create(b, all, i));
  return results;
}

static std::string listOperands(int64_t first, int64_t count) {
  std::string list;
  for (int64_t i = 0; i < count; ++i)
    list += (i ? ", $" : "$") + std::to_string(first + i);
  return list;
}

/// Starts a step's products. Upstream's op takes weights from shared memory
/// only, hence the assembly.
SmallVector<Value> WgmmaBlock::multiply(ArrayRef<Value> weights, Value slot,
                                        ArrayRef<Value> sums) {
  // Of the descriptor: address, distance of eight rows (both in 16 bytes), and
  // the 128-byte swizzle. The address of a step is a multiple of 1024.
  constexpr int64_t eightRows = 8 * kStepColumns / 16;
  Type i64 = b.getI64Type();
  Value address = arith::IndexCastOp::create(b, i64, b.add(shared, slot));
  Value descriptor = b.bitOr(
      b.shiftRightLogical(b.bitAnd(address, b.constant(i64, 0x3ffff)), 4),
      b.constant(i64, (int64_t(1) << 62) | (eightRows << 32) | 1 << 16));
  int64_t first = 2 * kSums;
  std::string place = "$" + std::to_string(first + 4 * kMmas);
  std::string text = "{\n.reg .pred p;\n.reg .b64 d;\nsetp.eq.b32 p, 0, 0;\n"
                     "wgmma.fence.sync.aligned;\n";
  for (int64_t i = 0; i < kMmas; ++i)
    text += "add.s64 d, " + place + ", " +
            std::to_string(i * kMmaColumns / 16) +
            ";\nwgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" +
            listOperands(0, kSums) + "}, {" + listOperands(first + 4 * i, 4) +
            "}, d, p;\n";
  text += "wgmma.commit_group.sync.aligned;\n}";
  SmallVector<Value> inputs(weights);
  inputs.push_back(descriptor);
  return emitAssembly(b, text, sums, inputs);
}

/// Waits for the products. The next step's `weights` pass through, so that they
/// are made before, while the products are under way.
void WgmmaBlock::waitForSums(SmallVector<Value> &sums,
                             SmallVector<Value> &weights) {
  SmallVector<Value> all(sums);
  llvm::append_range(all, weights);
  all = emitAssembly(b, "wgmma.wait_group.sync.aligned 0;", all, {});
  ArrayRef<Value> parts(all);
  sums.assign(parts.take_front(kSums).begin(), parts.take_front(kSums).end());
  weights.assign(parts.drop_front(kSums).begin(), parts.end());
}

/// A lane has outputs lane / 4 and 8 below, of each eight rows 2 (lane % 4) and
/// the next. Factors are loaded without a branch, ahead of the stores.
void WgmmaBlock::store(ArrayRef<Value> sums) {
  Value outputs[2], weightScales[2];
  for (int64_t half = 0; half < 2; ++half) {
    outputs[half] = b.add(b.mul(tile, kBlockRows), b.add(at.row, 8 * half));
    Value known = arith::MinUIOp::create(b, outputs[half],
                                         b.sub(linear.outputs, b.index(1)));
    weightScales[half] = b.load(linear.weightScale, known);
  }
  Value lastRow = b.sub(linear.rows, b.index(1));
  for (int64_t j = 0; j < kSums; j += 2) {
    Value m =
        b.add(b.add(firstRow, j / 4 * 8), b.add(b.mul(at.quad, 2), j / 2 % 2));
    Value known = arith::MinUIOp::create(b, m, lastRow);
    Value scale = b.load(linear.scale, known);
    Value all = plan.isBinary ? b.load(linear.sum, known) : Value();
    b.ifElse(b.compare(arith::CmpIPredicate::ule, m, lastRow), [&] {
      for (int64_t half = 0; half < 2; ++half) {
        Value sum = sums[j / 4 * 4 + j / 2 % 2 + 2 * half];
        if (plan.isBinary)
          sum = b.sub(b.add(sum, sum), all);
        storeResult(b, linear, m, outputs[half], sum,
                    b.mul(scale, weightScales[half]));
      }
    });
  }
}

void WgmmaBlock::emit() {
  Value lastTile = b.sub(linear.tiles, b.index(1));
  Value own = arith::MinUIOp::create(b, tile, lastTile);
  SmallVector<Value> state(kSums, b.constant(b.getI32Type(), 0));
  state.push_back(b.index(0)); // slot
  SmallVector<Value> words = plan.load(own, b.index(0));
  size_t numWords = words.size();
  for (int64_t i = 0; i < kAhead; ++i)
    copyStep(b.index(i), b.index(i * kStepBytes));
  llvm::append_range(state, words);
  llvm::append_range(state, plan.expand(words, 0));
  state = b.forLoop(
      b.index(0), b.index(plan.chunks), 1, state,
      [&](Value chunk, ValueRange carried) {
        SmallVector<Value> sums(carried.take_front(kSums));
        Value slot = carried[kSums];
        SmallVector<Value> words(carried.slice(kSums + 1, numWords));
        SmallVector<Value> weights(carried.drop_front(kSums + 1 + numWords));
        Value next = arith::MinUIOp::create(b, b.add(chunk, 1),
                                            b.index(plan.chunks - 1));
        SmallVector<Value> nextWords = plan.load(own, next);
        for (int64_t i = 0; i < plan.stepsOfChunk; ++i) {
          Value step = b.add(b.mul(chunk, plan.stepsOfChunk), i);
          waitForStep();
          copyStep(b.add(step, kAhead), nextSlot(slot, kAhead));
          sums = multiply(weights, slot, sums);
          weights = i + 1 < plan.stepsOfChunk ? plan.expand(words, i + 1)
                                              : plan.expand(nextWords, 0);
          waitForSums(sums, weights);
          slot = nextSlot(slot, 1);
        }
        sums.push_back(slot);
        llvm::append_range(sums, nextWords);
        llvm::append_range(sums, weights);
        return sums;
      });
  store(ArrayRef(state).take_front(kSums));
}

static void
emitWgmma(OpBuilder &builder, const Linear &linear,
          llvm::function_ref<WgmmaPlan(KernelBuilder &, const Lane &)> plan) {
  KernelBuilder b(linear.loc, builder);
  Type bytes = getSharedType({kStages * kStepBytes}, b.getI8Type());
  buildLaunch(builder, linear.loc,
              {b.ceilDiv(linear.tiles, kWarps), b.ceilDiv(linear.rows, kRows)},
              kThreads, {bytes}, [&](KernelBuilder &b, const GPUBlock &block) {
                Lane at(b, block.thread);
                WgmmaPlan made = plan(b, at);
                WgmmaBlock(b, block, linear, made).emit();
              });
}

/// A chunk is a weight tile. Of 32 columns the instruction wants those from
/// 4 quad and from 16 + 4 quad on of each lane, whose bits are in one word of
/// one lane of the quad.
void pquant::nvvm::emitBinaryWgmma(OpBuilder &builder, const Linear &linear) {
  int64_t depth = llvm::divideCeil(linear.columns, layout::b16x256Columns);
  emitWgmma(builder, linear, [&](KernelBuilder &b, const Lane &at) {
    WgmmaPlan plan;
    plan.chunks = depth;
    plan.stepsOfChunk = 2;
    plan.isBinary = true;
    plan.load = [=, &b, &linear](Value tile, Value chunk) {
      Value place =
          b.mul(b.add(b.mul(tile, depth), chunk), layout::b16x256TileBytes);
      return loadWords(b, linear.weight, b.add(place, b.mul(at.lane, 16)), 4);
    };
    Type i32 = b.getI32Type();
    auto narrow = [&](Value value) -> Value {
      return arith::IndexCastOp::create(b, i32, value);
    };
    Value shift = narrow(b.mul(at.quad, 4));
    Value firstLane = narrow(b.sub(at.lane, at.quad));
    plan.expand = [=, &b](ArrayRef<Value> words, int64_t step) {
      auto spread = [&](Value nibble) {
        return b.bitAnd(b.mul(nibble, b.constant(i32, 0x00204081)),
                        b.constant(i32, 0x01010101));
      };
      Value width = b.constant(i32, kWarp), nibble = b.constant(i32, 15);
      SmallVector<Value> all;
      for (int64_t i = 0; i < kMmas; ++i) {
        SmallVector<Value> high;
        for (int64_t half = 0; half < 2; ++half) {
          Value source = b.add(firstLane, b.constant(i32, i));
          Value word = gpu::ShuffleOp::create(b, words[2 * step + half], source,
                                              width, gpu::ShuffleMode::IDX)
                           .getShuffleResult();
          word = arith::ShRUIOp::create(b, word, shift);
          all.push_back(spread(b.bitAnd(word, nibble)));
          high.push_back(
              spread(b.bitAnd(b.shiftRightLogical(word, 16), nibble)));
        }
        llvm::append_range(all, high);
      }
      return all;
    };
    return plan;
  });
}

/// A chunk is a step.
void pquant::nvvm::emitInt8Wgmma(OpBuilder &builder, const Linear &linear) {
  emitWgmma(builder, linear, [&](KernelBuilder &b, const Lane &at) {
    WgmmaPlan plan;
    plan.chunks = llvm::divideCeil(linear.paddedColumns, kStepColumns);
    plan.stepsOfChunk = 1;
    plan.isBinary = false;
    int64_t groups = linear.paddedColumns / 4;
    plan.load = [=, &b, &linear](Value tile, Value chunk) {
      SmallVector<Value> words;
      for (int64_t i = 0; i < kMmas; ++i)
        for (int64_t side = 0; side < 2; ++side) {
          Value group = b.add(b.mul(chunk, kStepColumns / 4),
                              b.add(at.quad, i * 8 + side * 4));
          Value inside;
          if (linear.paddedColumns % kStepColumns) {
            inside =
                b.compare(arith::CmpIPredicate::ult, group, b.index(groups));
            group = b.select(inside, group, b.index(0));
          }
          Value place = b.add(b.mul(b.add(b.mul(tile, groups), group), 64),
                              b.mul(at.row, 4));
          for (int64_t half = 0; half < 2; ++half) {
            Value word =
                loadWords(b, linear.weight, b.add(place, half * 32), 1)[0];
            if (inside)
              word = b.select(inside, word, b.constant(b.getI32Type(), 0));
            words.push_back(word);
          }
        }
      return words;
    };
    plan.expand = [](ArrayRef<Value> words, int64_t) {
      return SmallVector<Value>(words);
    };
    return plan;
  });
}
