//===- B16x256.h - The b16x256 layout of 1-bit matrices ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// b16x256 stores [ceil(rows / 16)][ceil(columns / 256)][32][4] little-endian
// 32-bit words: the order in which the 32 lanes of a warp give a 16 x 256 tile
// to a matrix instruction. Padding is 0 bits (docs/Layout.md, section 8).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_B16X256_H
#define PQUANT_LAYOUT_B16X256_H

#include "pquant/Layout/BitMatrix.h"

namespace pquant::layout {

/// Rows and columns of one b16x256 tile, and its bytes.
constexpr size_t b16x256Rows = 16;
constexpr size_t b16x256Columns = 256;
constexpr size_t b16x256TileBytes = b16x256Rows * b16x256Columns / 8;

/// Bytes of a packed matrix.
constexpr size_t b16x256Bytes(size_t rows, size_t columns) {
  return roundUp(rows, b16x256Rows) * roundUp(columns, b16x256Columns) / 8;
}

/// Byte offset of the word that holds element (row, column); the element is its
/// bit column % 32.
constexpr size_t b16x256WordOffset(size_t columns, size_t row, size_t column) {
  size_t tile =
      row / b16x256Rows * (roundUp(columns, b16x256Columns) / b16x256Columns) +
      column / b16x256Columns;
  size_t lane = row % 8 * 4 + column / 32 % 4;
  size_t word = row / 8 % 2 + column / 128 % 2 * 2;
  return tile * b16x256TileBytes + (lane * 4 + word) * 4;
}

/// Packs a row-major bit string of rows * columns bits into b16x256Bytes bytes;
/// all of them are written.
void packB16x256(const uint8_t *bits, size_t rows, size_t columns,
                 uint8_t *packed);

/// The inverse: writes bitBytes(rows * columns) bytes, unused bits 0.
void unpackB16x256(const uint8_t *packed, size_t rows, size_t columns,
                   uint8_t *bits);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_B16X256_H
