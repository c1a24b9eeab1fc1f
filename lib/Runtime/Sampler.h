//===- Sampler.h - Sampling from the largest logits -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where a GPU has ranked the logits, most samplers need no others.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_SAMPLER_H
#define PQUANT_LIB_RUNTIME_SAMPLER_H

#include "pquant/Layout/Ranking.h"
#include "pquant/Runtime/Generate.h"

namespace pquant {

/// The number of largest logits, of `vocabulary`, that decide the next draw; 0
/// where all do, or more than can be ranked.
int64_t countDeciding(const PQuantSampler &sampler, int64_t vocabulary);

/// pquant_sample, by a ranking of at least as many, which it reorders.
PQuantStatus sampleRanked(PQuantSampler &sampler, layout::Ranking &ranking,
                          int64_t *token);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_SAMPLER_H
