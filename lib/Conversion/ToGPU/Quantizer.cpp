//===- Quantizer.cpp - The arithmetic of #pquant.quantizer ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// NaN and infinity give what the kernels of CPUs give (QuantizeKernel.cpp).
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Math/IR/Math.h"
#include "pquant/Conversion/ToGPU.h"

using namespace mlir;
using namespace pquant;

Value pquant::quantizerMagnitude(KernelBuilder &b, Value x) {
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), x);
  return b.bitAnd(bits, b.constant(b.getI32Type(), 0x7fffffff));
}

std::pair<Value, Value> pquant::quantizerFactor(KernelBuilder &b,
                                                QuantizerAttr quantizer,
                                                Value magnitude) {
  Value maximum = arith::BitcastOp::create(b, b.getF32Type(), magnitude);
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

Value pquant::quantizerRound(KernelBuilder &b, QuantizerAttr quantizer, Value x,
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
