//===- Generate.h - Write text with a session -------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loop of prefill, draw, print, decode, and the numbers about it.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_GENERATE_H
#define PQUANT_LIB_RUNTIME_GENERATE_H

#include "Options.h"
#include "StopTexts.h"
#include "TextAPI.h"

namespace pquant {

/// What came of one text.
struct Outcome {
  const char *stop = "length"; ///< "length", "end", "stop" or "context"
  int64_t promptTokens = 0, newTokens = 0;
  int64_t decoded = 0; ///< tokens that were computed one by one
  double promptSeconds = 0, decodeSeconds = 0;
};

/// A model, a session and what goes with them. The functions return the exit
/// code, errors printed.
class Writer {
public:
  Writer(const Options &options, PQuantModel *model)
      : options(options), model(model), stops(options.stops) {}
  Writer(const Writer &) = delete;
  ~Writer();

  /// Opens the tokenizer, when there is one, and the weights.
  int open();
  /// Makes the session and the sampler; `wanted` is the room that the text
  /// needs when --context does not say.
  int start(int64_t wanted);
  /// Continues the session by `prompt`, which is not empty, and prints what
  /// comes, after what `prompt` itself reads as when `echoes` is set. Ends
  /// before the end token, before the token `stop` and before --stop's texts.
  int write(const text::Buffer<int64_t> &prompt, bool echoes, int64_t stop);
  /// Empties the session.
  int reset();
  /// Prints the speed on the standard error.
  void printSpeed() const;

  int fail(const char *message) const;
  int failed() const { return fail(pquant_last_error()); }
  /// Appends the tokens of `text`; false when memory runs out.
  bool tokenize(std::string_view text, text::Buffer<int64_t> &tokens);

  const PQuantTokenizer *getTokenizer() const { return tokenizer; }

private:
  int prefill(const text::Buffer<int64_t> &prompt, int64_t &token);
  void print(int64_t token, bool isNew);
  void printJSON();
  void printText(std::string_view text);

  const Options &options;
  PQuantModel *model;
  PQuantTokenizer *tokenizer = nullptr;
  PQuantSession *session = nullptr;
  PQuantSampler *sampler = nullptr;
  PQuantTextStream *stream = nullptr;
  StopTexts stops;
  text::Buffer<char> written;   ///< of this text, for --json
  text::Buffer<int64_t> tokens; ///< likewise
  Outcome outcome, total;
  bool isFirst = true; ///< no token was printed yet
  /// The last token of a text that was cut, not in the session yet; or -1.
  int64_t pending = -1;
};

/// Does what the flags for text ask for; returns the exit code.
int writeText(const Options &options, PQuantModel *model);

/// --interactive: a conversation on the standard input and output.
int converse(Writer &writer, const Options &options, PQuantModel *model);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_GENERATE_H
