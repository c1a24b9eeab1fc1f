//===- GenericKernels.cpp - Kernels of vector and arith ops only ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The integer kernels every target can run, one block of 16 outputs at a time
// in vectors of 16 lanes that LLVM splits as the machine needs. They are the
// oracle of the others, so they are short rather than fast.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/PQKernelToVector.h"

using namespace mlir;
using namespace pquant;

/// An activation as i32 in every lane.
static Value broadcastActivation(KernelBuilder &b, Value input, Value m,
                                 Value k) {
  Value q = b.extend(b.load(input, {m, k}), b.getI32Type());
  return b.splat(q, kBlockRows);
}

/// acc + sum over the +1 weights: bit k of each word, moved to the sign and
/// spread over the lane, masks the activation.
void pquant::emitBinaryBits(KernelBuilder &b, const LinearArgs &args,
                            int64_t columns,
                            llvm::function_ref<Value(Value offset)> loadWords) {
  GemvPlan plan;
  plan.groups = {1};
  plan.blockBytes = 2;
  plan.dot = [&](Value m, Value, ArrayRef<Value> blocks) {
    Value base = b.mul(b.mul(blocks.front(), args.columns), 2);
    return b.forLoop(
        b.index(0), args.columns, columns,
        b.constant(b.veci(kBlockRows, 32), 0), [&](Value k, ValueRange acc) {
          Value bits = loadWords(b.add(base, b.mul(k, 2)));
          Value sum = acc.front();
          for (int64_t i = 0; i < columns; ++i) {
            Value mask = b.shiftRightArithmetic(b.shiftLeft(bits, 31 - i), 31);
            Value q = broadcastActivation(b, args.input, m, b.add(k, i));
            sum = b.add(sum, b.bitAnd(mask, q));
          }
          return SmallVector<Value>{sum};
        });
  };
  emitGemv(b, args, Correction::PlusSum, plan);
}

static void emitGenericBinary(KernelBuilder &b, const KernelSpec &spec,
                              ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  emitBinaryBits(b, args, 32, [&](Value offset) {
    return b.loadBytes(args.weight, offset, b.veci(kBlockRows, 32));
  });
}

/// acc + the four products of each lane, whose weights are the bytes of a word.
static void emitGenericInt8(KernelBuilder &b, const KernelSpec &spec,
                            ValueRange operands, KernelGetter) {
  LinearArgs args(b, spec, operands);
  VectorType words = b.veci(kBlockRows, 32);
  GemvPlan plan;
  plan.groups = {1};
  plan.blockBytes = 16;
  plan.dot = [&](Value m, Value, ArrayRef<Value> blocks) {
    Value base = b.mul(b.mul(blocks.front(), args.columns), 16);
    return b.forLoop(b.index(0), args.columns, 4, b.constant(words, 0),
                     [&](Value k, ValueRange acc) {
                       Value at = b.add(base, b.mul(k, 16));
                       Value bytes = b.loadBytes(args.weight, at, words);
                       Value sum = acc.front();
                       for (int64_t i = 0; i < 4; ++i) {
                         Value weight = b.shiftRightArithmetic(
                             b.shiftLeft(bytes, 24 - 8 * i), 24);
                         Value q =
                             broadcastActivation(b, args.input, m, b.add(k, i));
                         sum = b.add(sum, b.mul(weight, q));
                       }
                       return SmallVector<Value>{sum};
                     });
  };
  emitGemv(b, args, Correction::None, plan);
}

ArrayRef<KernelRow> pquant::getGenericKernels() {
  static constexpr KernelRow rows[] = {
      {KernelKind::Quantize, "", emitQuantize},
      {KernelKind::BinaryLinear, "", emitGenericBinary},
      {KernelKind::Int8Linear, "", emitGenericInt8},
      {KernelKind::ExpertLinear, "", emitExpertLinear},
      {KernelKind::FloatLinear, "", emitFloatLinear},
      {KernelKind::Attention, "", emitAttention},
  };
  return rows;
}
