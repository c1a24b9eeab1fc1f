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

struct Options {
  const char *program = "";
  const char *library = nullptr;
  const char *symbol = nullptr;
  const char *inputs = nullptr;
  const char *outputs = nullptr;
  const char *expect = nullptr;
  const char *entry = nullptr;
  double tolerance = 5e-3;
  int threads = 0; ///< 0: the runtime's default
  const char *perplexity = nullptr; ///< a file of tokens
  int sequence = 256;               ///< tokens of a window of it
  const char *profile = nullptr;    ///< where to write a trace
  bool equality = false;
  int repeat = 0;  ///< 0: run once, without timing
  bool info = false;
  bool selfTest = false;
};

enum class Parsed { Run, Help, Error };

/// Parses a command line; usage errors and help are already printed.
Parsed parseOptions(int argc, char **argv, bool takesLibrary, Options &options);

/// Reads a whole number of `least` to `most`; false with a message.
bool parseNumber(const char *program, const char *flag, const char *text,
                 long least, long most, long &value);

/// The program's name without its folder.
const char *programName(int argc, char **argv, const char *fallback);

/// Prints a message that points to --help.
Parsed usageError(const char *program, const char *message);

} // namespace pquant

#endif // PQUANT_RUNTIME_OPTIONS_H
