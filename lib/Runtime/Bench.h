//===- Bench.h - How fast a model reads and writes text ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The measurements of pquant-bench. A prompt test gives the model a prompt at
// once, a generation test one token after another on top of a context. Each
// repetition lies between two readings of the roof, since on a shared machine
// only what was measured together can be compared.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_BENCH_H
#define PQUANT_LIB_RUNTIME_BENCH_H

#include "Clock.h"
#include "Options.h"
#include "Profile.h"
#include "Statistics.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// Numbers of one flag.
struct NumberList {
  static constexpr int kMost = 16;
  int64_t values[kMost];
  int count = 0;
};

struct BenchOptions {
  const char *program = "pquant-bench";
  const char *library = nullptr;
  const char *symbol = nullptr;
  const char *device = nullptr; ///< null: the model's default
  const char *json = nullptr;
  const char *profile = nullptr;
  NumberList prompts, generated, contexts, threads;
  int batch = 1; ///< sequences that generate together
  int repetitions = 5;
  bool operations = false; ///< print where the time goes
};

/// What is measured and what came out.
struct BenchTest {
  bool generates;
  int64_t tokens;  ///< of the prompt, or generated
  int64_t context; ///< tokens before the first
  int threads;     ///< of the host
  int batch;       ///< sequences; each generates `tokens`

  Spread tokensPerSecond;         ///< of all sequences
  double seconds;                 ///< median of a step's or a prompt's
  double weightBytes, cacheBytes; ///< that a step (a prompt) must read
  double int8Ops;                 ///< of a step (a prompt)
  Spread readRoof;                ///< bytes a second
  double ofReadRoof;              ///< median of the repetitions' ratios
  double int8Peak;                ///< operations a second; 0: not known
  double ofInt8Peak;
  uint64_t arenaBytes, sessionBytes, peakResident;
  WorkTable work;

  double readBytes() const { return weightBytes + cacheBytes; }
};

struct BenchResults {
  double openSeconds, firstTokenSeconds;
  const char *peakName; ///< of the INT8 peak; null when there is none
  const char *gpuName;  ///< null for a model that runs on CPUs
  const char *chip;     ///< of the GPU; else the level of the CPU's kernels
  int gpuNumber;
  BenchTest *tests = nullptr;
  int numTests = 0;
  Profile profile;

  BenchResults() = default;
  BenchResults(const BenchResults &) = delete;
  ~BenchResults();
};

/// Opens the model of a command line, or of `context`.
using OpenFn = PQuantStatus (*)(void *context, const BenchOptions &options,
                                PQuantModel **model);
/// The whole of pquant-bench but how a model is opened.
int benchMain(int argc, char **argv, bool takesLibrary, void *context,
              OpenFn open);

/// Parses a command line; usage errors and help are already printed.
Parsed parseBenchOptions(int argc, char **argv, bool takesLibrary,
                         BenchOptions &options);

/// Measures all tests; false with an error. `openSeconds` of the results has
/// been set.
bool runBench(const BenchOptions &options, PQuantModel *model,
              BenchResults &results, Text &error);

/// Writes everything as a table to the standard output.
void printBench(const BenchOptions &options, const PQuantModel *model,
                const BenchResults &results);
/// Ends a file with the same as JSON; false with an error.
bool writeBench(const BenchOptions &options, const PQuantModel *model,
                const BenchResults &results, OutputText &out, Text &error);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_BENCH_H
