//===- QuantizeNVVM.cpp - The AbsMax quantiser on a GPU -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block for each row: the maximum of the magnitudes, then scaling, rounding
// and clamping with the float32 operations of #pquant.quantizer. NaN and
// infinity give what the kernels of CPUs give (QuantizeKernel.cpp).
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

/// The factor of the row's values (a divisor for `div`), and the step.
static std::pair<Value, Value>
emitFactor(KernelBuilder &b, QuantizerAttr quantizer, Value maximum) {
  Value eps = b.f32(quantizer.getEps());
  Value qmax = b.f32(float(quantizer.getQmax()));
  Value guarded = quantizer.getGuard() == Guard::Add
                      ? b.add(maximum, eps)
                      : Value(arith::MaximumFOp::create(b, maximum, eps));
  if (quantizer.getFormula() == Formula::Div) {
    Value step = b.div(guarded, qmax);
    return {step, step};
  }
  Value one = b.f32(1.0f);
  Value factor = quantizer.getFormula() == Formula::MulRecip
                     ? b.mul(b.div(one, guarded), qmax)
                     : b.div(qmax, guarded);
  return {factor, b.div(one, factor)};
}

/// clamp(roundeven(x * factor)) as i32; a NaN becomes qmin.
static Value emitRounded(KernelBuilder &b, QuantizerAttr quantizer, Value x,
                         Value factor) {
  Value scaled = quantizer.getFormula() == Formula::Div ? b.div(x, factor)
                                                        : b.mul(x, factor);
  Value rounded = math::RoundEvenOp::create(b, scaled);
  Value low = b.f32(float(quantizer.getQmin()));
  Value high = b.f32(float(quantizer.getQmax()));
  Value above =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, rounded, low);
  Value atLeast = b.select(above, rounded, low);
  Value below =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, atLeast, high);
  return arith::FPToSIOp::create(b, b.getI32Type(),
                                 b.select(below, atLeast, high));
}

static void emitRow(KernelBuilder &b, const GPUBlock &block,
                    pqk::QuantizeOp op) {
  Value m = block.x, zero = b.constant(b.getI32Type(), 0);
  Value columns = b.dim(op.getInput(), 1), padded = b.dim(op.getValues(), 1);
  // Magnitudes, NaN above infinity, are ordered as their bits are.
  Value largest =
      b.forLoop(block.thread, columns, kBlockThreads, zero,
                [&](Value k, ValueRange carried) {
                  Value bits = arith::BitcastOp::create(
                      b, b.getI32Type(), b.load(op.getInput(), {m, k}));
                  Value magnitude =
                      b.bitAnd(bits, b.constant(b.getI32Type(), 0x7fffffff));
                  return SmallVector<Value>{b.max(carried.front(), magnitude)};
                })
          .front();
  largest = blockReduce(b, block, kBlockThreads, block.shared[0], largest,
                        [&](Value x, Value y) { return b.max(x, y); });
  auto [factor, step] =
      emitFactor(b, op.getQuantizer(),
                 arith::BitcastOp::create(b, b.getF32Type(), largest));
  Value sum =
      b.forLoop(block.thread, columns, kBlockThreads, zero,
                [&, factor = factor](Value k, ValueRange carried) {
                  Value q = emitRounded(b, op.getQuantizer(),
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
