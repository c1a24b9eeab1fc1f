//===- RankLogits.cpp - The largest logits, found on the GPU --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Most samplers need but the k largest logits of a row. One block finds them in
// two passes. In the first, each thread takes the largest of every 1024th
// logit; the k-th largest of these 1024 is no larger than the k-th largest of
// all, since k distinct logits reach it. In the second, the threads write what
// reaches it: the k largest, and few more, as long as k is small beside 1024
// and not many logits are equal (pquant/Layout/Ranking.h).
//
// Logits are compared as integers of the same order; -0 is 0, NaN the largest.
// The k-th largest is found bit by bit: each barrier counts the threads whose
// largest reaches the next trial.
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "pquant/Layout/Ranking.h"
#include "pquant/Target/NVVM.h"
#include "pquant/Target/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_NVVMRANKLOGITSPASS
#include "pquant/Target/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// Logits that a thread loads before it looks at the first.
static constexpr int64_t kLoads = 8;

namespace {
/// Writes the body of the kernel.
class Ranker {
public:
  Ranker(KernelBuilder &b, const GPUBlock &block, Value logits, Value found)
      : b(b), block(block), logits(logits), found(found),
        least(b.constant(b.getI32Type(), INT32_MIN)) {}

  void emit(Value wanted);

private:
  /// A logit of a thread: its number, whether there is one, its order.
  struct Logit {
    Value token, inside, order;
  };
  SmallVector<Logit> loadLogits(Value first);
  Value findLargest();
  Value findThreshold(Value largest, Value wanted);
  void writeReaching(Value threshold);
  Value orderOf(Value logit);
  void onFirstThread(llvm::function_ref<void()> body) {
    b.ifElse(b.compare(arith::CmpIPredicate::eq, block.thread, b.index(0)),
             body);
  }
  Value size() { return b.dim(logits, 1); }

  KernelBuilder &b;
  const GPUBlock &block;
  Value logits, found;
  Value least; ///< below every logit
};
} // namespace

/// An integer that orders logits as they are ordered.
Value Ranker::orderOf(Value logit) {
  Type i32 = b.getI32Type();
  Value isNaN =
      arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, logit, logit);
  Value zeroed = b.add(logit, b.f32(0.0f)); // -0 + 0 = 0
  Value bits = arith::BitcastOp::create(b, i32, zeroed);
  // Of negative numbers, those with larger bits are smaller.
  Value flipped =
      b.bitAnd(b.shiftRightArithmetic(bits, 31), b.constant(i32, INT32_MAX));
  return b.select(isNaN, b.constant(i32, INT32_MAX), b.bitXor(bits, flipped));
}

SmallVector<Ranker::Logit> Ranker::loadLogits(Value first) {
  SmallVector<Logit> result;
  SmallVector<Value> loaded;
  for (int64_t i = 0; i < kLoads; ++i) {
    Value token = b.add(first, i * kBlockThreads);
    Value inside = b.compare(arith::CmpIPredicate::ult, token, size());
    loaded.push_back(
        b.load(logits, {block.x, b.select(inside, token, b.index(0))}));
    result.push_back({token, inside, Value()});
  }
  for (auto [logit, value] : llvm::zip(result, loaded))
    logit.order = b.select(logit.inside, orderOf(value), least);
  return result;
}

/// The order of the thread's largest logit.
Value Ranker::findLargest() {
  return b
      .forLoop(block.thread, size(), kLoads * kBlockThreads, least,
               [&](Value first, ValueRange carried) {
                 Value largest = carried.front();
                 for (const Logit &logit : loadLogits(first))
                   largest = b.max(largest, logit.order);
                 return SmallVector<Value>{largest};
               })
      .front();
}

/// The largest number that `wanted` threads' largest reach.
Value Ranker::findThreshold(Value largest, Value wanted) {
  Type i32 = b.getI32Type();
  return b
      .forLoop(
          b.index(0), b.index(32), 1, {least, least},
          [&](Value, ValueRange carried) {
            // The first bit is the sign: clearing it makes a number larger.
            Value threshold = carried[0], bit = carried[1];
            Value trial = b.bitXor(threshold, bit);
            Value reaches =
                b.compare(arith::CmpIPredicate::sge, largest, trial);
            Value count =
                NVVM::BarrierOp::create(
                    b, i32, /*barrierId=*/Value(), /*numberOfThreads=*/Value(),
                    NVVM::BarrierReductionAttr::get(
                        b.getContext(), NVVM::BarrierReduction::POPC),
                    arith::ExtUIOp::create(b, i32, reaches))
                    .getResult(0);
            Value enough = b.compare(arith::CmpIPredicate::sge, count, wanted);
            return SmallVector<Value>{b.select(enough, trial, threshold),
                                      b.shiftRightLogical(bit, 1)};
          })
      .front();
}

