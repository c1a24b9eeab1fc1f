//===- SelfTestData.h - Operands of a self-test -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operands by kind (Kp is K rounded up to 64, the tail of q is zero; 2-D
// operands may have a row stride):
//
//   quantize       x MxK f32 -> q MxKp i8, scale M f32, sum M i32
//   binary_linear  q, scale, sum, w 1-bit bytes, wscale N f32 -> y MxN f32
//   int8_linear    q, scale, w I8x16x4 bytes, rowsum N i32, wscale N f32 -> y
//   float_linear   x MxK f32, w [ceil(N/16)][K][16] f32 or bf16 -> y
//   expert_linear  q, scale, index M i64, w E matrices in I8x16x4 one after
//                  another, rowsum ExN i32, wscale ExN f32 -> y
//   attention      q BxHxSxD f32, keys BxGxTxD, values BxGxTxE, mask 1x1xSxT
//   f32
//                  where the kernel has one -> y BxHxSxE f32
//
// Outputs lie in padded memory, so that a write outside is seen.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_SELFTESTDATA_H
#define PQUANT_LIB_RUNTIME_SELFTESTDATA_H

#include "Model.h"

#include <cstdlib>
#include <cstring>

namespace pquant {

/// splitmix64: the same data on every machine.
struct Random {
  uint64_t state;

  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t limit) { return int64_t(next() % uint64_t(limit)); }
  /// In [-1, 1).
  float unit() { return float(int32_t(next() >> 32)) * 0x1p-31f; }
};

/// The sizes of one call: of attention, S queries (m), T keys (k), H heads (n)
/// and G heads of keys (experts).
struct Case {
  int64_t m, k, n, experts;
  int64_t rowPadding; ///< elements between rows
  int64_t batch = 1;  ///< of attention
  int64_t paddedK() const { return (k + 63) / 64 * 64; }
  int64_t blocksN() const { return (n + 15) / 16; }
};

/// An operand with room around it: rows with a stride, which its memref may
/// describe as an array of higher rank.
struct Operand {
  static constexpr int64_t kMargin = 128; ///< bytes before and after
  static constexpr int kCanary = 0xa5;

  PQuantMemRef memref;
  char *memory = nullptr;
  int64_t bytes = 0;
  int64_t elementSize = 0;

  Operand() = default;
  Operand(const Operand &) = delete;
  ~Operand() { free(memory); }

  bool create(int64_t size, int64_t rows, int64_t columns, int64_t padding) {
    elementSize = size;
    numRows = rows, numColumns = columns, rowStride = columns + padding;
    bytes = (rows * rowStride * size + 63) / 64 * 64 + 2 * kMargin;
    memory = static_cast<char *>(aligned_alloc(kAlignment, size_t(bytes)));
    if (!memory)
      return false;
    memset(memory, kCanary, size_t(bytes));
    memref = {memory, memory + kMargin, 0, {rows, columns, rowStride, 1}};
    return true;
  }
  bool vector(int64_t size, int64_t count) {
    if (!create(size, 1, count, 0))
      return false;
    memref.extents[0] = count, memref.extents[1] = 1;
    return true;
  }
  bool copy(const Operand &other) {
    bytes = other.bytes, elementSize = other.elementSize;
    numRows = other.numRows, numColumns = other.numColumns;
    rowStride = other.rowStride;
    memory = static_cast<char *>(aligned_alloc(kAlignment, size_t(bytes)));
    if (!memory)
      return false;
    memcpy(memory, other.memory, size_t(bytes));
    memref = other.memref;
    memref.allocated = memory;
    memref.aligned = memory + kMargin;
    return true;
  }

  int64_t rows() const { return numRows; }
  int64_t columns() const { return numColumns; }
  int64_t stride() const { return rowStride; }
  template <typename T>
  T &at(int64_t row, int64_t column) const {
    return static_cast<T *>(memref.aligned)[row * stride() + column];
  }

private:
  int64_t numRows = 0, numColumns = 0, rowStride = 0; ///< in elements
};

/// Operands of one kernel call; `first` output on are compared.
struct Operands {
  Operand all[7];
  int count = 0;
  int firstOutput = 0;
};

/// Makes the operands of one call of a kernel; false when memory runs out.
bool makeOperands(const PQuantKernel &kernel, const Case &shape,
                  Operands &operands, Random &random);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_SELFTESTDATA_H
