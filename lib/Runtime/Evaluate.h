//===- Evaluate.h - How good and how consistent a model is ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `--perplexity` and `--check-equality` of pquant-run. Both ask a model for
// the logits of token ids, by whichever entry point gives them.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_EVALUATE_H
#define PQUANT_LIB_RUNTIME_EVALUATE_H

#include "Options.h"
#include "Text.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// The index of 'main' if it takes token ids [batch, tokens] and nothing else,
/// and gives float32 logits [batch, tokens, vocabulary]; else -1.
int32_t findTokenEntry(const PQuantModel *model);

/// Runs that entry point on `count` tokens of one sequence.
PQuantStatus runTokens(PQuantModel *model, int32_t entry, const int64_t *tokens,
                       int64_t count, PQuantResults **results);

/// Prints the perplexity of the tokens in a file; false with an error.
bool printPerplexity(const Options &options, PQuantModel *model, Text &error);

/// Compares what threads and sessions must not change; false with an error or
/// where something differs by more than the tolerance.
bool checkEquality(const Options &options, PQuantModel *model, Text &error);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_EVALUATE_H