void Ranker::writeReaching(Value threshold) {
  Value counter = block.shared.front();
  Type i32 = b.getI32Type();
  b.forLoop(block.thread, size(), kLoads * kBlockThreads, [&](Value first) {
    for (const Logit &logit : loadLogits(first)) {
      Value reaches =
          b.compare(arith::CmpIPredicate::sge, logit.order, threshold);
      b.ifElse(b.bitAnd(reaches, logit.inside), [&] {
        Value number = memref::AtomicRMWOp::create(
            b, arith::AtomicRMWKind::addi, b.constant(i32, 1), counter,
            b.index(0));
        Value fits = b.compare(arith::CmpIPredicate::slt, number,
                               b.constant(i32, layout::kRankedRoom));
        b.ifElse(fits, [&] {
          Value place = arith::IndexCastOp::create(b, b.getIndexType(), number);
          Value word = b.add(b.mul(place, 2), 1);
          Value bits = arith::BitcastOp::create(
              b, i32, b.load(logits, {block.x, logit.token}));
          b.store(arith::IndexCastOp::create(b, i32, logit.token), found,
                  {block.x, word});
          b.store(bits, found, {block.x, b.add(word, 1)});
        });
      });
    }
  });
}

void Ranker::emit(Value wanted) {
  Value counter = block.shared.front(), zero = b.index(0);
  onFirstThread([&] { b.store(b.constant(b.getI32Type(), 0), counter, zero); });
  // Its barriers make the counter's 0 known.
  Value threshold = findThreshold(findLargest(), wanted);
  writeReaching(threshold);
  gpu::BarrierOp::create(b);
  onFirstThread(
      [&] { b.store(b.load(counter, zero), found, {block.x, zero}); });
}

/// The type of the logits that sessions sample from, as many rows as there may
/// be; null when there are no such.
static MemRefType findLogits(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    bool isStep = false;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      isStep |= bool(function.getArgAttr(i, kStateAttrName));
    if (!isStep || function.getNumResults() != 1)
      continue;
    auto type = dyn_cast<MemRefType>(function.getResultTypes().front());
    if (type && type.getRank() == 2 && !type.isDynamicDim(1) &&
        type.getElementType().isF32())
      return MemRefType::get({ShapedType::kDynamic, type.getDimSize(1)},
                             type.getElementType());
  }
  return {};
}

/// @pquant_rank_logits(weights, k, logits, found).
static func::FuncOp createFunction(ModuleOp module, MemRefType logits) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Type types[] = {MemRefType::get({ShapedType::kDynamic}, builder.getI8Type()),
                  MemRefType::get({}, builder.getI32Type()), logits,
                  MemRefType::get({ShapedType::kDynamic, layout::kRankingWords},
                                  builder.getI32Type())};
  auto function =
      func::FuncOp::create(builder, module.getLoc(), kRankLogitsName,
                           builder.getFunctionType(types, {}));
  function->setAttr("llvm.emit_c_interface", builder.getUnitAttr());
  function.addEntryBlock();
  return function;
}

namespace {
struct NVVMRankLogitsPass
    : public pquant::impl::NVVMRankLogitsPassBase<NVVMRankLogitsPass> {
  void runOnOperation() override {
    MemRefType type = findLogits(getOperation());
    if (!type)
      return;
    func::FuncOp function = createFunction(getOperation(), type);
    Location loc = function.getLoc();
    KernelBuilder b(loc, OpBuilder::atBlockEnd(&function.getBody().front()));
    Value logits = function.getArgument(2), found = function.getArgument(3);
    Value wanted = b.load(function.getArgument(1), {});
    buildLaunch(b, loc, b.dim(logits, 0), kBlockThreads,
                {getSharedType({1}, b.getI32Type())},
                [&](KernelBuilder &b, const GPUBlock &block) {
                  Ranker(b, block, logits, found).emit(wanted);
                });
    func::ReturnOp::create(b);
  }
};
} // namespace
