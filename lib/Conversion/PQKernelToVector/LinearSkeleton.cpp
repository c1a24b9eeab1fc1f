//===- LinearSkeleton.cpp - Loop nests around the linear kernels ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What all linear kernels have in common: sharing out blocks of 16 outputs
// between threads, scratch memory, the float epilogue and its ragged end. The
// plans (GemvPlan, GemmPlan) fill in the inner loops.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Conversion/PQKernelToVector.h"

using namespace mlir;
using namespace pquant;

/// Weight bytes (GEMV) that make a range worth a thread.
static constexpr int64_t kGrainBytes = 65536;
/// Multiplications (GEMM) that make a range worth a thread.
static constexpr int64_t kGrainProducts = 1 << 20;
/// Rows whose int32 sums a GEMM range keeps on its stack: a multiple of every
/// plan's row tile, 96 x 2 blocks x 64 bytes = 12 KiB.
static constexpr int64_t kRowPanel = 96;
/// Bytes between prepared rows beyond the row itself: keeps rows of 4096
/// columns out of each other's L1 sets.
static constexpr int64_t kRowSkew = 64;

LinearArgs::LinearArgs(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange args)
    : accumulate(spec.accumulate) {
  input = args.front();
  output = args.back();
  switch (spec.kind) {
  case KernelKind::BinaryLinear:
    scale = args[1], sum = args[2], weight = args[3], weightScale = args[4];
    break;
  case KernelKind::Int8Linear:
    scale = args[1], weight = args[2], rowSum = args[3], weightScale = args[4];
    break;
  case KernelKind::FloatLinear:
    weight = args[1];
    break;
  case KernelKind::ExpertLinear:
  case KernelKind::Quantize:
  case KernelKind::Attention:
    llvm_unreachable("not a kernel on one matrix");
  }
  rows = b.dim(output, 0);
  outputs = b.dim(output, 1);
  blocks = b.ceilDiv(outputs, kBlockRows);
  columns = b.dim(input, 1);
}

namespace {
/// Loads and stores 16 elements at an output column; the mask is null where all
/// of them exist.
struct Lanes {
  KernelBuilder &b;
  Value mask;

  Value load(Value memref, ValueRange at, VectorType type) {
    if (!mask)
      return b.loadVector(memref, at, type);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
    return vector::MaskedLoadOp::create(b, type, memref, at, mask, zero);
  }
  void store(Value value, Value memref, ValueRange at) {
    if (!mask)
      return b.storeVector(value, memref, at);
    vector::MaskedStoreOp::create(b, memref, at, mask, value);
  }
};
} // namespace

namespace {
/// What the results of one block of outputs are made with, loaded once for all
/// rows.
struct BlockEpilogue {
  BlockEpilogue(KernelBuilder &b, const LinearArgs &args, Correction fix,
                Value n, Lanes lanes);
  void apply(Value m, Value acc);

private:
  KernelBuilder &b;
  const LinearArgs &args;
  Correction fix;
  Value n;
  Lanes lanes;
  Value weightScale; ///< null where there is none
  Value bias;        ///< what Correction::Biased takes off
};
} // namespace

BlockEpilogue::BlockEpilogue(KernelBuilder &b, const LinearArgs &args,
                             Correction fix, Value n, Lanes lanes)
    : b(b), args(args), fix(fix), n(n), lanes(lanes) {
  if (args.weightScale)
    weightScale = lanes.load(args.weightScale, n, b.vecf(kBlockRows));
  if (fix == Correction::Biased)
    bias = b.shiftLeft(lanes.load(args.rowSum, n, b.veci(kBlockRows, 32)), 7);
}

void BlockEpilogue::apply(Value m, Value acc) {
  VectorType floats = b.vecf(kBlockRows);
  if (fix == Correction::PlusSum)
    acc = b.sub(b.add(acc, acc), b.splat(b.load(args.sum, m), kBlockRows));
  if (fix == Correction::Biased)
    acc = b.sub(acc, bias);
  Value result = acc;
  if (weightScale)
    result =
        b.mul(arith::SIToFPOp::create(b, floats, acc),
              b.mul(b.splat(b.load(args.scale, m), kBlockRows), weightScale));
  if (args.accumulate)
    result = b.add(lanes.load(args.output, {m, n}, floats), result);
  lanes.store(result, args.output, {m, n});
}

