//===- Weigh.h - The weight of a logit --------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Probabilities as integers, the same on every machine: docs/TextGeneration.md
// has the formula.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_WEIGH_H
#define PQUANT_LIB_RUNTIME_WEIGH_H

#include <cstdint>
#include <cstring>

namespace pquant {

inline double fromBits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint64_t toBits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// 2^40 e^x for x <= 0, to the nearest integer. Without branches and
/// conversions, so that loops of it are vectorised.
inline uint64_t weigh(double x) {
  constexpr double least = -28.5; // e^x 2^40 < 1/2 from here on
  double near = x > least ? x : least;
  // near = k ln 2 + r with |r| <= ln 2 / 2; k is in the last bits of the sum.
  constexpr double toInteger = 0x1.8p52;
  double shifted = near * 0x1.71547652b82fep0 + toInteger;
  double k = shifted - toInteger;
  double r = (near - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
  constexpr double coefficients[] = {1.0 / 6227020800,
                                     1.0 / 479001600,
                                     1.0 / 39916800,
                                     1.0 / 3628800,
                                     1.0 / 362880,
                                     1.0 / 40320,
                                     1.0 / 5040,
                                     1.0 / 720,
                                     1.0 / 120,
                                     1.0 / 24,
                                     1.0 / 6,
                                     1.0 / 2,
                                     1.0,
                                     1.0};
  double sum = 0;
  for (double coefficient : coefficients)
    sum = sum * r + coefficient;
  double weight = sum * fromBits((toBits(shifted) + 1023 + 40) << 52);
  constexpr double one = 0x1p52; // its last bit is 1
  return toBits(weight + one) - toBits(one);
}

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_WEIGH_H
