//===- NVVMKernels.h - Kernels of NVIDIA GPUs -------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emitters of the kernel table, and the parts that they share. An emitter
// writes the launch of one pqk op, specialised to the sizes that are static.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TARGET_NVVM_KERNELS_H
#define PQUANT_LIB_TARGET_NVVM_KERNELS_H

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "pquant/Conversion/ToGPU.h"

namespace pquant::nvvm {

/// Threads of a block of the linear kernels.
inline constexpr int64_t kThreads = 256, kWarps = kThreads / kWarp;
/// Rows of one weight block, of every layout.
inline constexpr int64_t kBlockRows = 16;
/// Multiprocessors of a large GPU, each of which has a block to do.
inline constexpr int64_t kMultiprocessors = 132;
/// Rows up to which a matrix-vector kernel takes them, one after the other or
/// a few at a time.
inline constexpr int64_t kGemvRows = 8;

/// The operands of a linear op; null where it has none.
struct Linear {
  explicit Linear(OpBuilder &builder, Operation *op);

  Value input, scale, sum, index, weight, weightScale, output;
  bool accumulate = false;
  int64_t columns = 0;   ///< K
  int64_t paddedColumns; ///< columns of `input`
  Value rows, outputs;   ///< M, N
  Value tiles;           ///< N in blocks of 16
  Location loc;
};

/// A thread's place in a block of the linear kernels.
struct Lane {
  Lane(KernelBuilder &b, Value thread);
  Value warp, lane;
  Value row;  ///< lane / 4
  Value quad; ///< lane % 4
};

/// Words of 32 bits at a byte address of i8 memory that is a multiple of their
/// size.
SmallVector<Value> loadWords(KernelBuilder &b, Value memory, ValueRange indices,
                             int64_t count);
/// c + the products of the four signed bytes of two words.
Value dot4(KernelBuilder &b, Value x, Value y, Value c);
/// d = a * b + c of one warp: m16n8k256 bits and counts of ones, or m16n8k32
/// bytes.
SmallVector<Value> mmaBits(KernelBuilder &b, ValueRange a, ValueRange x,
                           ValueRange c);
SmallVector<Value> mmaBytes(KernelBuilder &b, ValueRange a, ValueRange x,
                            ValueRange c);
/// m16n8k8 of tf32, in words, and f32 sums.
SmallVector<Value> mmaFloats(KernelBuilder &b, ValueRange a, ValueRange x,
                             ValueRange c);

/// Adds up the warp's four `sums` over the lanes of a quad, into `row` and the
/// columns 4 * quad on of the block's shared memory.
void storeWarpSums(KernelBuilder &b, const GPUBlock &block, const Lane &at,
                   Value row, ValueRange sums);

/// weight_scale[n], of the last n where n is beyond N.
Value loadWeightScale(KernelBuilder &b, const Linear &linear, Value m, Value n);
/// output[m, n] where the op adds to it, of the last n where n is beyond N;
/// else null. Loaded before the sums are there, its latency is hidden.
Value loadBefore(KernelBuilder &b, const Linear &linear, Value m, Value n);
/// scale[m] * weight_scale[n].
Value loadFactor(KernelBuilder &b, const Linear &linear, Value m, Value n);
/// output[m, n] = float(acc) * factor, or added to it (to `before`, where it is
/// loaded); not where n is beyond N. `acc` is the dot product itself.
void storeResult(KernelBuilder &b, const Linear &linear, Value m, Value n,
                 Value acc, Value factor, Value before = {});
/// Waits for the kernels launched before this one, where the GPU starts it
/// before they end (`pquant-nvvm-overlap-launches`). Before it stand loads of
/// weights only.
void waitForKernels(KernelBuilder &b);
/// The rows of the op by `gemv` where they are few, else by `gemm`; the choice
/// is made on the host when their number is dynamic.
void emitByRows(OpBuilder &builder, const Linear &linear,
                function_ref<void(OpBuilder &)> gemv,
                function_ref<void(OpBuilder &)> gemm);
/// The same for any op of `rows` rows (`staticRows` where known), of which up
/// to `limit` are few.
void emitByRows(OpBuilder &builder, Location loc, int64_t staticRows,
                Value rows, int64_t limit, function_ref<void(OpBuilder &)> few,
                function_ref<void(OpBuilder &)> many);

/// What a row of an INT8 cache counts in: the four bytes behind its `columns`
/// values. `indices` are those of the row.
Value loadCacheStep(KernelBuilder &b, Value cache, ValueRange indices,
                    int64_t columns);

void emitQuantize(OpBuilder &builder, Operation *op);
/// Bit planes of the activations on the tensor cores.
void emitBinaryMma(OpBuilder &builder, Operation *op);
/// Four products at a time.
void emitBinaryDot(OpBuilder &builder, Operation *op);
void emitInt8Mma(OpBuilder &builder, Operation *op);
/// `expert_linear`: many rows by expert.
void emitExpertMma(OpBuilder &builder, Operation *op);
/// `int8_linear` and `expert_linear`.
void emitInt8Dot(OpBuilder &builder, Operation *op);
void emitFloatLinear(OpBuilder &builder, Operation *op);
/// A block for each row.
void emitAttention(OpBuilder &builder, Operation *op);
/// The same for few rows, tiles on the tensor cores for many.
void emitAttentionMma(OpBuilder &builder, Operation *op);

/// Matrix-matrix kernels of bytes: all rows at once.
void emitBinaryGemm(OpBuilder &builder, const Linear &linear);
void emitInt8Gemm(OpBuilder &builder, const Linear &linear);
/// The same by the instructions of warpgroups.
void emitBinaryWgmma(OpBuilder &builder, const Linear &linear);
void emitInt8Wgmma(OpBuilder &builder, const Linear &linear);

} // namespace pquant::nvvm

#endif // PQUANT_LIB_TARGET_NVVM_KERNELS_H
