//===- RunMain.cpp - The command line of a compiled model -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs an open model on npz files: read, run, time, compare, write.
//
//===----------------------------------------------------------------------===//

#include "Clock.h"
#include "Compare.h"
#include "Evaluate.h"
#include "Generate.h"
#include "Info.h"
#include "Profile.h"
#include "RunModel.h"
#include "Select.h"
#include "Statistics.h"

#include "pquant/Runtime/RunMain.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace pquant;

/// Prints one error line; returns the exit code.
static int fail(const Options &options, const char *message) {
  fprintf(stderr, "%s: error: %s\n", options.program, message);
  return 1;
}

namespace {
/// The arrays of a file that belong to one side of an entry point.
struct Selection {
  ArrayFile file;
  PQuantTensor *tensors = nullptr;
  int32_t count = 0;

  Selection() = default;
  Selection(const Selection &) = delete;
  ~Selection() { free(tensors); }
  bool read(const char *path, const Side &side, const Side &other, Text &error);
};
} // namespace

bool Selection::read(const char *path, const Side &side, const Side &other,
                     Text &error) {
  if (!readNpz(path, file, error))
    return false;
  tensors = static_cast<PQuantTensor *>(
      calloc(size_t(side.count) + 1, sizeof(PQuantTensor)));
  if (!tensors) {
    error.append("out of memory");
    return false;
  }
  count = selectArrays(file, path, side, other, tensors, error);
  return count >= 0;
}

//===----------------------------------------------------------------------===//
// Timing
//===----------------------------------------------------------------------===//

