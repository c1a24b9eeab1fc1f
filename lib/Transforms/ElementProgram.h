//===- ElementProgram.h - Straight-line code on blocks ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the constant evaluator runs: a list of operations, each of which works
// on a block of elements at once, so that the choice of the operation costs
// nothing and the loops vectorise.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_ELEMENTPROGRAM_H
#define PQUANT_LIB_TRANSFORMS_ELEMENTPROGRAM_H

#include "pquant/Transforms/ConstantEvaluator.h"

namespace pquant {

/// What an instruction does. F: float32, I: 64-bit integer; the width is that
/// of the IR's integer, to which results are wrapped.
enum class Code {
  // clang-format off
  Load, Index, ConstantF, ConstantI, Extract,
  AddF, SubF, MulF, DivF, PowF, MaxF, MinF, MaxNumF, MinNumF, CopySignF,
  NegF, AbsF, SqrtF, RsqrtF, ExpF, LogF, SinF, CosF, TanhF, ErfF, FloorF, CeilF, RoundEvenF, RoundF, TruncF, FmaF,
  AddI, SubI, MulI, DivSI, DivUI, FloorDivSI, RemSI, RemUI, MaxSI, MinSI, AndI, OrI, XorI,
  ShlI, ShrSI, ShrUI, AbsI,
  CmpF, CmpI, SelectF, SelectI, Wrap, ZeroExtend,
  SIToFP, UIToFP, FPToSI, FPToUI,
  // clang-format on
};

/// The instruction that a scalar op without special operands is, if supported.
std::optional<Code> getCode(Operation *op);

/// Whether a register of this type holds floats; no value: not supported.
std::optional<bool> isFloatRegister(Type type);

/// One instruction; register `i` is the result of instruction `i`.
struct Instruction {
  Instruction(Code code, bool isFloat) : code(code), isFloat(isFloat) {}
  Code code;
  bool isFloat;
  /// Width of integer results; 0 for 64 bits and index.
  unsigned width = 0;
  SmallVector<unsigned, 3> operands;
  float number = 0;      ///< ConstantF
  int64_t integer = 0;   ///< ConstantI; the dimension of Index; a predicate
  ConstantBuffer buffer; ///< Load, Extract
  SmallVector<int64_t, 4>
      strides; ///< Load: by dimension of the space, elements
};

/// Straight-line code over an index space, whose last instruction's register is
/// the result.
class ElementProgram {
public:
  std::vector<Instruction> code;
  SmallVector<int64_t, 4> space;

  /// Runs over the whole space in row-major order.
  void run(function_ref<void(const ConstantBlock &)> consume) const;
};

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_ELEMENTPROGRAM_H
