//===- Options.cpp - The flags of pquant-run ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One table says what flags there are, what they take and what they are for.
// Every number is read whole: "4x" and "" are errors.
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <getopt.h>

using namespace pquant;

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

namespace {
/// What a flag belongs to: flags for files and for text exclude each other.
enum class Use { Both, Files, Text, Library };

struct Flag {
  const char *name, *value; ///< value: null for a switch
  Use use;
  /// Where it goes; one of the four.
  const char *Options::*text;
  TextList Options::*list;
  double Options::*number;
  bool Options::*isSet;
  double least, most; ///< of a number
  bool isWhole;
  const char *help; ///< a newline where a line ends
};
} // namespace

static constexpr Flag textFlag(const char *name, const char *value, Use use,
                               const char *Options::*to, const char *help) {
  return {name, value, use, to, nullptr, nullptr, nullptr, 0, 0, false, help};
}
static constexpr Flag listFlag(const char *name, const char *value, Use use,
                               TextList Options::*to, const char *help) {
  return {name, value, use, nullptr, to, nullptr, nullptr, 0, 0, false, help};
}
static constexpr Flag countFlag(const char *name, Use use, double Options::*to,
                                double least, double most, const char *help) {
  return {name,    "N",   use,  nullptr, nullptr, to,
          nullptr, least, most, true,    help};
}
static constexpr Flag realFlag(const char *name, const char *value, Use use,
                               double Options::*to, double least, double most,
                               const char *help) {
  return {name,    value, use,  nullptr, nullptr, to,
          nullptr, least, most, false,   help};
}
static constexpr Flag switchFlag(const char *name, Use use, bool Options::*to,
                                 const char *help) {
  return {name, nullptr, use, nullptr, nullptr, nullptr, to, 0, 0, false, help};
}

static constexpr Flag flags[] = {
    textFlag("prompt", "TEXT", Use::Text, &Options::prompt,
             "continue this text (as an argument without a flag)"),
    textFlag("file", "PATH", Use::Text, &Options::file,
             "continue the text in a file, - for the standard input"),
    textFlag("tokens", "IDS", Use::Text, &Options::tokens,
             "continue token ids, by commas, and print ids"),
    switchFlag("interactive", Use::Text, &Options::interactive,
               "answer each line of the standard input; /reset starts\nover"),
    textFlag("system", "TEXT", Use::Text, &Options::system,
             "what --interactive's chat template puts first"),
    countFlag("n", Use::Text, &Options::count, 1, 1 << 30,
              "at most so many new tokens (default 256); also -n"),
    countFlag("context", Use::Text, &Options::context, 1, 1 << 30,
              "room for tokens (default: as many as needed; 4096 with\n"
              "--interactive)"),
    switchFlag("greedy", Use::Text, &Options::greedy,
               "the most probable token always (default)"),
    realFlag("temperature", "T", Use::Text, &Options::temperature, 0, 1e6,
             "draw, with logits divided by T; 0 is --greedy"),
    countFlag("top-k", Use::Text, &Options::topK, 0, 1 << 30,
              "draw among the N most probable tokens, 0 for all"),
    realFlag("top-p", "P", Use::Text, &Options::topP, DBL_MIN, 1,
             "draw among the most probable tokens that together\n"
             "reach probability P"),
    realFlag("repeat-penalty", "X", Use::Text, &Options::repeatPenalty, FLT_MIN,
             1e6, "above 1, make the last tokens less probable"),
    countFlag("repeat-window", Use::Text, &Options::repeatWindow, 0, 1 << 20,
              "how many last tokens that is (default 64)"),
    textFlag("seed", "N", Use::Text, &Options::seed,
             "equal seeds draw equally (default 0)"),
    listFlag("stop", "TEXT", Use::Text, &Options::stops,
             "end before this text; can be given several times"),
    switchFlag("json", Use::Text, &Options::json,
               "print one JSON object for each text at its end"),
    textFlag("inputs", "F.npz", Use::Files, &Options::inputs,
             "run on these arrays, matched by the inputs' names, or\n"
             "by position when they are called in0, in1, ..."),
    textFlag("outputs", "G.npz", Use::Files, &Options::outputs,
             "write the outputs under their names"),
    textFlag("expect", "H.npz", Use::Files, &Options::expect,
             "compare the outputs, matched by name, or by position\n"
             "when the arrays are called out0, out1, ..."),
    realFlag("tolerance", "T", Use::Files, &Options::tolerance, 0, HUGE_VAL,
             "largest relative L2 error of --expect (default 5e-3)"),
    textFlag("entry", "NAME", Use::Files, &Options::entry,
             "entry point (default: the only one, or main)"),
    countFlag("repeat", Use::Files, &Options::repeat, 1, 1000000,
              "after one warm-up time N runs"),
    textFlag("profile", "T.json", Use::Files, &Options::profile,
             "run once more, print where the time goes and write a\n"
             "trace for Perfetto"),
    textFlag("perplexity", "F", Use::Both, &Options::perplexity,
             "of the tokens in F (.bin of pquant.prepare, its folder,\n"
             ".npy), or of a text, if the model has a tokenizer"),
    countFlag("sequence", Use::Both, &Options::sequence, 1, 1 << 20,
              "tokens of a window of --perplexity (default 256)"),
    switchFlag("check-equality", Use::Both, &Options::equality,
               "compare logits by 1 and more threads, by prefill and\n"
               "decode"),
    countFlag("threads", Use::Both, &Options::threads, 1, 4096,
              "threads (default: OMP_NUM_THREADS, else all CPUs)"),
    textFlag("device", "NAME", Use::Both, &Options::device,
             "cuda or cuda:<number>, for a model that was compiled\n"
             "for a GPU (default: cuda:0)"),
    textFlag("weights", "PATH", Use::Both, &Options::weights,
             "where the weight file is (default: PQUANT_WEIGHTS, else\n"
             "where it was compiled to be)"),
    switchFlag("verify-weights", Use::Both, &Options::verifyWeights,
               "compare the weight file's checksum first"),
    switchFlag("info", Use::Both, &Options::info,
               "print what the model is and takes"),
    switchFlag("self-test", Use::Both, &Options::selfTest,
               "compare every kernel with its generic version"),
    switchFlag("help", Use::Both, nullptr, "print this"),
    // Only for libraries, hence last: an executable parses without it.
    textFlag("symbol", "NAME", Use::Library, &Options::symbol,
             "the library's descriptor function (default\n"
             "pquant_model_descriptor)"),
};
static constexpr int numFlags = sizeof flags / sizeof *flags;

