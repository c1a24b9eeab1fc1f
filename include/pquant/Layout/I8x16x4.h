//===- I8x16x4.h - The i8x16x4 layout of INT8 matrices ----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// i8x16x4 stores [ceil(rows / 16)][columns padded to 64, / 4][16][4] bytes:
// byte (r, c) of block (i, j) is W[16i + r][4j + c]. Padding is 0
// (docs/Layout.md, section 4).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_I8X16X4_H
#define PQUANT_LAYOUT_I8X16X4_H

#include "pquant/Layout/D16.h"

namespace pquant::layout {

/// Columns of one i8x16x4 block.
constexpr size_t i8BlockColumns = 4;

/// Bytes of a packed matrix.
constexpr size_t i8x16x4Bytes(size_t rows, size_t columns) {
  return roundUp(rows, blockRows) * roundUp(columns, columnPadding);
}

/// Byte offset of element (row, column).
constexpr size_t i8x16x4Offset(size_t columns, size_t row, size_t column) {
  size_t blocksPerRow = roundUp(columns, columnPadding) / i8BlockColumns;
  size_t block = row / blockRows * blocksPerRow + column / i8BlockColumns;
  return (block * blockRows + row % blockRows) * i8BlockColumns +
         column % i8BlockColumns;
}

/// Packs a row-major matrix into i8x16x4Bytes bytes; all of them are written.
void packI8x16x4(const int8_t *values, size_t rows, size_t columns,
                 int8_t *packed);

/// The inverse.
void unpackI8x16x4(const int8_t *packed, size_t rows, size_t columns,
                   int8_t *values);

/// sums[n] = sum over k of W[n, k], which kernels need that bias activations by
/// 128 to make them unsigned.
void rowSumsI8x16x4(const int8_t *packed, size_t rows, size_t columns,
                    int32_t *sums);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_I8X16X4_H
