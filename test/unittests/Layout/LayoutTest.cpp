//===- LayoutTest.cpp - Tests of the storage layouts ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every layout is checked against its formula, element by element, and against
// its inverse, over shapes that are odd in both directions.
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/B16x256.h"
#include "pquant/Layout/D16.h"
#include "pquant/Layout/F32x16.h"
#include "pquant/Layout/I1x16x8.h"
#include "pquant/Layout/I8x16x4.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

using namespace pquant::layout;

namespace {
const std::pair<size_t, size_t> shapes[] = {
    {1, 1},   {1, 63},  {3, 31},  {15, 32}, {16, 64},  {17, 65},
    {16, 33}, {33, 96}, {7, 127}, {48, 64}, {31, 200}, {2, 1000}};

std::vector<uint8_t> randomBytes(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(engine());
  return bytes;
}

/// A random bit string whose unused last bits are 0.
std::vector<uint8_t> randomBits(size_t bits, unsigned seed) {
  std::vector<uint8_t> bytes = randomBytes(bitBytes(bits), seed);
  if (bits % 8)
    bytes.back() &= static_cast<uint8_t>((1u << (bits % 8)) - 1);
  return bytes;
}

TEST(BitMatrix, LoadAndStoreAtEveryOffset) {
  std::vector<uint8_t> bits = randomBits(100, 1);
  for (size_t index = 0; index < 100; ++index)
    for (size_t count = 0; count <= 32 && index + count <= 100; ++count) {
      uint32_t word = loadBits(bits.data(), index, count);
      for (size_t b = 0; b < 32; ++b)
        EXPECT_EQ((word >> b) & 1,
                  b < count ? testBit(bits.data(), index + b) : 0u);
      std::vector<uint8_t> copy(bits.size(), 0xff);
      storeBits(copy.data(), index, count, word);
      for (size_t b = 0; b < 8 * copy.size(); ++b) {
        bool inside = b >= index && b < index + count;
        EXPECT_EQ(testBit(copy.data(), b),
                  inside ? testBit(bits.data(), b) : true);
      }
    }
}

TEST(BitMatrix, CopyJoinsUnalignedStrings) {
  for (size_t first : {0, 1, 8, 13, 64})
    for (size_t second : {0, 3, 32, 77, 128}) {
      std::vector<uint8_t> a = randomBits(first, 2), b = randomBits(second, 3);
      std::vector<uint8_t> joined(bitBytes(first + second));
      copyBits(joined.data(), 0, a.data(), 0, first);
      copyBits(joined.data(), first, b.data(), 0, second);
      for (size_t i = 0; i < first + second; ++i)
        EXPECT_EQ(testBit(joined.data(), i),
                  i < first ? testBit(a.data(), i)
                            : testBit(b.data(), i - first));
    }
}

TEST(BitMatrix, AssignBit) {
  uint8_t bits[2] = {0, 0xff};
  assignBit(bits, 3, true);
  assignBit(bits, 9, false);
  EXPECT_EQ(bits[0], 0x08);
  EXPECT_EQ(bits[1], 0xfd);
}

TEST(D16, FormulaAndInverse) {
  for (auto [rows, columns] : shapes) {
    std::vector<uint8_t> bits = randomBits(rows * columns, 4);
    std::vector<uint8_t> packed(d16Bytes(rows, columns), 0xaa);
    packD16(bits.data(), rows, columns, packed.data());
    size_t rowEnd = roundUp(rows, 16), columnEnd = roundUp(columns, 64);
    for (size_t n = 0; n < rowEnd; ++n)
      for (size_t k = 0; k < columnEnd; ++k) {
        bool inside = n < rows && k < columns;
        EXPECT_EQ(d16Bit(packed.data(), columns, n, k),
                  inside && testBit(bits.data(), n * columns + k));
      }
    std::vector<uint8_t> back(bits.size(), 0xff);
    unpackD16(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, bits);
  }
}

TEST(B16x256, FormulaAndInverse) {
  for (auto [rows, columns] : shapes) {
    std::vector<uint8_t> bits = randomBits(rows * columns, 6);
    std::vector<uint8_t> packed(b16x256Bytes(rows, columns), 0xaa);
    packB16x256(bits.data(), rows, columns, packed.data());
    for (size_t n = 0; n < roundUp(rows, 16); ++n)
      for (size_t k = 0; k < roundUp(columns, 256); ++k) {
        bool inside = n < rows && k < columns;
        uint32_t word = loadWord(&packed[b16x256WordOffset(columns, n, k)]);
        EXPECT_EQ((word >> k % 32) & 1,
                  inside && testBit(bits.data(), n * columns + k));
      }
    std::vector<uint8_t> back(bits.size(), 0xff);
    unpackB16x256(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, bits);
  }
}

TEST(B16x256, WordsOfALane) {
  // Lane 6 has rows 1 and 9, columns 64 to 95 and 192 to 223.
  EXPECT_EQ(b16x256WordOffset(256, 1, 64), 6u * 16);
  EXPECT_EQ(b16x256WordOffset(256, 9, 64), 6u * 16 + 4);
  EXPECT_EQ(b16x256WordOffset(256, 1, 192), 6u * 16 + 8);
  EXPECT_EQ(b16x256WordOffset(512, 17, 320), 3u * 512 + 6 * 16);
}

TEST(D16, WordsOfTheDrawnExample) {
  // Row 1 of a 2 x 40 matrix is all ones; row 0 has columns 0 and 33.
  std::vector<uint8_t> bits(bitBytes(80));
  assignBit(bits.data(), 0, true);
  assignBit(bits.data(), 33, true);
  for (size_t k = 0; k < 40; ++k)
    assignBit(bits.data(), 40 + k, true);
  std::vector<uint8_t> packed(d16Bytes(2, 40));
  ASSERT_EQ(packed.size(), 128u);
  packD16(bits.data(), 2, 40, packed.data());
  EXPECT_EQ(loadWord(&packed[0]), 0x00000001u);
  EXPECT_EQ(loadWord(&packed[4]), 0xffffffffu);
  EXPECT_EQ(loadWord(&packed[8]), 0u);
  EXPECT_EQ(loadWord(&packed[64]), 0x00000002u);
  EXPECT_EQ(loadWord(&packed[68]), 0x000000ffu);
}

TEST(I1x16x8, FormulaAndInverse) {
  for (auto [rows, columns] : shapes) {
    std::vector<uint8_t> bits = randomBits(rows * columns, 5);
    std::vector<uint8_t> packed(d16Bytes(rows, columns), 0xaa);
    packI1x16x8(bits.data(), rows, columns, packed.data());
    size_t rowEnd = roundUp(rows, 16), columnEnd = roundUp(columns, 64);
    for (size_t n = 0; n < rowEnd; ++n)
      for (size_t k = 0; k < columnEnd; ++k) {
        size_t byte = (n / 16 * (columnEnd / 8) + k / 8) * 16 + n % 16;
        bool inside = n < rows && k < columns;
        EXPECT_EQ(packed[byte] >> (k % 8) & 1,
                  inside && testBit(bits.data(), n * columns + k));
      }
    std::vector<uint8_t> back(bits.size(), 0xff);
    unpackI1x16x8(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, bits);
  }
}

TEST(D16, RowSums) {
  for (auto [rows, columns] : shapes) {
    std::vector<uint8_t> bits = randomBits(rows * columns, 5);
    std::vector<uint8_t> packed(d16Bytes(rows, columns));
    packD16(bits.data(), rows, columns, packed.data());
    std::vector<int32_t> sums(rows);
    rowSumsD16(packed.data(), rows, columns, sums.data());
    for (size_t n = 0; n < rows; ++n) {
      int32_t expected = 0;
      for (size_t k = 0; k < columns; ++k)
        expected += testBit(bits.data(), n * columns + k) ? 1 : -1;
      EXPECT_EQ(sums[n], expected);
    }
  }
}

TEST(I8x16x4, FormulaInverseAndRowSums) {
  for (auto [rows, columns] : shapes) {
    std::vector<uint8_t> bytes = randomBytes(rows * columns, 6);
    std::vector<int8_t> values(bytes.begin(), bytes.end());
    std::vector<int8_t> packed(i8x16x4Bytes(rows, columns), 1);
    packI8x16x4(values.data(), rows, columns, packed.data());
    std::vector<int32_t> expected(rows), sums(rows);
    for (size_t n = 0; n < roundUp(rows, 16); ++n)
      for (size_t k = 0; k < roundUp(columns, 64); ++k) {
        bool inside = n < rows && k < columns;
        int value = inside ? values[n * columns + k] : 0;
        EXPECT_EQ(packed[i8x16x4Offset(columns, n, k)], value);
        if (inside)
          expected[n] += value;
      }
    rowSumsI8x16x4(packed.data(), rows, columns, sums.data());
    EXPECT_EQ(sums, expected);
    std::vector<int8_t> back(values.size());
    unpackI8x16x4(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, values);
  }
}

TEST(F32x16, FormulaStridesAndInverse) {
  for (auto [rows, columns] : shapes) {
    std::vector<float> values(rows * columns), transposed(rows * columns);
    for (size_t n = 0; n < rows; ++n)
      for (size_t k = 0; k < columns; ++k)
        values[n * columns + k] = transposed[k * rows + n] =
            static_cast<float>(n) * 0.5f - static_cast<float>(k);
    std::vector<float> packed(f32x16Elements(rows, columns), -1.0f);
    packF32x16(values.data(), rows, columns, columns, 1, packed.data());
    for (size_t n = 0; n < roundUp(rows, 16); ++n)
      for (size_t k = 0; k < columns; ++k)
        EXPECT_EQ(packed[f32x16Index(columns, n, k)],
                  n < rows ? values[n * columns + k] : 0.0f);
    std::vector<float> again(packed.size(), -1.0f), back(values.size());
    packF32x16(transposed.data(), rows, columns, 1, rows, again.data());
    EXPECT_EQ(again, packed);
    unpackF32x16(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, values);
  }
}

TEST(BF16x16, UpperHalvesOfF32x16) {
  for (auto [rows, columns] : shapes) {
    std::vector<float> values(rows * columns);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = roundToBFloat16(static_cast<float>(i) * 1.37f - 20.0f);
    EXPECT_TRUE(areBFloat16(values.data(), values.size()));
    std::vector<float> floats(f32x16Elements(rows, columns));
    std::vector<uint16_t> packed(floats.size(), 1);
    packF32x16(values.data(), rows, columns, columns, 1, floats.data());
    packBF16x16(values.data(), rows, columns, columns, 1, packed.data());
    for (size_t i = 0; i < floats.size(); ++i) {
      uint32_t bits;
      memcpy(&bits, &floats[i], sizeof bits);
      EXPECT_EQ(bits, uint32_t(packed[i]) << 16);
    }
    std::vector<float> back(values.size());
    unpackBF16x16(packed.data(), rows, columns, back.data());
    EXPECT_EQ(back, values);
  }
}

TEST(BF16x16, RoundsToNearestEven) {
  EXPECT_EQ(roundToBFloat16(0x1.01p0f), 0x1.00p0f);    // a tie
  EXPECT_EQ(roundToBFloat16(0x1.03p0f), 0x1.04p0f);    // a tie
  EXPECT_EQ(roundToBFloat16(0x1.0102p0f), 0x1.02p0f);  // beyond the tie
  EXPECT_EQ(roundToBFloat16(-0x1.fffffep3f), -0x1p4f); // carries
  EXPECT_EQ(roundToBFloat16(HUGE_VALF), HUGE_VALF);
  EXPECT_TRUE(std::isnan(roundToBFloat16(std::nanf(""))));
  const float exact[] = {1.0f, -2.5f}, inexact[] = {1.0f, 0.1f};
  EXPECT_TRUE(areBFloat16(exact, 2));
  EXPECT_FALSE(areBFloat16(inexact, 2));
}
} // namespace
