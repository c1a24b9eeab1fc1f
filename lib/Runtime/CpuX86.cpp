//===- CpuX86.cpp - CPUID -------------------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A feature is one CPUID bit and the register state that XGETBV must show the
// operating system saves. AMX tiles also need a permission that Linux grants
// per process on request. Adding a feature is adding a row.
//
// A level made for one CPU lists all that LLVM knows of the CPU, so the tables
// hold every name of LLVM's x86 CPUs but a few that no CPU on sale has.
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <cstdint>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>

using namespace pquant;

namespace {
enum Register { EAX, EBX, ECX, EDX };

/// XCR0 bits that must all be set.
enum State : uint64_t {
  None = 0,
  Ymm = 0x6,        // SSE, AVX
  Zmm = Ymm | 0xe0, // opmask, upper halves, upper registers
  Tile = 0x60000,   // TILECFG, TILEDATA
  Apx = 0x80000,    // registers 16 to 31
};

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  State state;
};
} // namespace

static constexpr Feature features[] = {
    {"sse", 1, 0, EDX, 25, None},
    {"sse2", 1, 0, EDX, 26, None},
    {"cx8", 1, 0, EDX, 8, None},
    {"cmov", 1, 0, EDX, 15, None},
    {"sse3", 1, 0, ECX, 0, None},
    {"ssse3", 1, 0, ECX, 9, None},
    {"fma", 1, 0, ECX, 12, Ymm},
    {"cx16", 1, 0, ECX, 13, None},
    {"sse4.1", 1, 0, ECX, 19, None},
    {"sse4.2", 1, 0, ECX, 20, None},
    {"movbe", 1, 0, ECX, 22, None},
    {"popcnt", 1, 0, ECX, 23, None},
    {"avx", 1, 0, ECX, 28, Ymm},
    {"f16c", 1, 0, ECX, 29, Ymm},
    {"sahf", 0x80000001, 0, ECX, 0, None},
    {"lzcnt", 0x80000001, 0, ECX, 5, None},
    {"prfchw", 0x80000001, 0, ECX, 8, None},
    {"xop", 0x80000001, 0, ECX, 11, Ymm},
    {"fma4", 0x80000001, 0, ECX, 16, Ymm},
    {"tbm", 0x80000001, 0, ECX, 21, None},
    {"bmi", 7, 0, EBX, 3, None},
    {"avx2", 7, 0, EBX, 5, Ymm},
    {"bmi2", 7, 0, EBX, 8, None},
    {"avx512f", 7, 0, EBX, 16, Zmm},
    {"avx512dq", 7, 0, EBX, 17, Zmm},
    {"avx512ifma", 7, 0, EBX, 21, Zmm},
    {"avx512cd", 7, 0, EBX, 28, Zmm},
    {"avx512bw", 7, 0, EBX, 30, Zmm},
    {"avx512vl", 7, 0, EBX, 31, Zmm},
    {"avx512vbmi", 7, 0, ECX, 1, Zmm},
    {"avx512vbmi2", 7, 0, ECX, 6, Zmm},
    {"gfni", 7, 0, ECX, 8, None},
    {"avx512vnni", 7, 0, ECX, 11, Zmm},
    {"avx512bitalg", 7, 0, ECX, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Zmm},
    {"avx512vp2intersect", 7, 0, EDX, 8, Zmm},
    {"amx-bf16", 7, 0, EDX, 22, Tile},
    {"avx512fp16", 7, 0, EDX, 23, Zmm},
    {"amx-tile", 7, 0, EDX, 24, Tile},
    {"amx-int8", 7, 0, EDX, 25, Tile},
    {"avxvnni", 7, 1, EAX, 4, Ymm},
    {"avx512bf16", 7, 1, EAX, 5, Zmm},
    {"amx-fp16", 7, 1, EAX, 21, Tile},
    {"avxifma", 7, 1, EAX, 23, Ymm},
    {"avxvnniint8", 7, 1, EDX, 4, Ymm},
    {"avxneconvert", 7, 1, EDX, 5, Ymm},
    {"amx-complex", 7, 1, EDX, 8, Tile},
    {"avxvnniint16", 7, 1, EDX, 10, Ymm},
    {"ccmp", 7, 1, EDX, 21, Apx},
    {"egpr", 7, 1, EDX, 21, Apx},
    {"ndd", 7, 1, EDX, 21, Apx},
    {"nf", 7, 1, EDX, 21, Apx},
    {"ppx", 7, 1, EDX, 21, Apx},
    {"push2pop2", 7, 1, EDX, 21, Apx},
    {"zu", 7, 1, EDX, 21, Apx},
};

/// Features of LLVM's CPUs that it generates no code for unless asked by name,
/// which no kernel does: system instructions, cryptography, random numbers.
/// Virtual machines often hide them.
static constexpr const char *unusedFeatures[] = {
    "adx",    "aes",        "cldemote", "clflushopt", "clwb",
    "clzero", "cmpccxadd",  "crc32",    "enqcmd",     "fsgsbase",
    "fxsr",   "hreset",     "invpcid",  "kl",         "lwp",
    "mmx",    "movdir64b",  "movdiri",  "movrs",      "mwaitx",
    "pclmul", "pconfig",    "pku",      "prefetchi",  "ptwrite",
    "rdpid",  "rdpru",      "rdrnd",    "rdseed",     "serialize",
    "sgx",    "sha",        "sha512",   "shstk",      "sm3",
    "sm4",    "sse4a",      "tsxldtrk", "uintr",      "usermsr",
    "vaes",   "vpclmulqdq", "waitpkg",  "wbnoinvd",   "widekl",
    "x87",    "xsave",      "xsavec",   "xsaveopt",   "xsaves",
};

/// The state that the operating system saves on a context switch.
static uint64_t readXcr0() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr uint32_t osxsave = 1u << 27;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & osxsave))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Asks Linux for the 8 KiB of tile data in this process's threads.
static bool requestTiles() {
  constexpr long archReqXcompPerm = 0x1023;
  constexpr long tileData = 18;
  return syscall(SYS_arch_prctl, archReqXcompPerm, tileData) == 0;
}

bool pquant::cpuHasFeature(const char *name, size_t length) {
  for (const Feature &feature : features) {
    if (strlen(feature.name) != length || memcmp(feature.name, name, length))
      continue;
    uint32_t regs[4] = {};
    if (!__get_cpuid_count(feature.leaf, feature.subleaf, &regs[EAX],
                           &regs[EBX], &regs[ECX], &regs[EDX]))
      return false;
    if (!(regs[feature.reg] >> feature.bit & 1))
      return false;
    if (feature.state != None && (readXcr0() & feature.state) != feature.state)
      return false;
    return feature.state != Tile || requestTiles();
  }
  for (const char *unused : unusedFeatures)
    if (strlen(unused) == length && !memcmp(unused, name, length))
      return true;
  return false;
}

#endif // __x86_64__