/// Emits `body` for a full block and, where N ends inside it, for the rest.
static void emitRagged(KernelBuilder &b, const LinearArgs &args, Correction fix,
                       Value block,
                       llvm::function_ref<void(BlockEpilogue &)> body) {
  Value n = b.mul(block, kBlockRows);
  Value left = b.sub(args.outputs, n);
  Value full = b.compare(arith::CmpIPredicate::sge, left, b.index(kBlockRows));
  auto emit = [&](Value mask) {
    BlockEpilogue epilogue(b, args, fix, n, {b, mask});
    body(epilogue);
  };
  b.ifElse(
      full, [&] { emit(Value()); },
      [&] { emit(b.maskOfFirst(left, kBlockRows)); });
}

void pquant::emitEpilogue(KernelBuilder &b, const LinearArgs &args,
                          Correction fix, Value m, Value block, Value acc) {
  emitRagged(b, args, fix, block,
             [&](BlockEpilogue &epilogue) { epilogue.apply(m, acc); });
}

void pquant::emitEpilogueRows(KernelBuilder &b, const LinearArgs &args,
                              Correction fix, Value firstRow, Value rows,
                              Value block,
                              llvm::function_ref<Value(Value)> getSum) {
  emitRagged(b, args, fix, block, [&](BlockEpilogue &epilogue) {
    b.forLoop(b.index(0), rows, 1, [&](Value row) {
      epilogue.apply(b.add(firstRow, row), getSum(row));
    });
  });
}

/// Group `i` of the `groups` groups of `size` blocks from `begin` on: the range
/// is cut into `size` streams, and a group takes one block of each.
static SmallVector<Value> streamBlocks(KernelBuilder &b, Value begin,
                                       Value groups, int64_t size, Value i) {
  SmallVector<Value> blocks;
  for (int64_t stream = 0; stream < size; ++stream)
    blocks.push_back(b.add(b.add(begin, i), b.mul(groups, stream)));
  return blocks;
}

/// One row by blocks [begin, end).
static void emitGemvRow(KernelBuilder &b, const LinearArgs &args,
                        Correction fix, const GemvPlan &plan, Value m,
                        Value scratch, Value sums, Value begin, Value end) {
  VectorType type =
      b.vec(kBlockRows, cast<MemRefType>(sums.getType()).getElementType());
  Value zero = b.index(0);
  for (int64_t size : plan.groups) {
    Value groups = b.div(b.sub(end, begin), b.index(size));
    if (plan.prepare && size == plan.groups.front())
      plan.prepare(m, scratch, streamBlocks(b, begin, groups, size, zero));
    b.forLoop(zero, groups, 1, [&](Value i) {
      SmallVector<Value> blocks = streamBlocks(b, begin, groups, size, i);
      SmallVector<Value> dots = plan.dot(m, scratch, blocks);
      if (size == 1)
        return emitEpilogue(b, args, fix, m, blocks.front(), dots.front());
      for (auto [stream, dot] : llvm::enumerate(dots))
        b.storeVector(dot, sums, {b.index(stream), zero});
      b.forLoop(zero, b.index(size), 1, [&](Value stream) {
        emitEpilogue(b, args, fix, m,
                     b.add(blocks.front(), b.mul(groups, stream)),
                     b.loadVector(sums, {stream, zero}, type));
      });
    });
    begin = b.add(begin, b.mul(groups, size));
  }
}

void pquant::emitGemv(KernelBuilder &b, const LinearArgs &args, Correction fix,
                      const GemvPlan &plan) {
  Value blockBytes = b.mul(b.max(args.columns, b.index(1)), plan.blockBytes);
  Value grain = b.max(b.index(plan.minimumGrain),
                      b.add(b.div(b.index(kGrainBytes - 1), blockBytes), 1));
  b.parallel(args.blocks, grain, [&](Value begin, Value end) {
    Type sumType = args.weightScale ? Type(b.getI32Type()) : b.getF32Type();
    Value sums = b.stackBuffer({plan.groups.front(), kBlockRows}, sumType);
    Value scratch;
    if (plan.scratchBytes)
      scratch = b.heapBytes(plan.scratchBytes(args.columns));
    b.forLoop(b.index(0), args.rows, 1, [&](Value m) {
      emitGemvRow(b, args, fix, plan, m, scratch, sums, begin, end);
    });
    if (scratch)
      b.free(scratch);
  });
}

