//===- I1x16x8.h - The i1x16x8 layout of 1-bit matrices ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// i1x16x8 stores [ceil(rows / 16)][columns padded to 64, / 8][16] bytes: bit b
// of byte r of block (i, j) is W[16i + r][8j + b]. Padding is 0 bits. It takes
// as many bytes as d16 and holds the same elements in each 64 of them
// (docs/Layout.md, section 3).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_I1X16X8_H
#define PQUANT_LAYOUT_I1X16X8_H

#include "pquant/Layout/D16.h"

namespace pquant::layout {

/// Columns, and bits of a byte, of one i1x16x8 block.
constexpr size_t i1BlockColumns = 8;

/// Byte offset of the byte that holds element (row, column); the element is its
/// bit column % 8.
constexpr size_t i1x16x8Offset(size_t columns, size_t row, size_t column) {
  size_t blocksPerRow = roundUp(columns, columnPadding) / i1BlockColumns;
  size_t block = row / blockRows * blocksPerRow + column / i1BlockColumns;
  return block * blockRows + row % blockRows;
}

/// Packs a row-major bit string of rows * columns bits into d16Bytes bytes; all
/// of them are written.
void packI1x16x8(const uint8_t *bits, size_t rows, size_t columns,
                 uint8_t *packed);

/// The inverse: writes bitBytes(rows * columns) bytes, unused bits 0.
void unpackI1x16x8(const uint8_t *packed, size_t rows, size_t columns,
                   uint8_t *bits);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_I1X16X8_H
