//===- Roof.h - What this machine can do at most ----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plain loops that do nothing but read memory, or nothing but multiply, so that
// a measured speed can be given as a part of what was possible at that time.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_ROOF_H
#define PQUANT_RUNTIME_ROOF_H

#include <cstddef>
#include <cstdint>

namespace pquant {

/// Memory that is read for the roof: more than any cache holds.
constexpr size_t kRoofBytes = size_t(420) << 20;

/// Random bytes in huge pages; null when out of memory.
char *allocateRoof();
/// Gives back what allocateRoof gave.
void freeRoof(char *memory);

/// Reads [begin, end) once, in eight streams; the result depends on each byte.
uint64_t readStreams(const char *begin, const char *end);

/// INT8 multiplications, each with its addition, in registers.
struct Int8Peak {
  const char *name; ///< "AMX", "VNNI", or null when there is neither
  /// Runs `steps` steps of `opsPerStep` operations (multiplications and
  /// additions); the result depends on each.
  uint32_t (*run)(int64_t steps);
  int64_t opsPerStep;
};

/// By tiles and by vectors of 512 bits; a null name where the CPU has none.
Int8Peak getAmxPeak();
Int8Peak getVnniPeak();
/// The fastest way this CPU has.
Int8Peak getInt8Peak();

} // namespace pquant

#endif // PQUANT_RUNTIME_ROOF_H
