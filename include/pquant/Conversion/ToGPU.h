//===- ToGPU.h - Tensor work as kernels of a GPU ----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the lowering of linalg ops and the kernel tables of GPU targets share.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_TOGPU_H
#define PQUANT_CONVERSION_TOGPU_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "pquant/Conversion/KernelBuilder.h"

namespace pquant {

/// On an argument of a public function: memory that it continues in place.
inline constexpr llvm::StringLiteral kStateAttrName = "pquant.state";
/// On tensor work that the host does.
inline constexpr llvm::StringLiteral kHostAttrName = "pquant.host";

/// Whether `op` computes tensors: a linalg or pqk op on memrefs, or a copy.
bool isTensorWork(Operation *op);
/// Whether an op around `op` does.
bool isInsideTensorWork(Operation *op);
/// The memrefs that tensor work reads (those it writes among them), and those
/// that it writes.
SmallVector<Value> getRead(Operation *op);
SmallVector<Value> getWritten(Operation *op);

/// A copy of host memory that the GPU can read, and the reverse; the memref
/// must be contiguous.
Value copyToDevice(OpBuilder &builder, Location loc, Value value);
Value copyToHost(OpBuilder &builder, Location loc, Value value);

/// Threads that exchange values without memory.
inline constexpr int64_t kWarp = 32;
/// Threads of a block that does all the work of a launch: such launches can be
/// merged (`pquant-merge-launches`).
inline constexpr int64_t kBlockThreads = 1024;

/// What the threads of one block know.
struct GPUBlock {
  Value x, y, thread;
  ValueRange shared; ///< the block's memory
};

/// A launch of grid[0] x grid[1] blocks (1 where not given) of `threads`
/// threads in a row.
void buildLaunch(OpBuilder &builder, Location loc, ArrayRef<Value> grid,
                 int64_t threads, ArrayRef<Type> shared,
                 function_ref<void(KernelBuilder &, const GPUBlock &)> body);

/// Memory of a block.
mlir::MemRefType getSharedType(ArrayRef<int64_t> shape, Type element);

/// `value` combined over the 2^n threads whose numbers differ in bits from
/// `first` on and below `end` only.
Value shuffleReduce(KernelBuilder &b, Value value, int64_t first, int64_t end,
                    function_ref<Value(Value, Value)> combine);

/// `value` combined over all `threads` of a block, for each of them; `scratch`
/// has room for one element of each warp and is not used again.
Value blockReduce(KernelBuilder &b, const GPUBlock &block, int64_t threads,
                  Value scratch, Value value,
                  function_ref<Value(Value, Value)> combine);

/// |x| of an f32 as an i32; NaN, above infinity, is ordered as its bits are.
Value quantizerMagnitude(KernelBuilder &b, Value x);
/// The factor of a row's values (a divisor for `div`), and the step, from the
/// row's largest magnitude.
std::pair<Value, Value>
quantizerFactor(KernelBuilder &b, QuantizerAttr quantizer, Value magnitude);
/// clamp(roundeven(x * factor)) as i32; a NaN becomes qmin.
Value quantizerRound(KernelBuilder &b, QuantizerAttr quantizer, Value x,
                     Value factor);

} // namespace pquant

#endif // PQUANT_CONVERSION_TOGPU_H
