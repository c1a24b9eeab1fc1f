//===- I8x16x4.cpp - The i8x16x4 layout of INT8 matrices ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/I8x16x4.h"

#include <cstring>

using namespace pquant::layout;

void pquant::layout::packI8x16x4(const int8_t *values, size_t rows,
                                 size_t columns, int8_t *packed) {
  size_t paddedRows = roundUp(rows, blockRows);
  size_t paddedColumns = roundUp(columns, columnPadding);
  for (size_t i = 0; i < paddedRows; i += blockRows)
    for (size_t k = 0; k < paddedColumns; k += i8BlockColumns)
      for (size_t row = i; row < i + blockRows; ++row) {
        size_t left = row < rows && k < columns ? columns - k : 0;
        size_t count = left < i8BlockColumns ? left : i8BlockColumns;
        for (size_t c = 0; c < i8BlockColumns; ++c)
          *packed++ = c < count ? values[row * columns + k + c] : int8_t(0);
      }
}

void pquant::layout::unpackI8x16x4(const int8_t *packed, size_t rows,
                                   size_t columns, int8_t *values) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; k += i8BlockColumns) {
      size_t left = columns - k;
      std::memcpy(values + row * columns + k,
                  packed + i8x16x4Offset(columns, row, k),
                  left < i8BlockColumns ? left : i8BlockColumns);
    }
}

void pquant::layout::rowSumsI8x16x4(const int8_t *packed, size_t rows,
                                    size_t columns, int32_t *sums) {
  for (size_t row = 0; row < rows; ++row) {
    int32_t sum = 0;
    for (size_t k = 0; k < columns; ++k)
      sum += packed[i8x16x4Offset(columns, row, k)];
    sums[row] = sum;
  }
}
