//===- SelfTestData.cpp - Operands of a self-test -------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What has extremes and ties has them here, the same on every machine.
//
//===----------------------------------------------------------------------===//

#include "SelfTestData.h"

#include <cmath>

using namespace pquant;

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

/// Float rows of several kinds: random, zero, huge, tiny, and exact ties of
/// the rounding (the largest magnitude is 127, so quantising keeps values).
static void fillActivations(const Operand &x, Random &random) {
  for (int64_t i = 0; i < x.rows(); ++i) {
    int64_t kind = (i + random.below(2)) % 5;
    float scale = kind == 2 ? 1e30f : kind == 3 ? 1e-30f : 3.0f;
    for (int64_t j = 0; j < x.columns(); ++j) {
      float value = kind == 1 ? 0.0f : scale * random.unit();
      if (kind == 4)
        value = j ? float(random.below(253) - 126) + 0.5f : 127.0f;
      x.at<float>(i, j) = value;
    }
  }
}

static void fillFloats(const Operand &values, Random &random) {
  for (int64_t i = 0; i < values.rows(); ++i)
    for (int64_t j = 0; j < values.columns(); ++j)
      values.at<float>(i, j) = random.unit();
}

/// Random bytes, or one of the two extremes where saturation would show.
static int8_t pickByte(int64_t kind, Random &random) {
  if (kind == 1)
    return 127;
  if (kind == 2)
    return -128;
  return int8_t(random.next());
}

/// q, scale and, when not null, sum. The tail of each row is zero.
static void fillQuantized(const Case &shape, const Operand &q,
                          const Operand &scale, const Operand *sum,
                          Random &random) {
  for (int64_t i = 0; i < shape.m; ++i) {
    int64_t kind = random.below(4);
    int32_t total = 0;
    for (int64_t j = 0; j < shape.paddedK(); ++j) {
      int8_t value = j < shape.k ? pickByte(kind, random) : int8_t(0);
      q.at<int8_t>(i, j) = value;
      total += value;
    }
    scale.at<float>(0, i) = 0.01f + 0.01f * fabsf(random.unit());
    if (sum)
      sum->at<int32_t>(0, i) = total;
  }
}

/// One matrix of layout D16, [ceil(N/16)][Kp/32][16] words: bit b of word r of
/// block (i, j) is the sign of W[16i + r][32j + b], 0 in the padding.
static void fillBits(const Case &shape, uint32_t *w, Random &random) {
  int64_t kind = random.below(4);
  for (int64_t i = 0; i < shape.blocksN(); ++i) {
    for (int64_t j = 0; j < shape.paddedK() / 32; ++j) {
      int64_t bits = shape.k - 32 * j;
      uint32_t mask = bits >= 32 ? ~0u : bits <= 0 ? 0 : (1u << bits) - 1;
      for (int64_t r = 0; r < 16; ++r) {
        uint32_t word = kind == 1   ? ~0u
                        : kind == 2 ? 0
                                    : uint32_t(random.next());
        *w++ = 16 * i + r < shape.n ? word & mask : 0;
      }
    }
  }
}

/// One matrix of layout I8x16x4, [ceil(N/16)][Kp/4][16 rows][4], with zero
/// padding, and the sum of each row.
static void fillInt8(const Case &shape, int8_t *w, int32_t *rowsum,
                     Random &random) {
  memset(w, 0, size_t(shape.blocksN() * 16 * shape.paddedK()));
  int64_t kind = random.below(4);
  for (int64_t n = 0; n < shape.n; ++n) {
    rowsum[n] = 0;
    for (int64_t k = 0; k < shape.k; ++k) {
      int8_t value = pickByte(kind, random);
      int64_t tile = n / 16 * (shape.paddedK() / 4) + k / 4;
      w[tile * 64 + n % 16 * 4 + k % 4] = value;
      rowsum[n] += value;
    }
  }
}

//===----------------------------------------------------------------------===//
// Operands by kind. False when out of memory.
//===----------------------------------------------------------------------===//

static bool makeQuantize(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 4, ops.firstOutput = 1;
  if (!o[0].create(4, c.m, c.k, c.rowPadding) ||
      !o[1].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[2].vector(4, c.m) || !o[3].vector(4, c.m))
    return false;
  fillActivations(o[0], random);
  return true;
}

static bool makeOutput(const Case &c, Operands &ops, Random &random) {
  ops.firstOutput = ops.count - 1;
  Operand &y = ops.all[ops.firstOutput];
  if (!y.create(4, c.m, c.n, c.rowPadding))
    return false;
  // What an accumulating kernel adds to, and a storing one must overwrite.
  fillFloats(y, random);
  return true;
}

static bool makeBinaryLinear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 6;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(4, c.m) ||
      !o[3].vector(1, c.blocksN() * (c.paddedK() / 32) * 64) ||
      !o[4].vector(4, c.n))
    return false;
  fillQuantized(c, o[0], o[1], &o[2], random);
  fillBits(c, &o[3].at<uint32_t>(0, 0), random);
  fillFloats(o[4], random);
  return makeOutput(c, ops, random);
}

static bool makeInt8Linear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 6;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(1, c.blocksN() * 16 * c.paddedK()) ||
      !o[3].vector(4, c.n) || !o[4].vector(4, c.n))
    return false;
  fillQuantized(c, o[0], o[1], nullptr, random);
  fillInt8(c, &o[2].at<int8_t>(0, 0), &o[3].at<int32_t>(0, 0), random);
  fillFloats(o[4], random);
  return makeOutput(c, ops, random);
}

