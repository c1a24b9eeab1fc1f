//===- D16.h - The d16 layout of 1-bit matrices -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// d16 stores [ceil(rows / 16)][columns padded to 64, / 32][16] little-endian
// 32-bit words: bit b of word r of block (i, j) is W[16i + r][32j + b]. Padding
// is 0 bits (docs/Layout.md, section 2).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_D16_H
#define PQUANT_LAYOUT_D16_H

#include "pquant/Layout/BitMatrix.h"

namespace pquant::layout {

/// Rows of one block, of every layout.
constexpr size_t blockRows = 16;
/// Columns of d16 and i8x16x4 are padded to a multiple of this, and so are the
/// quantised activations that meet them.
constexpr size_t columnPadding = 64;
/// Columns, and bits of a word, of one d16 block.
constexpr size_t d16BlockColumns = 32;

/// Bytes of a packed matrix.
constexpr size_t d16Bytes(size_t rows, size_t columns) {
  return roundUp(rows, blockRows) * roundUp(columns, columnPadding) / 8;
}

/// Byte offset of the word that holds element (row, column); the element is its
/// bit column % 32.
constexpr size_t d16WordOffset(size_t columns, size_t row, size_t column) {
  size_t blocksPerRow = roundUp(columns, columnPadding) / d16BlockColumns;
  size_t block = row / blockRows * blocksPerRow + column / d16BlockColumns;
  return (block * blockRows + row % blockRows) * 4;
}

/// Element (row, column) of a packed matrix.
inline bool d16Bit(const uint8_t *packed, size_t columns, size_t row,
                   size_t column) {
  uint32_t word = loadWord(packed + d16WordOffset(columns, row, column));
  return (word >> (column % d16BlockColumns)) & 1;
}

/// Packs a row-major bit string of rows * columns bits into d16Bytes bytes; all
/// of them are written.
void packD16(const uint8_t *bits, size_t rows, size_t columns, uint8_t *packed);

/// The inverse: writes bitBytes(rows * columns) bytes, unused bits 0.
void unpackD16(const uint8_t *packed, size_t rows, size_t columns,
               uint8_t *bits);

/// sums[n] = sum over k of W[n, k] with W = +1 or -1; padding does not count.
void rowSumsD16(const uint8_t *packed, size_t rows, size_t columns,
                int32_t *sums);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_D16_H
