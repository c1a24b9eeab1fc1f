//===- BFloat16.cpp - Rounding to bfloat16 --------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LLVM calls this function where the CPU has no instruction for it. Compiler-rt
// and newer versions of libgcc have it, Debian 12's libgcc has not.
//
//===----------------------------------------------------------------------===//

#include <cstdint>
#include <cstring>

/// The nearest bfloat16, of two the one with an even last bit.
extern "C" __bf16 __truncsfbf2(float value);

__bf16 __truncsfbf2(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bool isNaN = (bits & 0x7fffffffu) > 0x7f800000u;
  uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  auto high = uint16_t(isNaN ? bits >> 16 | 0x40u : rounded >> 16);
  __bf16 result;
  memcpy(&result, &high, sizeof result);
  return result;
}