/// Runs once, then, with --repeat, again and again with a clock. `results` are
/// those of the last run.
static int runAndTime(const Options &options, PQuantModel *model, int32_t entry,
                      const Selection &inputs, PQuantResults *&results) {
  auto n = int(options.repeat);
  double *times = static_cast<double *>(calloc(size_t(n) + 1, sizeof(double)));
  if (!times)
    return fail(options, "out of memory");
  for (int i = 0; i <= n; ++i) {
    pquant_free_results(results);
    int64_t start = nanoseconds();
    PQuantStatus status =
        pquant_run(model, entry, inputs.tensors, inputs.count, &results);
    times[i] = double(nanoseconds() - start) * 1e-6;
    if (status != PQUANT_OK) {
      free(times);
      return fail(options, pquant_last_error());
    }
  }
  if (n) {
    Spread spread = getSpread(times + 1, n); // without the warm-up
    printf("time: median %.3f ms, min %.3f ms, max %.3f ms over %d runs\n",
           spread.median, spread.least, spread.most, n);
    printMemory(model);
  }
  free(times);
  return 0;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

/// Compares one output and prints its line; false beyond the tolerance.
static bool compareOutput(const Options &options, const PQuantTensor &expected,
                          const PQuantTensor &got) {
  Difference difference = compareTensors(expected, got);
  bool good =
      !difference.nonFinite && difference.relativeL2 <= options.tolerance;
  printf("%s: max abs error %.6g, relative L2 error %.6g", got.name,
         difference.maxAbs, difference.relativeL2);
  if (difference.nonFinite)
    printf(", %lld NaN or infinite values differ",
           (long long)difference.nonFinite);
  printf(": %s (tolerance %g relative L2)\n", good ? "ok" : "FAILED",
         options.tolerance);
  return good;
}

static int compareOutputs(const Options &options, const PQuantEntry &entry,
                          const PQuantResults *results) {
  Selection expected;
  Text error;
  if (!expected.read(options.expect, outputsOf(entry), inputsOf(entry), error))
    return fail(options, error.data);
  if (!expected.count) {
    error.append("'%s' holds no output of entry point '%s'", options.expect,
                 entry.name);
    return fail(options, error.data);
  }
  int failures = 0;
  int32_t next = 0; // both are in the entry's order
  for (int32_t i = 0; i < entry.numOutputs; ++i) {
    const PQuantTensor &got = *pquant_get_result(results, i);
    const PQuantTensor &wanted = expected.tensors[next];
    if (next == expected.count || strcmp(wanted.name, got.name)) {
      printf("%s: not in '%s', not compared\n", got.name, options.expect);
      continue;
    }
    ++next;
    Text reason;
    reason.append("'%s': output '%s': ", options.expect, got.name);
    if (!sameKind(wanted, got, reason))
      return fail(options, reason.data);
    failures += !compareOutput(options, wanted, got);
  }
  if (!failures)
    return 0;
  error.append("%d of %d outputs differ from '%s'", failures, expected.count,
               options.expect);
  return fail(options, error.data);
}

static int writeOutputs(const Options &options, const PQuantResults *results) {
  int32_t count = pquant_num_results(results);
  auto tensors = static_cast<const PQuantTensor **>(
      calloc(size_t(count) + 1, sizeof(PQuantTensor *)));
  if (!tensors)
    return fail(options, "out of memory");
  for (int32_t i = 0; i < count; ++i)
    tensors[i] = pquant_get_result(results, i);
  Text error;
  bool good = writeNpz(options.outputs, tensors, count, error);
  free(tensors);
  return good ? 0 : fail(options, error.data);
}

static void printOutputs(const PQuantResults *results) {
  for (int32_t i = 0; i < pquant_num_results(results); ++i) {
    const PQuantTensor *tensor = pquant_get_result(results, i);
    Text shape;
    appendShape(shape, *tensor);
    printf("output %s: %s %s\n", tensor->name, pquant_dtype_name(tensor->dtype),
           shape.data);
  }
}

//===----------------------------------------------------------------------===//
// Actions
//===----------------------------------------------------------------------===//

/// Runs once more, watched, and prints and writes where the time goes.
static int runProfiled(const Options &options, PQuantModel *model,
                       int32_t entry, const Selection &inputs) {
  Profile profile;
  Text error;
  OutputText trace;
  if (!trace.open(options.profile, error))
    return fail(options, error.data);
  const char *name = pquant_get_entry(model, entry)->name;
  profile.beginSection(name);
  profile.attach(model);
  PQuantResults *results;
  int64_t start = nanoseconds();
  PQuantStatus status =
      pquant_run(model, entry, inputs.tensors, inputs.count, &results);
  profile.addRun(name, start, nanoseconds());
  profile.detach(model);
  if (status != PQUANT_OK)
    return fail(options, pquant_last_error());
  pquant_free_results(results);
  WorkTable table;
  if (profile.isIncomplete() || !profile.summarize(table))
    return fail(options, "out of memory: the profile is incomplete");
  printWork(table, /*readRoof=*/0);
  return profile.writeTrace(trace, error) ? 0 : fail(options, error.data);
}

static int runOnFiles(const Options &options, PQuantModel *model) {
  int32_t index;
  if (pquant_find_entry(model, options.entry, &index) != PQUANT_OK)
    return fail(options, pquant_last_error());
  const PQuantEntry &entry = *pquant_get_entry(model, index);
  if (!options.inputs && entry.numInputs) {
    fail(options, "expected a prompt, --inputs F.npz, --info or --self-test; "
                  "see --help");
    return 2;
  }
  Selection inputs;
  Text error;
  if (options.inputs &&
      !inputs.read(options.inputs, inputsOf(entry), outputsOf(entry), error))
    return fail(options, error.data);
  PQuantResults *results = nullptr;
  int code = runAndTime(options, model, index, inputs, results);
  if (!code && options.profile)
    code = runProfiled(options, model, index, inputs);
  if (!code && options.outputs)
    code = writeOutputs(options, results);
  if (!code && !options.expect)
    printOutputs(results);
  if (!code && options.expect)
    code = compareOutputs(options, entry, results);
  pquant_free_results(results);
  return code;
}

static int selfTest(const Options &options, PQuantModel *model) {
  if (pquant_verify_weights(model) != PQUANT_OK)
    return fail(options, pquant_last_error());
  printf("self-test: level '%s' against '%s'\n",
         pquant_get_level(model, pquant_current_level(model))->name,
         pquant_get_level(model, 0)->name);
  auto print = [](void *, const char *line) { puts(line); };
  if (pquant_self_test(model, print, nullptr) == PQUANT_OK)
    return 0;
  return fail(options, pquant_last_error());
}

int pquant::runModel(const Options &options, PQuantModel *model) {
  if (options.threads > 0 &&
      pquant_set_threads(model, int32_t(options.threads)) != PQUANT_OK)
    return fail(options, pquant_last_error());
  if (options.device && pquant_set_device(model, options.device) != PQUANT_OK)
    return fail(options, pquant_last_error());
  if (options.weights && !pquant_get_descriptor(model)->weightFile)
    return fail(options, "--weights: the model holds its weights itself");
  if ((options.weights &&
       pquant_load_weights(model, options.weights) != PQUANT_OK) ||
      (options.verifyWeights && pquant_verify_weights(model) != PQUANT_OK))
    return fail(options, pquant_last_error());
  int code = 0;
  if (options.info)
    printInfo(model);
  if (options.selfTest)
    code = selfTest(options, model);
  Text error;
  if (!code && options.equality && !checkEquality(options, model, error))
    code = fail(options, error.data);
  if (!code && options.perplexity && !printPerplexity(options, model, error))
    code = fail(options, error.data);
  bool onlyLooks = options.info || options.selfTest || options.verifyWeights ||
                   options.equality || options.perplexity;
  bool runs = options.inputs || options.outputs || options.expect ||
              options.repeat > 0 || options.profile || !onlyLooks;
  if (!code && options.writesText())
    code = writeText(options, model);
  else if (!code && runs)
    code = runOnFiles(options, model);
  // Output that could not be written (a full disk) is an error too.
  if ((fflush(stdout) || ferror(stdout)) && !code)
    code = fail(options, "could not write to the standard output");
  return code;
}

int pquant_run_main(int argc, char **argv,
                    const PQuantModelDescriptor *embedded) {
  if (argc > 1 && !strcmp(argv[1], "--bench")) {
    argv[1] = argv[0];
    return pquant_bench_main(argc - 1, argv + 1, embedded);
  }
  Options options;
  Parsed parsed = parseOptions(argc, argv, /*takesLibrary=*/false, options);
  if (parsed != Parsed::Run)
    return parsed == Parsed::Help ? 0 : 2;
  PQuantModel *model;
  if (pquant_open(embedded, &model) != PQUANT_OK)
    return fail(options, pquant_last_error());
  int code = runModel(options, model);
  pquant_close(model);
  return code;
}
