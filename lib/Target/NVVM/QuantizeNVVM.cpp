//===- QuantizeNVVM.cpp - The AbsMax quantiser on a GPU -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block for each row: the maximum of the magnitudes, then scaling, rounding
// and clamping with the float32 operations of #pquant.quantizer. Single rows
// are part of a launch of small ops (BlockLaunch.cpp).
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static void emitRow(KernelBuilder &b, const GPUBlock &block,
                    pqk::QuantizeOp op) {
  Value m = block.x, zero = b.constant(b.getI32Type(), 0);
  Value columns = b.dim(op.getInput(), 1), padded = b.dim(op.getValues(), 1);
  Value largest =
      b.forLoop(block.thread, columns, kBlockThreads, zero,
                [&](Value k, ValueRange carried) {
                  Value magnitude =
                      quantizerMagnitude(b, b.load(op.getInput(), {m, k}));
                  return SmallVector<Value>{b.max(carried.front(), magnitude)};
                })
          .front();
  largest = blockReduce(b, block, kBlockThreads, block.shared[0], largest,
                        [&](Value x, Value y) { return b.max(x, y); });
  auto [factor, step] = quantizerFactor(b, op.getQuantizer(), largest);
  Value sum =
      b.forLoop(block.thread, columns, kBlockThreads, zero,
                [&, factor = factor](Value k, ValueRange carried) {
                  Value q =
                      quantizerRound(b, op.getQuantizer(),
                                     b.load(op.getInput(), {m, k}), factor);
                  b.store(b.truncate(q, b.getI8Type()), op.getValues(), {m, k});
                  return SmallVector<Value>{b.add(carried.front(), q)};
                })
          .front();
  b.forLoop(b.add(columns, block.thread), padded, kBlockThreads, [&](Value k) {
    b.store(b.constant(b.getI8Type(), 0), op.getValues(), {m, k});
  });
  sum = blockReduce(b, block, kBlockThreads, block.shared[1], sum,
                    [&](Value x, Value y) { return b.add(x, y); });
  b.ifElse(b.compare(arith::CmpIPredicate::eq, block.thread, b.index(0)),
           [&, step = step] {
             b.store(step, op.getScale(), m);
             b.store(sum, op.getSum(), m);
           });
}

void pquant::nvvm::emitQuantize(OpBuilder &builder, Operation *op) {
  auto quantize = cast<pqk::QuantizeOp>(op);
  KernelBuilder b(op->getLoc(), builder);
  Type scratch = getSharedType({kBlockThreads / kWarp}, b.getI32Type());
  buildLaunch(builder, op->getLoc(), b.dim(quantize.getInput(), 0),
              kBlockThreads, {scratch, scratch},
              [&](KernelBuilder &b, const GPUBlock &block) {
                emitRow(b, block, quantize);
              });
}
