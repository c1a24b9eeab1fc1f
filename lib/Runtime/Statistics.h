//===- Statistics.h - What is said about a sample ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Median and range of times.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_STATISTICS_H
#define PQUANT_LIB_RUNTIME_STATISTICS_H

#include <cstdlib>

namespace pquant {

struct Spread {
  double median = 0, least = 0, most = 0;
};

/// Sorts `values`; of an even number of values the median is the mean of the
/// two in the middle.
inline Spread getSpread(double *values, int count) {
  if (!count)
    return {};
  qsort(values, size_t(count), sizeof(double),
        [](const void *a, const void *b) {
          double x = *static_cast<const double *>(a);
          double y = *static_cast<const double *>(b);
          return (x > y) - (x < y);
        });
  return {(values[(count - 1) / 2] + values[count / 2]) / 2, values[0],
          values[count - 1]};
}

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_STATISTICS_H