//===----------------------------------------------------------------------===//
// Help
//===----------------------------------------------------------------------===//

static void printUse(FILE *to, const char *title, Use use) {
  fputs(title, to);
  for (const Flag &flag : flags) {
    if (flag.use != use)
      continue;
    char left[40];
    snprintf(left, sizeof left, "--%s%s%s", flag.name, flag.value ? " " : "",
             flag.value ? flag.value : "");
    fprintf(to, "  %-19s", left);
    for (const char *c = flag.help; *c; ++c) {
      putc(*c, to);
      if (*c == '\n')
        fprintf(to, "%21s", "");
    }
    putc('\n', to);
  }
}

static void printUsage(FILE *to, const Options &options, bool takesLibrary) {
  fprintf(to, "usage: %s%s [flags] [PROMPT]\n", options.program,
          takesLibrary ? " LIBRARY" : "");
  printUse(to, "\nWrite text:\n", Use::Text);
  printUse(to, "\nRun on arrays:\n", Use::Files);
  printUse(to, "\nBoth:\n", Use::Both);
  if (takesLibrary)
    printUse(to, "", Use::Library);
  else
    fputs("\nAs the first argument, --bench measures the model; see --bench "
          "--help.\n",
          to);
  fputs("\nPQUANT_ISA=<level> in the environment overrides the choice of "
        "kernels.\n"
        "Exit code: 0; 1 for an error or a failed comparison or test; 2 for "
        "wrong\nusage.\n",
        to);
}

//===----------------------------------------------------------------------===//
// Parse
//===----------------------------------------------------------------------===//

static Parsed usageError(const Options &options, const char *message,
                         const char *name = "") {
  fprintf(stderr, "%s: error: ", options.program);
  fprintf(stderr, message, name);
  fputs("; see --help\n", stderr);
  return Parsed::Error;
}

static bool parseNumber(const Options &options, const Flag &flag,
                        const char *text, double &value) {
  char *end;
  value = strtod(text, &end);
  if (end != text && !*end && std::isfinite(value) && value >= flag.least &&
      value <= flag.most && (!flag.isWhole || value == std::floor(value)))
    return true;
  fprintf(stderr, "%s: error: --%s expected a number ", options.program,
          flag.name);
  if (flag.isWhole)
    fprintf(stderr, "from %.0f to %.0f", flag.least, flag.most);
  else if (flag.least == 0)
    fputs("from 0 up", stderr);
  else
    fprintf(stderr, flag.most == 1 ? "above 0 and up to 1" : "above 0");
  fprintf(stderr, ", but got '%s'\n", text);
  return false;
}

