//===- BitMatrix.cpp - Row-major bit strings ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/BitMatrix.h"

#include <cstring>

using namespace pquant::layout;

static uint32_t lowMask(size_t count) {
  return count >= 32 ? 0xffffffffu : (1u << count) - 1u;
}

uint32_t pquant::layout::loadBits(const uint8_t *bits, size_t index,
                                  size_t count) {
  const uint8_t *first = bits + index / 8;
  size_t shift = index % 8;
  size_t bytes = bitBytes(shift + count); // At most 5.
  if (bytes == 4)
    return (loadWord(first) >> shift) & lowMask(count);
  uint64_t word = 0;
  for (size_t i = 0; i < bytes; ++i)
    word |= static_cast<uint64_t>(first[i]) << (8 * i);
  return static_cast<uint32_t>(word >> shift) & lowMask(count);
}

void pquant::layout::storeBits(uint8_t *bits, size_t index, size_t count,
                               uint32_t value) {
  uint8_t *first = bits + index / 8;
  size_t shift = index % 8;
  size_t bytes = bitBytes(shift + count);
  uint64_t mask = static_cast<uint64_t>(lowMask(count)) << shift;
  uint64_t word = static_cast<uint64_t>(value) << shift & mask;
  for (size_t i = 0; i < bytes; ++i)
    first[i] = static_cast<uint8_t>((first[i] & ~(mask >> (8 * i))) |
                                    (word >> (8 * i)));
}

void pquant::layout::copyBits(uint8_t *dst, size_t dstIndex, const uint8_t *src,
                              size_t srcIndex, size_t count) {
  if (count >= 8 && dstIndex % 8 == 0 && srcIndex % 8 == 0) {
    size_t bytes = count / 8;
    std::memcpy(dst + dstIndex / 8, src + srcIndex / 8, bytes);
    dstIndex += 8 * bytes;
    srcIndex += 8 * bytes;
    count -= 8 * bytes;
  }
  while (count > 0) {
    size_t step = count < 32 ? count : 32;
    storeBits(dst, dstIndex, step, loadBits(src, srcIndex, step));
    dstIndex += step;
    srcIndex += step;
    count -= step;
  }
}