static bool makeFloatLinear(bool halved, const Case &c, Operands &ops,
                            Random &random) {
  Operand *o = ops.all;
  ops.count = 3;
  if (!o[0].create(4, c.m, c.k, c.rowPadding) ||
      !o[1].vector(halved ? 2 : 4, c.blocksN() * c.k * 16))
    return false;
  fillFloats(o[0], random);
  for (int64_t i = 0; i < c.blocksN() * c.k * 16; ++i) {
    int64_t row = i / (c.k * 16) * 16 + i % 16;
    float value = row < c.n ? random.unit() : 0.0f;
    if (halved)
      memcpy(&o[1].at<uint16_t>(0, i), reinterpret_cast<char *>(&value) + 2, 2);
    else
      o[1].at<float>(0, i) = value;
  }
  return makeOutput(c, ops, random);
}

static bool makeExpertLinear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 7;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(8, c.m) ||
      !o[3].vector(1, c.experts * c.blocksN() * 16 * c.paddedK()) ||
      !o[4].create(4, c.experts, c.n, 0) || !o[5].create(4, c.experts, c.n, 0))
    return false;
  fillQuantized(c, o[0], o[1], nullptr, random);
  for (int64_t i = 0; i < c.m; ++i)
    o[2].at<int64_t>(0, i) = random.below(c.experts);
  for (int64_t e = 0; e < c.experts; ++e)
    fillInt8(c, &o[3].at<int8_t>(0, e * c.blocksN() * 16 * c.paddedK()),
             &o[4].at<int32_t>(e, 0), random);
  fillFloats(o[5], random);
  return makeOutput(c, ops, random);
}

/// Rows of keys or values of `width` numbers, in the cache's type: float32,
/// float16 bits of small numbers, or bytes with their step.
static bool makeCache(int32_t element, int64_t rows, int64_t width, Operand &o,
                      Random &random) {
  if (element == PQUANT_CACHE_F32) {
    if (!o.create(4, rows, width, 0))
      return false;
    fillFloats(o, random);
    return true;
  }
  bool isHalf = element == PQUANT_CACHE_F16;
  if (!o.create(isHalf ? 2 : 1, rows, isHalf ? width : width + 4, 0))
    return false;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j)
      if (isHalf) // exponents 2^-7 to 1, both signs
        o.at<uint16_t>(i, j) =
            uint16_t(random.below(2) << 15 | (8 + random.below(8)) << 10 |
                     random.below(1024));
      else
        o.at<int8_t>(i, j) = int8_t(random.below(255) - 127);
    float step = 0.001f + 0.01f * fabsf(random.unit());
    if (!isHalf)
      memcpy(&o.at<int8_t>(i, width), &step, 4);
  }
  return true;
}

/// Says that the rows of `o` are those of an array [batch][heads][rows].
static void setHeads(Operand &o, int64_t batch, int64_t heads, int64_t rows) {
  int64_t width = o.columns(), stride = o.stride();
  int64_t extents[] = {
      batch,         heads,  rows, width, heads * rows * stride,
      rows * stride, stride, 1};
  memcpy(o.memref.extents, extents, sizeof extents);
}

static bool makeAttention(int32_t variant, const Case &c, Operands &ops,
                          Random &random) {
  int64_t depth = variant & 0xfff, width = variant >> 12 & 0xfff;
  int32_t element = variant >> 24 & 3;
  bool isMasked = variant >> 26 & 1;
  Operand *o = ops.all;
  ops.count = isMasked ? 5 : 4;
  ops.firstOutput = ops.count - 1;
  Operand &y = o[ops.firstOutput];
  if (!o[0].create(4, c.batch * c.n * c.m, depth, c.rowPadding) ||
      !makeCache(element, c.batch * c.experts * c.k, depth, o[1], random) ||
      !makeCache(element, c.batch * c.experts * c.k, width, o[2], random) ||
      (isMasked && !o[3].create(4, c.m, c.k, 0)) ||
      !y.create(4, c.batch * c.n * c.m, width, c.rowPadding))
    return false;
  fillFloats(o[0], random);
  fillFloats(y, random);
  if (isMasked) // a fifth of the keys are hidden
    for (int64_t i = 0; i < c.m; ++i)
      for (int64_t j = 0; j < c.k; ++j)
        o[3].at<float>(i, j) =
            random.below(5) ? random.unit() : -float(HUGE_VAL);
  setHeads(o[0], c.batch, c.n, c.m);
  setHeads(o[1], c.batch, c.experts, c.k);
  setHeads(o[2], c.batch, c.experts, c.k);
  if (isMasked)
    setHeads(o[3], 1, 1, c.m);
  setHeads(y, c.batch, c.n, c.m);
  return true;
}

bool pquant::makeOperands(const PQuantKernel &kernel, const Case &shape,
                          Operands &operands, Random &random) {
  switch (kernel.kind) {
  case PQUANT_KERNEL_QUANTIZE:
    return makeQuantize(shape, operands, random);
  case PQUANT_KERNEL_BINARY_LINEAR:
    return makeBinaryLinear(shape, operands, random);
  case PQUANT_KERNEL_INT8_LINEAR:
    return makeInt8Linear(shape, operands, random);
  case PQUANT_KERNEL_FLOAT_LINEAR:
    return makeFloatLinear(kernel.variant & 1, shape, operands, random);
  case PQUANT_KERNEL_ATTENTION:
    return makeAttention(kernel.variant, shape, operands, random);
  default:
    return makeExpertLinear(shape, operands, random);
  }
}
