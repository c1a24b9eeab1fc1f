//===- D16.cpp - The d16 layout of 1-bit matrices -------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/D16.h"

#include <cstring>

using namespace pquant::layout;

void pquant::layout::packD16(const uint8_t *bits, size_t rows, size_t columns,
                             uint8_t *packed) {
  size_t paddedRows = roundUp(rows, blockRows);
  size_t paddedColumns = roundUp(columns, columnPadding);
  for (size_t i = 0; i < paddedRows; i += blockRows)
    for (size_t k = 0; k < paddedColumns; k += d16BlockColumns)
      for (size_t row = i; row < i + blockRows; ++row, packed += 4) {
        uint32_t word = 0;
        if (row < rows && k < columns) {
          size_t left = columns - k;
          size_t count = left < d16BlockColumns ? left : d16BlockColumns;
          word = loadBits(bits, row * columns + k, count);
        }
        storeWord(packed, word);
      }
}

void pquant::layout::unpackD16(const uint8_t *packed, size_t rows,
                               size_t columns, uint8_t *bits) {
  std::memset(bits, 0, bitBytes(rows * columns));
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; k += d16BlockColumns) {
      size_t left = columns - k;
      size_t count = left < d16BlockColumns ? left : d16BlockColumns;
      uint32_t word = loadWord(packed + d16WordOffset(columns, row, k));
      storeBits(bits, row * columns + k, count, word);
    }
}

static uint32_t countBits(uint32_t word) {
  word -= (word >> 1) & 0x55555555u;
  word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
  return (((word + (word >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

void pquant::layout::rowSumsD16(const uint8_t *packed, size_t rows,
                                size_t columns, int32_t *sums) {
  for (size_t row = 0; row < rows; ++row) {
    // With p bits set, the sum is p - (K - p); padding bits are 0.
    int64_t set = 0;
    for (size_t k = 0; k < columns; k += d16BlockColumns)
      set += countBits(loadWord(packed + d16WordOffset(columns, row, k)));
    sums[row] = static_cast<int32_t>(2 * set - static_cast<int64_t>(columns));
  }
}
