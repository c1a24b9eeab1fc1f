//===- Int8NEON.cpp - INT8 kernels for Armv8.0 and dotprod ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A quad, 4 rows x 4 columns of layout i8x16x4, times 4 activations is one
// sdot by lane. Armv8.0 multiplies to 16 bits (smull) and adds pairs to 32
// (saddlp, addp): exact, since -128 * -128 fits 16 bits and sums do not.
//
//===----------------------------------------------------------------------===//

#include "ARMKernels.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

Value arm::emitTestBits(KernelBuilder &b, Value bits, ArrayRef<int64_t> mask) {
  auto type = cast<VectorType>(bits.getType());
  Value set = b.bitAnd(bits, b.laneConstant(type, mask));
  return b.extend(b.compare(arith::CmpIPredicate::ne, set, b.constant(type, 0)),
                  type);
}

void arm::emitCopiedRow(KernelBuilder &b, const LinearArgs &args, Value m,
                        Value to, Value offset) {
  b.forLoop(b.index(0), args.columns, 64, [&](Value k) {
    b.storeVector(b.loadVector(args.input, {m, k}, b.veci(64, 8)), to,
                  b.add(offset, k));
  });
}

Value arm::getInt8Offset(KernelBuilder &b, const LinearArgs &args, Value block,
                         Value k0) {
  return b.mul(b.add(b.mul(block, args.columns), k0), 16);
}

/// acc + quad times the four activations `lane` of 16.
static Value emitQuadDot(KernelBuilder &b, Value acc, Value quad, Value x,
                         int64_t lane, bool hasSdot) {
  SmallVector<int64_t> four;
  for (int64_t i = 0; i < 16; ++i)
    four.push_back(4 * lane + i % 4);
  Value repeated = b.shuffle(x, x, four);
  if (hasSdot)
    return b.intrinsic("llvm.aarch64.neon.sdot.v4i32.v16i8", acc.getType(),
                       {acc, quad, repeated});
  VectorType pairs = b.veci(4, 32), wide = b.veci(8, 16);
  Value sums[2];
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<int64_t> lanes;
    for (int64_t i = 0; i < 8; ++i)
      lanes.push_back(8 * half + i);
    Value w = b.extend(b.shuffle(quad, quad, lanes), wide);
    Value v = b.extend(b.shuffle(repeated, repeated, lanes), wide);
    sums[half] =
        b.intrinsic("llvm.aarch64.neon.saddlp.v4i32.v8i16", pairs, b.mul(w, v));
  }
  return b.add(acc, b.intrinsic("llvm.aarch64.neon.addp.v4i32", pairs,
                                {sums[0], sums[1]}));
}

Value arm::emitConcat(KernelBuilder &b, ValueRange parts) {
  SmallVector<int64_t> eight = llvm::to_vector(llvm::seq<int64_t>(0, 8));
  SmallVector<int64_t> sixteen = llvm::to_vector(llvm::seq<int64_t>(0, 16));
  return b.shuffle(b.shuffle(parts[0], parts[1], eight),
                   b.shuffle(parts[2], parts[3], eight), sixteen);
}

SmallVector<Value> arm::emitConcatEach(KernelBuilder &b, ValueRange parts) {
  SmallVector<Value> results;
  for (size_t i = 0; i < parts.size(); i += 4)
    results.push_back(emitConcat(b, parts.slice(i, 4)));
  return results;
}

/// acc[4 * row + t] + quads `t` at `at` (64 bytes) times lane `lane` of each x.
static SmallVector<Value> emitQuads(KernelBuilder &b, Value quads, Value at,
                                    ArrayRef<Value> x, int64_t lane,
                                    ValueRange acc, bool hasSdot) {
  SmallVector<Value> loaded, next;
  for (int64_t t = 0; t < 4; ++t)
    loaded.push_back(b.loadVector(quads, b.add(at, 16 * t), b.veci(16, 8)));
  for (Value row : x)
    for (Value quad : loaded)
      next.push_back(
          emitQuadDot(b, acc[next.size()], quad, row, lane, hasSdot));
  return next;
}

//===----------------------------------------------------------------------===//
// Matrix-vector
//===----------------------------------------------------------------------===//

