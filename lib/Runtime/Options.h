//===- Options.h - The flags of pquant-run ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Parsed with getopt_long; the same for pquant-run and for an executable, but
// that pquant-run takes the library first.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_OPTIONS_H
#define PQUANT_RUNTIME_OPTIONS_H

namespace pquant {

/// What a flag that can be given several times was given.
struct TextList {
  static constexpr int kMost = 16;
  const char *items[kMost] = {};
  int count = 0;
};

struct Options {
  const char *program = "";
  const char *library = nullptr;
  const char *symbol = nullptr;
  const char *weights = nullptr;
  const char *device = nullptr; ///< null: the model's default
  double threads = 0;           ///< 0: the runtime's default
  bool info = false;
  bool selfTest = false;
  bool verifyWeights = false;

  // Run on files.
  const char *inputs = nullptr;
  const char *outputs = nullptr;
  const char *expect = nullptr;
  const char *entry = nullptr;
  double tolerance = 5e-3;
  double repeat = 0;             ///< 0: run once, without timing
  const char *profile = nullptr; ///< where to write a trace

  // Ask what the model is worth.
  const char *perplexity = nullptr; ///< a file of tokens or text
  double sequence = 256;            ///< tokens of a window of it
  bool equality = false;

  // Write text; exactly one of these four says so.
  const char *prompt = nullptr;
  const char *file = nullptr;
  const char *tokens = nullptr;
  bool interactive = false;
  const char *system = nullptr;
  double count = 256;
  double context = 0; ///< 0: what the text needs
  double temperature = 0;
  double topK = 0;
  double topP = 1;
  double repeatPenalty = 1;
  double repeatWindow = 64;
  const char *seed = nullptr;
  TextList stops; ///< texts that end a text
  bool greedy = false;
  bool json = false;

  bool writesText() const { return prompt || file || tokens || interactive; }
};

enum class Parsed { Run, Help, Error };

/// Parses a command line; usage errors and help are already printed.
Parsed parseOptions(int argc, char **argv, bool takesLibrary, Options &options);

/// The program's name without its folder.
const char *programName(int argc, char **argv, const char *fallback);

} // namespace pquant

#endif // PQUANT_RUNTIME_OPTIONS_H
