//===- Roof.cpp - What this machine can do at most ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops are written with intrinsics for one instruction set each, chosen by
// what the CPU has. Empty assembly keeps the compiler from folding what it can
// foresee.
//
//===----------------------------------------------------------------------===//

#include "pquant/Runtime/Roof.h"
#include "Cpu.h"

#include <cstring>
#include <sys/mman.h>

using namespace pquant;

static constexpr size_t kHugePage = size_t(2) << 20;

char *pquant::allocateRoof() {
  void *memory = mmap(nullptr, kRoofBytes + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, kRoofBytes + kHugePage, MADV_HUGEPAGE);
  auto bytes = static_cast<char *>(memory);
  uint64_t state = 1;
  for (size_t i = 0; i < kRoofBytes; i += 8) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    memcpy(bytes + i, &state, 8);
  }
  return bytes;
}

void pquant::freeRoof(char *memory) {
  if (memory)
    munmap(memory, kRoofBytes + kHugePage);
}

#if defined(__x86_64__)

#include <immintrin.h>

static bool has(const char *feature) {
  return cpuHasFeature(feature, strlen(feature));
}

__attribute__((target("avx512f"))) static uint64_t
readStreamsWide(const char *begin, const char *end) {
  size_t stream = size_t(end - begin) / 8 / 64 * 64;
  __m512i sums[8];
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (size_t i = 0; i < stream; i += 64)
    for (int s = 0; s < 8; ++s)
      sums[s] =
          _mm512_or_si512(sums[s], _mm512_loadu_si512(begin + s * stream + i));
  for (int s = 1; s < 8; ++s)
    sums[0] = _mm512_or_si512(sums[0], sums[s]);
  return uint64_t(_mm512_reduce_or_epi64(sums[0]));
}

static uint64_t readStreamsPlain(const char *begin, const char *end) {
  size_t stream = size_t(end - begin) / 8 / 64 * 64;
  __m128i sums[8] = {};
  for (size_t i = 0; i < stream; i += 16)
    for (int s = 0; s < 8; ++s)
      sums[s] = _mm_or_si128(sums[s],
                             _mm_loadu_si128(reinterpret_cast<const __m128i *>(
                                 begin + s * stream + i)));
  for (int s = 1; s < 8; ++s)
    sums[0] = _mm_or_si128(sums[0], sums[s]);
  return uint64_t(_mm_cvtsi128_si64(sums[0]));
}

uint64_t pquant::readStreams(const char *begin, const char *end) {
  // Not by CPUID, which costs much in a virtual machine.
  bool wide = __builtin_cpu_supports("avx512f");
  return (wide ? readStreamsWide : readStreamsPlain)(begin, end);
}

/// Sixteen accumulators hide the latency of the multiplications.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static uint32_t
runVnni(int64_t steps) {
  __m512i sums[16], x = _mm512_set1_epi8(3);
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < steps; ++i) {
    __asm__ volatile("" : "+v"(x));
#pragma GCC unroll 16
    for (__m512i &sum : sums)
      sum = _mm512_dpbusd_epi32(sum, x, x);
  }
  for (int s = 1; s < 16; ++s)
    sums[0] = _mm512_add_epi32(sums[0], sums[s]);
  return uint32_t(_mm512_reduce_add_epi32(sums[0]));
}

namespace {
/// The shapes of the eight tiles, as ldtilecfg reads them.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
} // namespace

/// Four tiles of sums, two of each factor: a matrix product's inner loop
/// without its loads.
__attribute__((target("amx-tile,amx-int8"))) static uint32_t
runAmx(int64_t steps) {
  TileConfiguration configuration;
  alignas(64) int8_t ones[16 * 64];
  alignas(64) uint32_t sums[16 * 16];
  memset(ones, 1, sizeof ones);
  _tile_loadconfig(&configuration);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones, 64);
  _tile_loadd(5, ones, 64);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
  for (int64_t i = 0; i < steps; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  uint32_t result = 0;
  _tile_stored(0, sums, 64);
  result += sums[0];
  _tile_stored(1, sums, 64);
  result += sums[0];
  _tile_stored(2, sums, 64);
  result += sums[0];
  _tile_stored(3, sums, 64);
  result += sums[0];
  _tile_release();
  return result;
}

Int8Peak pquant::getAmxPeak() {
  if (has("amx-tile") && has("amx-int8"))
    return {"AMX", runAmx, 4 * 2 * 16 * 16 * 64};
  return {};
}

Int8Peak pquant::getVnniPeak() {
  if (has("avx512vnni") && has("avx512bw"))
    return {"VNNI", runVnni, 16 * 2 * 64};
  return {};
}

#else

/// Eight streams of words, for the compiler to widen.
uint64_t pquant::readStreams(const char *begin, const char *end) {
  size_t stream = size_t(end - begin) / 8 / 8 * 8;
  uint64_t sums[8] = {}, word;
  for (size_t i = 0; i < stream; i += 8)
    for (int s = 0; s < 8; ++s) {
      memcpy(&word, begin + s * stream + i, 8);
      sums[s] |= word;
    }
  for (int s = 1; s < 8; ++s)
    sums[0] |= sums[s];
  return sums[0];
}

Int8Peak pquant::getAmxPeak() { return {}; }
Int8Peak pquant::getVnniPeak() { return {}; }

#endif

Int8Peak pquant::getInt8Peak() {
  Int8Peak tiles = getAmxPeak();
  return tiles.name ? tiles : getVnniPeak();
}