static bool appendText(const Options &options, const Flag &flag,
                       TextList &list) {
  if (*optarg && list.count < TextList::kMost) {
    list.items[list.count++] = optarg;
    return true;
  }
  usageError(options,
             *optarg ? "--%s was given more than 16 times"
                     : "--%s expected a text that is not empty",
             flag.name);
  return false;
}

static bool applyFlag(const Flag &flag, Options &options) {
  if (flag.isSet)
    options.*flag.isSet = true;
  if (flag.text)
    options.*flag.text = optarg;
  if (flag.list && !appendText(options, flag, options.*flag.list))
    return false;
  return !flag.number ||
         parseNumber(options, flag, optarg, options.*flag.number);
}

/// Refuses flags that contradict each other.
static Parsed checkTogether(const Options &options,
                            const bool (&given)[numFlags]) {
  int sources = !!options.prompt + !!options.file + !!options.tokens +
                options.interactive;
  if (sources > 1)
    return usageError(options, "expected one of a prompt, --file, --tokens and "
                               "--interactive");
  Use wrong = sources ? Use::Files : Use::Text;
  for (int i = 0; i < numFlags; ++i)
    if (given[i] && flags[i].use == wrong)
      return usageError(options,
                        sources ? "--%s does not go with writing text"
                                : "--%s needs a prompt, --file, --tokens or "
                                  "--interactive",
                        flags[i].name);
  if (options.system && !options.interactive)
    return usageError(options, "--system needs --interactive");
  if (options.stops.count && options.tokens)
    return usageError(options, "--stop needs text, but --tokens has none");
  if (options.greedy && options.temperature > 0)
    return usageError(options, "--greedy excludes a --temperature above 0");
  if (options.temperature == 0 &&
      (options.topK > 0 || options.topP < 1 || options.seed))
    return usageError(options, "%s needs a --temperature above 0",
                      options.topK > 0   ? "--top-k"
                      : options.topP < 1 ? "--top-p"
                                         : "--seed");
  if (options.seed && (!*options.seed || strlen(options.seed) > 19 ||
                       options.seed[strspn(options.seed, "0123456789")]))
    return usageError(options,
                      "--seed expected a number of up to 19 digits, "
                      "but got '%s'",
                      options.seed);
  return Parsed::Run;
}

/// What stands without a flag: the library, then the prompt.
static Parsed takeArguments(int argc, char **argv, bool takesLibrary,
                            Options &options) {
  if (takesLibrary && optind < argc)
    options.library = argv[optind++];
  if (takesLibrary && !options.library)
    return usageError(options, "expected the path of a compiled model");
  if (optind < argc && options.prompt)
    return usageError(options, "expected one prompt, but got also '%s'",
                      argv[optind]);
  if (optind < argc)
    options.prompt = argv[optind++];
  if (optind < argc)
    return usageError(options, "expected one prompt, but got also '%s'",
                      argv[optind]);
  return Parsed::Run;
}

const char *pquant::programName(int argc, char **argv, const char *fallback) {
  const char *name = argc ? argv[0] : fallback;
  const char *slash = strrchr(name, '/');
  return slash ? slash + 1 : name;
}

Parsed pquant::parseOptions(int argc, char **argv, bool takesLibrary,
                            Options &options) {
  options.program = programName(argc, argv, "pquant-run");
  constexpr int firstFlag = 256;
  option known[numFlags + 1] = {};
  for (int i = 0; i < numFlags; ++i)
    if (takesLibrary || flags[i].use != Use::Library)
      known[i] = {flags[i].name,
                  flags[i].value ? required_argument : no_argument, nullptr,
                  firstFlag + i};

  bool given[numFlags] = {};
  int code;
  while ((code = getopt_long(argc, argv, "n:", known, nullptr)) != -1) {
    int number = code - firstFlag;
    for (int i = 0; code == 'n' && i < numFlags; ++i)
      if (!strcmp(flags[i].name, "n"))
        number = i;
    if (number < 0) // getopt_long has printed what is wrong
      return Parsed::Error;
    if (!strcmp(flags[number].name, "help")) {
      printUsage(stdout, options, takesLibrary);
      return Parsed::Help;
    }
    given[number] = true;
    if (!applyFlag(flags[number], options))
      return Parsed::Error;
  }
  Parsed parsed = takeArguments(argc, argv, takesLibrary, options);
  return parsed == Parsed::Run ? checkTogether(options, given) : parsed;
}
