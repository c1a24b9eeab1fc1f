//===- ConstantReduction.h - Sums and maxima of constants ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the parts of the constant evaluator share.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_CONSTANTREDUCTION_H
#define PQUANT_LIB_TRANSFORMS_CONSTANTREDUCTION_H

#include "pquant/Transforms/ConstantEvaluator.h"

namespace pquant {

/// The op that combines an element with the accumulator of a reduction, when it
/// is one that the evaluator knows; null otherwise.
Operation *getCombiner(mlir::linalg::GenericOp op);

/// Bytes of one element in a ConstantBuffer that is not `isBits`.
int64_t getElementBytes(Type type);

/// A buffer of zeros that owns its memory.
ConstantBuffer allocateBuffer(RankedTensorType type);

/// Writes the elements of a block to a buffer.
void storeBlock(const ConstantBlock &block, ConstantBuffer &buffer);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_CONSTANTREDUCTION_H
