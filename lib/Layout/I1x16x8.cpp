//===- I1x16x8.cpp - The i1x16x8 layout of 1-bit matrices -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/I1x16x8.h"

#include <cstring>

using namespace pquant::layout;

void pquant::layout::packI1x16x8(const uint8_t *bits, size_t rows,
                                 size_t columns, uint8_t *packed) {
  std::memset(packed, 0, d16Bytes(rows, columns));
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; k += i1BlockColumns) {
      size_t left = columns - k;
      size_t count = left < i1BlockColumns ? left : i1BlockColumns;
      packed[i1x16x8Offset(columns, row, k)] =
          static_cast<uint8_t>(loadBits(bits, row * columns + k, count));
    }
}

void pquant::layout::unpackI1x16x8(const uint8_t *packed, size_t rows,
                                   size_t columns, uint8_t *bits) {
  std::memset(bits, 0, bitBytes(rows * columns));
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; k += i1BlockColumns) {
      size_t left = columns - k;
      size_t count = left < i1BlockColumns ? left : i1BlockColumns;
      storeBits(bits, row * columns + k, count,
                packed[i1x16x8Offset(columns, row, k)]);
    }
}