/// Adds one chunk of columns of `count` blocks to the sums of all rows of a
/// row panel.
static void emitGemmChunk(KernelBuilder &b, const LinearArgs &args,
                          const GemmPlan &plan, GemmPlan::Tile tile,
                          Value firstRow, Value rows, Value sums) {
  VectorType type = b.veci(kBlockRows, 32);
  if (plan.fillPanel)
    for (int64_t i = 0; i < tile.blocks; ++i)
      plan.fillPanel(b.add(tile.block, i), tile.k0, tile.width, tile.panel,
                     i * plan.panelBytes);
  b.forEachTile(b.index(0), rows, plan.rows, [&](int64_t count, Value row) {
    tile.rows = count;
    Value first = b.add(b.mul(b.add(firstRow, row), tile.rowStride),
                        b.mul(tile.k0, plan.activationBytes));
    SmallVector<Value> acc;
    auto address = [&](int64_t i, int64_t j) {
      Value line = b.add(b.mul(b.add(row, i), tile.blocks), j);
      return SmallVector<Value>{line, b.index(0)};
    };
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < tile.blocks; ++j)
        acc.push_back(b.loadVector(sums, address(i, j), type));
    tile.rowOffsets.clear();
    for (int64_t i = 0; i < count; ++i)
      tile.rowOffsets.push_back(b.add(first, b.mul(tile.rowStride, i)));
    acc = plan.multiply(tile, acc);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < tile.blocks; ++j)
        b.storeVector(acc[i * tile.blocks + j], sums, address(i, j));
  });
}

/// All chunks of `tile.blocks` blocks for one panel of rows, and the epilogue.
static void emitGemmPanel(KernelBuilder &b, const LinearArgs &args,
                          Correction fix, const GemmPlan &plan,
                          GemmPlan::Tile tile, Value firstRow, Value sums) {
  VectorType type = b.veci(kBlockRows, 32);
  Value zero = b.index(0);
  Value rows = b.min(b.index(kRowPanel), b.sub(args.rows, firstRow));
  Value zeros = b.constant(type, 0);
  b.forLoop(zero, b.mul(rows, tile.blocks), 1,
            [&](Value i) { b.storeVector(zeros, sums, {i, zero}); });
  b.forLoop(zero, args.columns, plan.chunk, [&](Value k0) {
    tile.k0 = k0;
    tile.width = b.min(b.index(plan.chunk), b.sub(args.columns, k0));
    emitGemmChunk(b, args, plan, tile, firstRow, rows, sums);
  });
  for (int64_t j = 0; j < tile.blocks; ++j)
    emitEpilogueRows(b, args, fix, firstRow, rows, b.add(tile.block, j),
                     [&](Value row) {
                       Value line = b.add(b.mul(row, tile.blocks), j);
                       return b.loadVector(sums, {line, zero}, type);
                     });
}

void pquant::emitGemm(KernelBuilder &b, const LinearArgs &args, Correction fix,
                      const GemmPlan &plan) {
  Value one = b.index(1);
  Value stride = b.add(b.mul(args.columns, plan.activationBytes), kRowSkew);
  Value prepared = b.heapBytes(b.mul(stride, args.rows));
  Value rowGrain = b.add(b.div(b.index(kGrainBytes), stride), 1);
  b.parallel(args.rows, rowGrain, [&](Value begin, Value end) {
    b.forLoop(begin, end, 1,
              [&](Value m) { plan.prepareRow(m, prepared, b.mul(m, stride)); });
  });
  Value products =
      b.max(b.mul(b.mul(args.columns, args.rows), kBlockRows), one);
  Value grain = b.max(b.index(plan.blocks.front()),
                      b.div(b.index(kGrainProducts), products));
  b.parallel(args.blocks, grain, [&](Value begin, Value end) {
    Value sums = b.stackBuffer({kRowPanel * plan.blocks.front(), kBlockRows},
                               b.getI32Type());
    Value panel;
    if (plan.panelBytes)
      panel =
          b.stackBuffer({plan.panelBytes * plan.blocks.front()}, b.getI8Type());
    b.forEachTile(begin, end, plan.blocks, [&](int64_t count, Value block) {
      GemmPlan::Tile tile{0,     count, prepared, {},     stride,
                          panel, block, Value(),  Value()};
      b.forLoop(b.index(0), args.rows, kRowPanel, [&](Value firstRow) {
        emitGemmPanel(b, args, fix, plan, tile, firstRow, sums);
      });
    });
  });
  b.free(prepared);
}

void pquant::emitByRows(KernelBuilder &b, const LinearArgs &args,
                        llvm::function_ref<void()> gemv,
                        llvm::function_ref<void()> gemm) {
  Value few =
      b.compare(arith::CmpIPredicate::sle, args.rows, b.index(kGemvRows));
  b.ifElse(few, gemv, gemm);
}
