//===- WeightFile.cpp - The checksum of a weight file ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Layout/WeightFile.h"

#include <cstring>

using namespace pquant::layout;

/// Takes a word in. For a given word this is a bijection of the state and for a
/// given state one of the word, so that a changed word changes the result.
static uint64_t step(uint64_t state, uint64_t word) {
  state = (state ^ word) * 0x9E3779B97F4A7C15;
  return state ^ state >> 29;
}

uint64_t pquant::layout::hashWeights(const void *data, size_t bytes) {
  constexpr size_t numLanes = 8, block = numLanes * sizeof(uint64_t);
  uint64_t lanes[numLanes], words[numLanes];
  for (size_t i = 0; i < numLanes; ++i)
    lanes[i] = i + 1;
  auto *next = static_cast<const char *>(data);
  for (size_t left = bytes; left; next += block) {
    size_t size = left < block ? left : block;
    if (size < block)
      memset(words, 0, sizeof words);
    memcpy(words, next, size);
    for (size_t i = 0; i < numLanes; ++i)
      lanes[i] = step(lanes[i], words[i]);
    left -= size;
  }
  uint64_t hash = bytes;
  for (uint64_t lane : lanes)
    hash = step(hash, lane);
  return hash;
}
