//===- F32x16.cpp - The f32x16 layout of float matrices -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/F32x16.h"

using namespace pquant::layout;

void pquant::layout::packF32x16(const float *values, size_t rows,
                                size_t columns, size_t rowStride,
                                size_t columnStride, float *packed) {
  for (size_t i = 0; i < rows; i += blockRows) {
    size_t lanes = rows - i < blockRows ? rows - i : blockRows;
    for (size_t k = 0; k < columns; ++k, packed += blockRows)
      for (size_t r = 0; r < blockRows; ++r)
        packed[r] =
            r < lanes ? values[(i + r) * rowStride + k * columnStride] : 0.0f;
  }
}

void pquant::layout::unpackF32x16(const float *packed, size_t rows,
                                  size_t columns, float *values) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; ++k)
      values[row * columns + k] = packed[f32x16Index(columns, row, k)];
}
