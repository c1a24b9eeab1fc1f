//===- Execute.h - Run an entry point ---------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What pquant_run and sessions share.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_EXECUTE_H
#define PQUANT_LIB_RUNTIME_EXECUTE_H

#include "pquant/Layout/Ranking.h"
#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// Describes a dense tensor the way generated code takes it.
void describe(const PQuantTensor &tensor, PQuantMemRef &memref);

/// The largest of a step's logits, in the place of its results.
struct RankedLogits {
  int32_t wanted; ///< so many; 0: results
  /// They are there, and there are no results. Else there are: the model cannot
  /// rank, or too many logits are equal.
  bool areThere;
  layout::Ranking ranking;
};

/// As pquant_run, on `states`, one for each of the entry point's. `ranked` may
/// be null.
PQuantStatus runEntry(PQuantModel &model, const PQuantEntry &entry,
                      const PQuantTensor *inputs, int32_t numInputs,
                      const PQuantMemRef *states, RankedLogits *ranked,
                      PQuantResults **results);

/// Tokens of type int32, for a model that takes those, to be freed; null when
/// out of memory.
int32_t *narrowTokens(const int64_t *tokens, int64_t count);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_EXECUTE_H
