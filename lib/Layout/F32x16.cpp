//===- F32x16.cpp - The layouts of float matrices -------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/F32x16.h"

#include <cstring>

using namespace pquant::layout;

static uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float floatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// Packs `convert` of each value.
template <typename T, typename Convert>
static void pack(const float *values, size_t rows, size_t columns,
                 size_t rowStride, size_t columnStride, T *packed,
                 Convert convert) {
  for (size_t i = 0; i < rows; i += blockRows) {
    size_t lanes = rows - i < blockRows ? rows - i : blockRows;
    for (size_t k = 0; k < columns; ++k, packed += blockRows)
      for (size_t r = 0; r < blockRows; ++r)
        packed[r] = convert(
            r < lanes ? values[(i + r) * rowStride + k * columnStride] : 0.0f);
  }
}

void pquant::layout::packF32x16(const float *values, size_t rows,
                                size_t columns, size_t rowStride,
                                size_t columnStride, float *packed) {
  pack(values, rows, columns, rowStride, columnStride, packed,
       [](float value) { return value; });
}

void pquant::layout::unpackF32x16(const float *packed, size_t rows,
                                  size_t columns, float *values) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; ++k)
      values[row * columns + k] = packed[f32x16Index(columns, row, k)];
}

float pquant::layout::roundToBFloat16(float value) {
  uint32_t bits = bitsOf(value);
  if (value != value) // a NaN stays one
    return floatOf((bits | 0x400000u) & 0xffff0000u);
  return floatOf((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

bool pquant::layout::areBFloat16(const float *values, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (bitsOf(values[i]) & 0xffffu)
      return false;
  return true;
}

void pquant::layout::packBF16x16(const float *values, size_t rows,
                                 size_t columns, size_t rowStride,
                                 size_t columnStride, uint16_t *packed) {
  pack(values, rows, columns, rowStride, columnStride, packed,
       [](float value) { return uint16_t(bitsOf(value) >> 16); });
}

void pquant::layout::unpackBF16x16(const uint16_t *packed, size_t rows,
                                   size_t columns, float *values) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t k = 0; k < columns; ++k)
      values[row * columns + k] =
          floatOf(uint32_t(packed[f32x16Index(columns, row, k)]) << 16);
}
