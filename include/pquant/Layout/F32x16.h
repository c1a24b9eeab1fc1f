//===- F32x16.h - The layouts of float matrices -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// f32x16 stores [ceil(rows / 16)][columns][16] floats: lane r of (i, k) is
// W[16i + r][k]. Rows are padded with zeros, columns are not padded
// (docs/Layout.md, section 5). bf16x16 stores the upper halves of these floats,
// for matrices whose every value is a bfloat16 (section 9).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_F32X16_H
#define PQUANT_LAYOUT_F32X16_H

#include "pquant/Layout/D16.h"

namespace pquant::layout {

/// Floats of a packed matrix.
constexpr size_t f32x16Elements(size_t rows, size_t columns) {
  return roundUp(rows, blockRows) * columns;
}

/// Index of element (row, column).
constexpr size_t f32x16Index(size_t columns, size_t row, size_t column) {
  return (row / blockRows * columns + column) * blockRows + row % blockRows;
}

/// Packs a matrix whose element (row, column) is
/// values[row * rowStride + column * columnStride], so that a [K, N] matrix
/// needs no transposed copy; writes all f32x16Elements floats.
void packF32x16(const float *values, size_t rows, size_t columns,
                size_t rowStride, size_t columnStride, float *packed);

/// The inverse, to row-major order.
void unpackF32x16(const float *packed, size_t rows, size_t columns,
                  float *values);

/// The nearest bfloat16, of two the one with an even last bit.
float roundToBFloat16(float value);

/// Whether each of `count` values is a bfloat16.
bool areBFloat16(const float *values, size_t count);

/// Packs like packF32x16, each value's upper half.
void packBF16x16(const float *values, size_t rows, size_t columns,
                 size_t rowStride, size_t columnStride, uint16_t *packed);

/// The inverse, to row-major order.
void unpackBF16x16(const uint16_t *packed, size_t rows, size_t columns,
                   float *values);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_F32X16_H
