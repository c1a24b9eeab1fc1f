//===- Clock.h - Seconds ----------------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_CLOCK_H
#define PQUANT_LIB_RUNTIME_CLOCK_H

#include <ctime>

namespace pquant {

/// Seconds since some moment, by a clock that nobody sets.
inline double clockSeconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_CLOCK_H
