//===- B16x256.cpp - The b16x256 layout of 1-bit matrices -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/B16x256.h"

#include <cstring>

using namespace pquant::layout;

/// Calls `visit(row, column, count, offset)` for each word that holds elements:
/// `count` of them from (row, column) on, in the word at byte `offset`.
template <typename Visit>
static void forEachWord(size_t rows, size_t columns, Visit visit) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t column = 0; column < columns; column += 32) {
      size_t left = columns - column;
      visit(row, column, left < 32 ? left : 32,
            b16x256WordOffset(columns, row, column));
    }
}

void pquant::layout::packB16x256(const uint8_t *bits, size_t rows,
                                 size_t columns, uint8_t *packed) {
  std::memset(packed, 0, b16x256Bytes(rows, columns));
  forEachWord(rows, columns,
              [&](size_t row, size_t column, size_t count, size_t offset) {
                storeWord(packed + offset,
                          loadBits(bits, row * columns + column, count));
              });
}

void pquant::layout::unpackB16x256(const uint8_t *packed, size_t rows,
                                   size_t columns, uint8_t *bits) {
  std::memset(bits, 0, bitBytes(rows * columns));
  forEachWord(rows, columns,
              [&](size_t row, size_t column, size_t count, size_t offset) {
                storeBits(bits, row * columns + column, count,
                          loadWord(packed + offset));
              });
}
