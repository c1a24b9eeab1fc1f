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
  int repeat = 0;  ///< 0: run once, without timing
  bool info = false;
  bool selfTest = false;
};

enum class Parsed { Run, Help, Error };

/// Parses a command line; usage errors and help are already printed.
Parsed parseOptions(int argc, char **argv, bool takesLibrary, Options &options);

} // namespace pquant

#endif // PQUANT_RUNTIME_OPTIONS_H
