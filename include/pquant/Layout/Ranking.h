//===- Ranking.h - The largest logits of a row ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a GPU hands to the sampler in the place of all logits: tokens, among
// them the k with the largest logits (smaller tokens first among equals), and
// every token whose logit equals one of theirs. NaN counts as the largest.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_RANKING_H
#define PQUANT_LAYOUT_RANKING_H

#include <cstdint>

namespace pquant::layout {

/// The largest k.
constexpr int64_t kMostRanked = 256;
/// Room for tokens. More than k come where logits are equal, or where several
/// of the k largest ones are the same thread's.
constexpr int64_t kRankedRoom = 384;

struct RankedLogit {
  int32_t token;
  float logit;
};

/// A row's ranking, in words of 32 bits.
struct Ranking {
  int32_t count; ///< above kRankedRoom: these tokens are not all
  RankedLogit logits[kRankedRoom]; ///< in no order
};

constexpr int64_t kRankingWords = sizeof(Ranking) / sizeof(int32_t);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_RANKING_H
