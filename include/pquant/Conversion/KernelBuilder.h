//===- KernelBuilder.h - Short spellings for kernel bodies ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernel emitters are C++ that writes scf, vector, arith and memref ops. This
// builder gives the ops they use short names, so that an emitter reads like
// the loop nest it makes. Arithmetic picks the integer or float op from the
// operands' element type; integer and index constants are made where used and
// left to CSE.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_KERNELBUILDER_H
#define PQUANT_CONVERSION_KERNELBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// Writes the body of one kernel.
class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using mlir::ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  /// vector<lanes x element>.
  mlir::VectorType vec(int64_t lanes, Type element);
  /// vector<lanes x iBits>.
  mlir::VectorType veci(int64_t lanes, unsigned bits);
  mlir::VectorType vecf(int64_t lanes);

  Value index(int64_t value);
  Value f32(float value);
  Value f32(const llvm::APFloat &value);
  /// An integer constant, or a splat of it when `type` is a vector.
  Value constant(Type type, int64_t value);
  /// A vector constant of the given lanes.
  Value laneConstant(mlir::VectorType type, ArrayRef<int64_t> lanes);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  /// Multiplication and signed ceiling division of an index by a constant.
  Value mul(Value a, int64_t b);
  Value add(Value a, int64_t b);
  Value ceilDiv(Value a, int64_t b);
  Value div(Value a, Value b);
  Value bitAnd(Value a, Value b);
  Value bitOr(Value a, Value b);
  Value bitXor(Value a, Value b);
  /// Shifts of every lane by a constant.
  Value shiftLeft(Value a, int64_t bits);
  Value shiftRightLogical(Value a, int64_t bits);
  Value shiftRightArithmetic(Value a, int64_t bits);
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  Value select(Value condition, Value a, Value b);
  Value extend(Value a, Type type);
  Value truncate(Value a, Type type);
  /// a * b + c with one rounding where `fused`, else with two.
  Value multiplyAdd(Value a, Value b, Value c, bool fused);

  Value bitcast(Value a, mlir::VectorType type);
  Value splat(Value scalar, int64_t lanes);
  Value shuffle(Value a, Value b, ArrayRef<int64_t> mask);
  /// A mask of `lanes` lanes whose first `count` (an index) are set.
  Value maskOfFirst(Value count, int64_t lanes);
  /// Calls an LLVM intrinsic by name.
  Value intrinsic(StringRef name, Type result, ValueRange args);

  Value dim(Value memref, int64_t index);
  Value load(Value memref, ValueRange indices);
  void store(Value value, Value memref, ValueRange indices);
  Value loadVector(Value memref, ValueRange indices, mlir::VectorType type);
  /// Loads `type`'s bytes from i8 memory.
  Value loadBytes(Value memref, ValueRange indices, mlir::VectorType type);
  void storeVector(Value vector, Value memref, ValueRange indices);
  /// Stores a vector of any element type to i8 memory.
  void storeBytes(Value vector, Value memref, ValueRange indices);
  /// The integer of `bits` bits at an address of i8 memory, in every lane.
  Value broadcastWord(Value memref, ValueRange indices, unsigned bits,
                      int64_t lanes);
  void prefetch(Value memref, ValueRange indices, bool isWrite = false);
  /// Scratch on the stack, of static size.
  Value stackBuffer(ArrayRef<int64_t> shape, Type element);
  /// Scratch on the heap, 64-byte aligned; `free` it in the same block.
  Value heapBytes(Value bytes);
  void free(Value memref);

  /// scf.for with loop-carried values; the body returns the next ones.
  SmallVector<Value>
  forLoop(Value from, Value to, int64_t step, ValueRange inits,
          function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void forLoop(Value from, Value to, int64_t step,
               function_ref<void(Value)> body);
  void ifElse(Value condition, function_ref<void()> then,
              function_ref<void()> otherwise = nullptr);
  /// pqk.parallel.
  void parallel(Value count, Value grain,
                function_ref<void(Value, Value)> body);
  /// Covers [from, to) by steps of the first size, the rest by steps of the
  /// next one, and so on; the last size must be 1.
  void forEachTile(Value from, Value to, ArrayRef<int64_t> sizes,
                   function_ref<void(int64_t, Value)> body);
};

} // namespace pquant

#endif // PQUANT_CONVERSION_KERNELBUILDER_H
