//===- KernelOperands.h - What kernels read, from what ops read -*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels read flat packed bytes, one f32 scale for each weight row, and rows
// of quantised activations with their scales and sums. These functions make
// them from the operands of pquant ops.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_KERNELOPERANDS_H
#define PQUANT_CONVERSION_KERNELOPERANDS_H

#include "dialects/PQuant/PQuantDialect.h"

namespace pquant {

/// Whether `weight` is a constant with a #pquant.layout.
bool isPackedConstant(Value weight);

/// Whether `scale` has one value a row, so that kernels can take it.
bool hasOneGroup(Value scale);

/// The bytes (floats) of a packed constant as a flat constant over its blob.
Value buildFlatWeight(OpBuilder &builder, Location loc, Value weight);

/// The sums over k of a packed INT8 matrix, N x i32, or of a stack, E x N.
Value buildRowSums(OpBuilder &builder, Location loc, Value weight);

/// `scale`, one element or `rows` of them in whatever shape, as `rows` floats,
/// times the 0-D `factor` when there is one.
Value buildRowScale(OpBuilder &builder, Location loc, Value scale, int64_t rows,
                    Value factor = Value());

/// `scale`, E x 1 or E x N, as E x N.
Value buildExpertScale(OpBuilder &builder, Location loc, Value scale,
                       int64_t rows);

/// The kernel for an attention on f32, with the result's type.
Value buildAttention(OpBuilder &builder, AttentionOp op);

/// The same over caches that get the new rows first; what stands for all
/// results.
SmallVector<Value> buildCachedAttention(OpBuilder &builder,
                                        CachedAttentionOp op);

/// The i32 sums of the rows of an i8 matrix.
Value buildActivationSums(OpBuilder &builder, Location loc, Value values);

} // namespace pquant

#endif // PQUANT_CONVERSION_KERNELOPERANDS_H
