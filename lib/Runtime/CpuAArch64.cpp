//===- CpuAArch64.cpp - The auxiliary vector ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Linux tells a process what the CPU has, and the kernel allows, by the bits of
// AT_HWCAP and AT_HWCAP2 (Linux, Documentation/arch/arm64/elf_hwcaps.rst). The
// bits are part of Linux's interface and are spelled out here, since older C
// libraries do not name the newer ones. Names are LLVM's.
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"

#if defined(__aarch64__)

#include <cstring>
#include <sys/auxv.h>

using namespace pquant;

namespace {
struct Feature {
  const char *name;
  unsigned long vector; ///< AT_HWCAP or AT_HWCAP2
  int bit;
};
} // namespace

static constexpr Feature features[] = {
    {"fp-armv8", AT_HWCAP, 0},   {"neon", AT_HWCAP, 1},
    {"aes", AT_HWCAP, 3},        {"sha2", AT_HWCAP, 6},
    {"crc", AT_HWCAP, 7},        {"lse", AT_HWCAP, 8},
    {"fullfp16", AT_HWCAP, 10},  {"rdm", AT_HWCAP, 12},
    {"jsconv", AT_HWCAP, 13},    {"complxnum", AT_HWCAP, 14},
    {"rcpc", AT_HWCAP, 15},      {"sha3", AT_HWCAP, 17},
    {"sm4", AT_HWCAP, 19},       {"dotprod", AT_HWCAP, 20},
    {"sve", AT_HWCAP, 22},       {"fp16fml", AT_HWCAP, 23},
    {"rcpc-immo", AT_HWCAP, 26}, {"flagm", AT_HWCAP, 27},
    {"sb", AT_HWCAP, 29},        {"sve2", AT_HWCAP2, 1},
    {"altnzcv", AT_HWCAP2, 7},   {"fptoint", AT_HWCAP2, 8},
    {"i8mm", AT_HWCAP2, 13},     {"bf16", AT_HWCAP2, 14},
    {"sme", AT_HWCAP2, 23},      {"cssc", AT_HWCAP2, 34},
    {"mops", AT_HWCAP2, 43},     {"lse128", AT_HWCAP2, 47},
};

bool pquant::cpuHasFeature(const char *name, size_t length) {
  for (const Feature &feature : features)
    if (strlen(feature.name) == length &&
        memcmp(feature.name, name, length) == 0)
      return getauxval(feature.vector) >> feature.bit & 1;
  return false;
}

#endif
