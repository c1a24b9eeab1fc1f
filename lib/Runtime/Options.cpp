//===- Options.cpp - The flags of pquant-run ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every number is read whole: "4x" and "" are errors.
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <getopt.h>

using namespace pquant;

static const char flagsHelp[] =
    "  --inputs F.npz     run on these arrays, matched by the inputs' names, "
    "or\n"
    "                     by position when they are called in0, in1, ...\n"
    "  --outputs G.npz    write the outputs under their names\n"
    "  --expect H.npz     compare the outputs, matched by name, or by "
    "position\n"
    "                     when the arrays are called out0, out1, ...\n"
    "  --tolerance T      largest relative L2 error of --expect (default "
    "5e-3)\n"
    "  --entry NAME       entry point (default: the only one, or main)\n"
    "  --threads N        threads (default: OMP_NUM_THREADS, else all CPUs)\n"
    "  --repeat N         after one warm-up time N runs\n"
    "  --profile T.json   run once more, print where the time goes and write a\n"
    "                     trace for Perfetto\n"
    "  --perplexity F     of the tokens in F: .bin of pquant.prepare, its "
    "folder,\n"
    "                     or .npy\n"
    "  --sequence N       tokens of a window of --perplexity (default 256)\n"
    "  --check-equality   logits by 1 and more threads, by prefill and decode\n"
    "  --info             print what the model is and takes\n"
    "  --self-test        compare every kernel with its generic version\n"
    "  --help             print this\n"
    "\n"
    "PQUANT_ISA=<level> in the environment overrides the choice of kernels.\n"
    "Exit code: 0; 1 for an error or a failed comparison or test; 2 for wrong\n"
    "usage.\n";

enum Flag : int {
  InputsFlag = 256,
  OutputsFlag,
  ExpectFlag,
  ToleranceFlag,
  EntryFlag,
  ThreadsFlag,
  RepeatFlag,
  ProfileFlag,
  PerplexityFlag,
  SequenceFlag,
  EqualityFlag,
  InfoFlag,
  SelfTestFlag,
  SymbolFlag,
  HelpFlag
};

static const option longOptions[] = {
    {"inputs", required_argument, nullptr, InputsFlag},
    {"outputs", required_argument, nullptr, OutputsFlag},
    {"expect", required_argument, nullptr, ExpectFlag},
    {"tolerance", required_argument, nullptr, ToleranceFlag},
    {"entry", required_argument, nullptr, EntryFlag},
    {"threads", required_argument, nullptr, ThreadsFlag},
    {"repeat", required_argument, nullptr, RepeatFlag},
    {"profile", required_argument, nullptr, ProfileFlag},
    {"perplexity", required_argument, nullptr, PerplexityFlag},
    {"sequence", required_argument, nullptr, SequenceFlag},
    {"check-equality", no_argument, nullptr, EqualityFlag},
    {"info", no_argument, nullptr, InfoFlag},
    {"self-test", no_argument, nullptr, SelfTestFlag},
    {"help", no_argument, nullptr, HelpFlag},
    // Only for libraries, hence last: an executable parses without it.
    {"symbol", required_argument, nullptr, SymbolFlag},
    {nullptr, 0, nullptr, 0},
};

bool pquant::parseNumber(const char *program, const char *flag,
                         const char *text, long least, long most,
                         long &value) {
  char *end;
  value = strtol(text, &end, 10);
  if (end != text && !*end && value >= least && value <= most)
    return true;
  fprintf(stderr,
          "%s: error: %s expected a number from %ld to %ld, but got '%s'\n",
          program, flag, least, most, text);
  return false;
}

static bool parseCount(const Options &options, const char *flag, long most,
                       int &value) {
  long number;
  if (!parseNumber(options.program, flag, optarg, 1, most, number))
    return false;
  value = int(number);
  return true;
}

static bool parseTolerance(const char *program, const char *text,
                           double &value) {
  char *end;
  value = strtod(text, &end);
  if (end != text && !*end && value >= 0 && std::isfinite(value))
    return true;
  fprintf(stderr,
          "%s: error: --tolerance expected a number from 0 up, but got '%s'\n",
          program, text);
  return false;
}

/// Stores one flag; false for a bad value or an unknown flag.
static bool applyFlag(int flag, Options &options) {
  switch (flag) {
  case InputsFlag:
    options.inputs = optarg;
    return true;
  case OutputsFlag:
    options.outputs = optarg;
    return true;
  case ExpectFlag:
    options.expect = optarg;
    return true;
  case ToleranceFlag:
    return parseTolerance(options.program, optarg, options.tolerance);
  case EntryFlag:
    options.entry = optarg;
    return true;
  case ThreadsFlag:
    return parseCount(options, "--threads", 4096, options.threads);
  case RepeatFlag:
    return parseCount(options, "--repeat", 1000000, options.repeat);
  case ProfileFlag:
    options.profile = optarg;
    return true;
  case PerplexityFlag:
    options.perplexity = optarg;
    return true;
  case SequenceFlag:
    return parseCount(options, "--sequence", 1 << 20, options.sequence);
  case EqualityFlag:
    return options.equality = true;
  case InfoFlag:
    return options.info = true;
  case SelfTestFlag:
    return options.selfTest = true;
  case SymbolFlag:
    options.symbol = optarg;
    return true;
  default: // getopt_long has printed what is wrong
    return false;
  }
}

static void printUsage(FILE *to, const Options &options, bool takesLibrary) {
  fprintf(to, "usage: %s%s [flags]\n", options.program,
          takesLibrary ? " LIBRARY" : "");
  fputs(flagsHelp, to);
  fputs(takesLibrary
            ? "--symbol NAME names the library's descriptor function (default\n"
              "pquant_model_descriptor).\n"
            : "As the first argument, --bench measures the model; see --bench "
              "--help.\n",
        to);
}

Parsed pquant::usageError(const char *program, const char *message) {
  fprintf(stderr, "%s: error: %s; see --help\n", program, message);
  return Parsed::Error;
}

const char *pquant::programName(int argc, char **argv, const char *fallback) {
  const char *name = argc ? argv[0] : fallback;
  const char *slash = strrchr(name, '/');
  return slash ? slash + 1 : name;
}

Parsed pquant::parseOptions(int argc, char **argv, bool takesLibrary,
                            Options &options) {
  options.program = programName(argc, argv, "pquant-run");
  constexpr int count = sizeof longOptions / sizeof *longOptions;
  option known[count];
  memcpy(known, longOptions, sizeof known);
  if (!takesLibrary)
    known[count - 2] = known[count - 1];

  int flag;
  while ((flag = getopt_long(argc, argv, "", known, nullptr)) != -1) {
    if (flag == HelpFlag) {
      printUsage(stdout, options, takesLibrary);
      return Parsed::Help;
    }
    if (!applyFlag(flag, options))
      return Parsed::Error;
  }
  if (takesLibrary && optind < argc)
    options.library = argv[optind++];
  if (takesLibrary && !options.library)
    return usageError(options.program, "expected the path of a compiled model");
  if (optind == argc)
    return Parsed::Run;
  fprintf(stderr, "%s: error: unexpected argument '%s'; see --help\n",
          options.program, argv[optind]);
  return Parsed::Error;
}
