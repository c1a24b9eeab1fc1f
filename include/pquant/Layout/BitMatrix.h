//===- BitMatrix.h - Row-major bit strings ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A plain 1-bit matrix is one unpadded bit string: element (n, k) of an N x K
// matrix is bit n * K + k, least significant bit of each byte first. Bit 1
// stands for the weight +1, bit 0 for -1 (docs/Layout.md, section 1).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_BITMATRIX_H
#define PQUANT_LAYOUT_BITMATRIX_H

#include <cstddef>
#include <cstdint>

namespace pquant::layout {

/// `value` rounded up to a multiple of `multiple`.
constexpr size_t roundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Bytes of a bit string of `bits` bits.
constexpr size_t bitBytes(size_t bits) { return (bits + 7) / 8; }

/// Bit `index` of the string.
inline bool testBit(const uint8_t *bits, size_t index) {
  return (bits[index / 8] >> (index % 8)) & 1;
}

/// Sets bit `index` of the string to `value`.
inline void assignBit(uint8_t *bits, size_t index, bool value) {
  uint8_t mask = static_cast<uint8_t>(1u << (index % 8));
  bits[index / 8] = static_cast<uint8_t>(value ? bits[index / 8] | mask
                                               : bits[index / 8] & ~mask);
}

/// The `count` <= 32 bits that start at bit `index`, in the low bits of the
/// result. Reads no byte beyond the last of these bits.
uint32_t loadBits(const uint8_t *bits, size_t index, size_t count);

/// Overwrites bits [`index`, `index` + `count`), `count` <= 32, with the low
/// bits of `value`; the bits around them stay.
void storeBits(uint8_t *bits, size_t index, size_t count, uint32_t value);

/// Copies `count` bits from `src` at bit `srcIndex` to `dst` at bit `dstIndex`;
/// the strings must not overlap. Joins matrices by rows.
void copyBits(uint8_t *dst, size_t dstIndex, const uint8_t *src,
              size_t srcIndex, size_t count);

/// The 32-bit little-endian word at `bytes`.
inline uint32_t loadWord(const uint8_t *bytes) {
  return static_cast<uint32_t>(bytes[0]) |
         static_cast<uint32_t>(bytes[1]) << 8 |
         static_cast<uint32_t>(bytes[2]) << 16 |
         static_cast<uint32_t>(bytes[3]) << 24;
}

/// Writes `word` to `bytes`, little-endian.
inline void storeWord(uint8_t *bytes, uint32_t word) {
  bytes[0] = static_cast<uint8_t>(word);
  bytes[1] = static_cast<uint8_t>(word >> 8);
  bytes[2] = static_cast<uint8_t>(word >> 16);
  bytes[3] = static_cast<uint8_t>(word >> 24);
}

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_BITMATRIX_H
