//===- Clock.h - Time -------------------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_CLOCK_H
#define PQUANT_LIB_RUNTIME_CLOCK_H

#include <cstdint>
#include <ctime>

namespace pquant {

/// Nanoseconds since some moment, by a clock that nobody sets.
inline int64_t nanoseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
}

/// The same in seconds.
inline double clockSeconds() { return double(nanoseconds()) * 1e-9; }

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_CLOCK_H
