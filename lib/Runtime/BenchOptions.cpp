//===- BenchOptions.cpp - The flags of pquant-bench -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Lists are numbers with commas between them; each is read whole.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <getopt.h>

using namespace pquant;

static const char flagsHelp[] =
    "  -p N,...           lengths of prompts (default 128; 0: none)\n"
    "  -n N,...           tokens to generate (default 32; 0: none)\n"
    "  --context N,...    tokens before the generated ones (default 128)\n"
    "  --batch N          generate for 1 to 8 sequences at once (default 1)\n"
    "  --threads N,...    threads (default: OMP_NUM_THREADS, else all CPUs)\n"
    "  --device NAME      cuda or cuda:<number>, for a model for a GPU\n"
    "  --repetitions N    repetitions of each test (default 5)\n"
    "  --operations       print where the time goes\n"
    "  --profile FILE     write a trace for Perfetto (Chrome's JSON format)\n"
    "  --json FILE        write all results as JSON\n"
    "  --help             print this\n"
    "\n"
    "PQUANT_ISA=<level> in the environment overrides the choice of kernels.\n"
    "Exit code: 0; 1 for an error; 2 for wrong usage.\n";

enum Flag : int {
  ContextFlag = 256,
  BatchFlag,
  ThreadsFlag,
  DeviceFlag,
  RepetitionsFlag,
  OperationsFlag,
  ProfileFlag,
  JsonFlag,
  HelpFlag,
  SymbolFlag
};

static const option longOptions[] = {
    {"context", required_argument, nullptr, ContextFlag},
    {"batch", required_argument, nullptr, BatchFlag},
    {"threads", required_argument, nullptr, ThreadsFlag},
    {"device", required_argument, nullptr, DeviceFlag},
    {"repetitions", required_argument, nullptr, RepetitionsFlag},
    {"operations", no_argument, nullptr, OperationsFlag},
    {"profile", required_argument, nullptr, ProfileFlag},
    {"json", required_argument, nullptr, JsonFlag},
    {"help", no_argument, nullptr, HelpFlag},
    {"symbol", required_argument, nullptr, SymbolFlag},
    {nullptr, 0, nullptr, 0},
};

/// Reads a whole number of `least` to `most`; false with a message.
static bool parseNumber(const BenchOptions &options, const char *flag,
                        const char *text, long least, long most, long &value) {
  char *end;
  value = strtol(text, &end, 10);
  if (end != text && !*end && value >= least && value <= most)
    return true;
  fprintf(stderr,
          "%s: error: %s expected a number from %ld to %ld, but got '%s'\n",
          options.program, flag, least, most, text);
  return false;
}

static Parsed usageError(const BenchOptions &options, const char *message) {
  fprintf(stderr, "%s: error: %s; see --help\n", options.program, message);
  return Parsed::Error;
}

/// Reads numbers of `least` to `most`; with `least` 0, a 0 is no entry unless
/// `keepsZero`.
static bool parseList(const BenchOptions &options, const char *flag, long least,
                      long most, bool keepsZero, NumberList &list) {
  list.count = 0;
  char piece[32];
  for (const char *rest = optarg;; ++rest) {
    size_t length = strcspn(rest, ",");
    snprintf(piece, sizeof piece, "%.*s", int(length), rest);
    long value;
    if (!parseNumber(options, flag, piece, least, most, value))
      return false;
    if (list.count == NumberList::kMost) {
      fprintf(stderr, "%s: error: %s expected at most %d numbers\n",
              options.program, flag, NumberList::kMost);
      return false;
    }
    if (value || keepsZero)
      list.values[list.count++] = value;
    rest += length;
    if (!*rest)
      return true;
  }
}

/// Stores one flag; false for a bad value or an unknown flag.
static bool applyFlag(int flag, BenchOptions &options) {
  constexpr long longest = 1 << 20;
  long value;
  switch (flag) {
  case 'p':
    return parseList(options, "-p", 0, longest, false, options.prompts);
  case 'n':
    return parseList(options, "-n", 0, longest, false, options.generated);
  case ContextFlag:
    return parseList(options, "--context", 0, longest, true, options.contexts);
  case BatchFlag:
    if (!parseNumber(options, "--batch", optarg, 1, 8, value))
      return false;
    options.batch = int(value);
    return true;
  case ThreadsFlag:
    return parseList(options, "--threads", 1, 4096, false, options.threads);
  case RepetitionsFlag:
    if (!parseNumber(options, "--repetitions", optarg, 1, 10000, value))
      return false;
    options.repetitions = int(value);
    return true;
  case OperationsFlag:
    return options.operations = true;
  case ProfileFlag:
    options.profile = optarg;
    return true;
  case DeviceFlag:
    options.device = optarg;
    return true;
  case JsonFlag:
    options.json = optarg;
    return true;
  case SymbolFlag:
    options.symbol = optarg;
    return true;
  default: // getopt_long has printed what is wrong
    return false;
  }
}

Parsed pquant::parseBenchOptions(int argc, char **argv, bool takesLibrary,
                                 BenchOptions &options) {
  options.program = programName(argc, argv, "pquant-bench");
  options.prompts = {{128}, 1};
  options.generated = {{32}, 1};
  options.contexts = {{128}, 1};
  int flag;
  while ((flag = getopt_long(argc, argv, "p:n:", longOptions, nullptr)) != -1) {
    if (flag == HelpFlag) {
      printf("usage: %s%s [flags]\n%s", options.program,
             takesLibrary ? " LIBRARY" : " --bench", flagsHelp);
      return Parsed::Help;
    }
    if (!applyFlag(flag, options))
      return Parsed::Error;
  }
  if (takesLibrary && optind < argc)
    options.library = argv[optind++];
  if (takesLibrary && !options.library)
    return usageError(options, "expected the path of a compiled model");
  if (!options.prompts.count && !options.generated.count)
    return usageError(options, "expected a test: -p or -n");
  if (optind == argc)
    return Parsed::Run;
  fprintf(stderr, "%s: error: unexpected argument '%s'; see --help\n",
          options.program, argv[optind]);
  return Parsed::Error;
}
