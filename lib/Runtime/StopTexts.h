//===- StopTexts.h - Texts that end a text ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A stop text can begin in one token and end in another. What could be the
// beginning of one is held back until it is clear that it is not.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_STOPTEXTS_H
#define PQUANT_LIB_RUNTIME_STOPTEXTS_H

#include "Options.h"
#include "pquant/Text/Buffer.h"
#include <string_view>

namespace pquant {

/// Lets a text through up to the first stop text in it.
class StopTexts {
public:
  explicit StopTexts(const TextList &stops) : stops(stops) {}

  /// Begins a text.
  void start();
  /// What of the text so far, with `more` at its end, can be shown and was not
  /// yet; valid until the next call. Sets `found` at a stop text.
  std::string_view add(std::string_view more);
  /// What was held back, at the end of a text.
  std::string_view finish();

  bool found = false;

private:
  const TextList &stops;
  text::Buffer<char> held;
  size_t shown = 0; ///< of `held`
};

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_STOPTEXTS_H
