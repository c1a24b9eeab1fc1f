//===- ProgramBuilder.h - From tensor ops to block programs ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes the ElementProgram of a tensor or of the element of a reduction.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_PROGRAMBUILDER_H
#define PQUANT_LIB_TRANSFORMS_PROGRAMBUILDER_H

#include "ElementProgram.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <map>

namespace pquant {
/// Writes the program of one expression over `space`.
class ProgramBuilder {
public:
  ProgramBuilder(ConstantEvaluator &evaluator, ArrayRef<int64_t> space)
      : evaluator(evaluator) {
    program.space.assign(space.begin(), space.end());
    for (int64_t extent : space)
      elements *= extent;
  }

  /// The register that holds the expression.
  FailureOr<unsigned> emit(const TensorExpr &expr);

  /// The program whose result is `reg`.
  ElementProgram finish(unsigned reg);

private:
  FailureOr<unsigned> emitTensor(const TensorExpr &expr);
  FailureOr<unsigned> emitLoad(const TensorExpr &expr);
  FailureOr<unsigned> emitScalar(const TensorExpr &expr, Operation *op);
  FailureOr<unsigned> emitVariable(mlir::scf::ForOp loop, Value value,
                                   ArrayRef<int64_t> dims);
  FailureOr<unsigned> emitConstant(mlir::arith::ConstantOp op);
  unsigned add(Instruction instruction) {
    program.code.push_back(std::move(instruction));
    return program.code.size() - 1;
  }

  ConstantEvaluator &evaluator;
  ElementProgram program;
  int64_t elements = 1;
  unsigned depth = 0;
  std::map<std::pair<void *, SmallVector<int64_t, 4>>, unsigned> emitted;
};
} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_PROGRAMBUILDER_H
