//===- Compare.cpp - How far an output is from what was expected ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything is compared as double; 64-bit integers are first subtracted as
// integers, so that a difference of one is never lost.
//
//===----------------------------------------------------------------------===//

#include "Compare.h"

#include <cinttypes>
#include <cmath>
#include <cstring>

using namespace pquant;

void pquant::appendShape(Text &text, const PQuantTensor &tensor) {
  text.append("(");
  for (int32_t d = 0; d < tensor.rank; ++d)
    text.append("%s%" PRId64, d ? ", " : "", tensor.sizes[d]);
  text.append("%s)", tensor.rank == 1 ? "," : "");
}

bool pquant::sameKind(const PQuantTensor &expected, const PQuantTensor &got,
                      Text &reason) {
  if (expected.dtype != got.dtype) {
    reason.append("expected %s, but got %s", pquant_dtype_name(expected.dtype),
                  pquant_dtype_name(got.dtype));
    return false;
  }
  if (expected.rank == got.rank &&
      !memcmp(expected.sizes, got.sizes, size_t(got.rank) * sizeof(int64_t)))
    return true;
  reason.append("expected shape ");
  appendShape(reason, expected);
  reason.append(", but got ");
  appendShape(reason, got);
  return false;
}

template <typename T>
static T load(const void *data, int64_t i) {
  T value;
  memcpy(&value, static_cast<const char *>(data) + i * int64_t(sizeof(T)),
         sizeof(T));
  return value;
}

static double fromFloat16(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  int fraction = bits & 1023;
  double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? ldexp(fraction, -24)
                                     : ldexp(fraction + 1024, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static double fromBFloat16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  return double(load<float>(&wide, 0));
}

static double valueAt(const PQuantTensor &tensor, int64_t i) {
  const void *data = tensor.data;
  switch (tensor.dtype) {
  case PQUANT_FLOAT32:
    return double(load<float>(data, i));
  case PQUANT_FLOAT64:
    return load<double>(data, i);
  case PQUANT_FLOAT16:
    return fromFloat16(load<uint16_t>(data, i));
  case PQUANT_BFLOAT16:
    return fromBFloat16(load<uint16_t>(data, i));
  case PQUANT_INT8:
    return load<int8_t>(data, i);
  case PQUANT_INT16:
    return load<int16_t>(data, i);
  case PQUANT_INT32:
    return load<int32_t>(data, i);
  case PQUANT_INT64:
    return double(load<int64_t>(data, i));
  case PQUANT_UINT16:
    return load<uint16_t>(data, i);
  case PQUANT_UINT32:
    return load<uint32_t>(data, i);
  case PQUANT_UINT64:
    return double(load<uint64_t>(data, i));
  default:
    return load<uint8_t>(data, i);
  }
}

/// |got - expected| of element i, both finite.
static double distance(const PQuantTensor &expected, const PQuantTensor &got,
                       int64_t i) {
  if (got.dtype == PQUANT_INT64) {
    int64_t a = load<int64_t>(expected.data, i), b = load<int64_t>(got.data, i);
    return double(a < b ? uint64_t(b) - uint64_t(a)
                        : uint64_t(a) - uint64_t(b));
  }
  if (got.dtype == PQUANT_UINT64) {
    auto a = load<uint64_t>(expected.data, i), b = load<uint64_t>(got.data, i);
    return double(a < b ? b - a : a - b);
  }
  return fabs(valueAt(got, i) - valueAt(expected, i));
}

Difference pquant::compareTensors(const PQuantTensor &expected,
                                  const PQuantTensor &got) {
  int64_t count = 1;
  for (int32_t d = 0; d < got.rank; ++d)
    count *= got.sizes[d];
  Difference result;
  double difference2 = 0, expected2 = 0;
  for (int64_t i = 0; i < count; ++i) {
    double a = valueAt(expected, i), b = valueAt(got, i);
    if (!std::isfinite(a) || !std::isfinite(b)) {
      result.nonFinite += !(a == b || (std::isnan(a) && std::isnan(b)));
      continue;
    }
    double d = distance(expected, got, i);
    result.maxAbs = fmax(result.maxAbs, d);
    difference2 += d * d;
    expected2 += a * a;
  }
  if (difference2 > 0)
    result.relativeL2 =
        expected2 > 0 ? sqrt(difference2 / expected2) : INFINITY;
  return result;
}