static SmallVector<Value> emitQuadColumns(KernelBuilder &b,
                                          const LinearArgs &args, Value m,
                                          ArrayRef<Value> blocks,
                                          bool hasSdot) {
  SmallVector<Value> bases;
  for (Value block : blocks)
    bases.push_back(arm::getInt8Offset(b, args, block, b.index(0)));
  SmallVector<Value> init(4 * blocks.size(), b.constant(b.veci(4, 32), 0));
  SmallVector<Value> sums = b.forLoop(
      b.index(0), args.columns, 16, init, [&](Value k, ValueRange acc) {
        Value x = b.loadVector(args.input, {m, k}, b.veci(16, 8));
        SmallVector<Value> next;
        for (auto [i, base] : llvm::enumerate(bases)) {
          SmallVector<Value> sums(acc.slice(4 * i, 4));
          for (int64_t lane = 0; lane < 4; ++lane) {
            Value at = b.add(b.add(base, b.mul(k, 16)), 64 * lane);
            b.prefetch(args.weight, b.add(at, arm::kPrefetchBytes));
            sums = emitQuads(b, args.weight, at, x, lane, sums, hasSdot);
          }
          llvm::append_range(next, sums);
        }
        return next;
      });
  return arm::emitConcatEach(b, sums);
}

void arm::emitQuadGemv(KernelBuilder &b, const LinearArgs &args, bool hasSdot) {
  GemvPlan plan;
  plan.groups = {hasSdot ? 4 : 2, 1}; // as many as fit the registers
  plan.blockBytes = 16;
  plan.dot = [&](Value m, Value, ArrayRef<Value> blocks) {
    return emitQuadColumns(b, args, m, blocks, hasSdot);
  };
  emitGemv(b, args, Correction::None, plan);
}

//===----------------------------------------------------------------------===//
// Matrix-matrix
//===----------------------------------------------------------------------===//

GemmPlan arm::makeQuadPlan(KernelBuilder &b, const LinearArgs &args,
                           bool hasSdot) {
  GemmPlan plan;
  plan.blocks = {1};
  if (hasSdot)
    plan.rows = {4, 1};
  else // bound by arithmetic, not by loads
    plan.rows = {1};
  plan.chunk = kPanelColumns;
  plan.activationBytes = 1;
  plan.panelBytes = 0;
  plan.prepareRow = [&b, &args](Value m, Value to, Value offset) {
    emitCopiedRow(b, args, m, to, offset);
  };
  return plan;
}

SmallVector<Value> arm::emitQuadTile(KernelBuilder &b,
                                     const GemmPlan::Tile &tile, Value quads,
                                     Value base, bool hasSdot) {
  SmallVector<Value> init(4 * tile.rows, b.constant(b.veci(4, 32), 0));
  SmallVector<Value> sums =
      b.forLoop(b.index(0), tile.width, 16, init, [&](Value k, ValueRange acc) {
        SmallVector<Value> x, next(acc);
        for (Value row : tile.rowOffsets)
          x.push_back(
              b.loadVector(tile.activations, b.add(row, k), b.veci(16, 8)));
        for (int64_t lane = 0; lane < 4; ++lane)
          next =
              emitQuads(b, quads, b.add(b.add(base, b.mul(k, 16)), 64 * lane),
                        x, lane, next, hasSdot);
        return next;
      });
  return arm::emitConcatEach(b, sums);
}

static void emitInt8Gemm(KernelBuilder &b, const LinearArgs &args,
                         bool hasSdot) {
  GemmPlan plan = arm::makeQuadPlan(b, args, hasSdot);
  plan.multiply = [&](const GemmPlan::Tile &tile, SmallVector<Value> acc) {
    SmallVector<Value> sums = arm::emitQuadTile(
        b, tile, args.weight, arm::getInt8Offset(b, args, tile.block, tile.k0),
        hasSdot);
    for (auto [sum, more] : llvm::zip(acc, sums))
      sum = b.add(sum, more);
    return acc;
  };
  emitGemm(b, args, Correction::None, plan);
}

void arm::emitInt8Quads(KernelBuilder &b, const KernelSpec &spec,
                        ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  bool hasSdot = spec.level.hasFeature("dotprod");
  emitByRows(
      b, args, [&] { emitQuadGemv(b, args, hasSdot); },
      [&] { emitInt8Gemm(b, args, hasSdot); });
}
