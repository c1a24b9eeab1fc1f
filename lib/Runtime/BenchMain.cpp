//===- BenchMain.cpp - The command line of pquant-bench -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Opens a model, against the clock, and measures it. An executable does the
// same when its first argument is --bench.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"

#include "pquant/Runtime/RunMain.h"

#include <cstdio>

using namespace pquant;

static int fail(const BenchOptions &options, const char *message) {
  fprintf(stderr, "%s: error: %s\n", options.program, message);
  return 1;
}

static int benchModel(BenchOptions &options, PQuantModel *model,
                      BenchResults &results) {
  bool hasGPU = pquant_get_descriptor(model)->gpu;
  if (hasGPU && options.threads.count)
    return fail(options, "--threads is for models for CPUs, but this one was "
                         "compiled for a GPU");
  if (!options.threads.count)
    options.threads = {{hasGPU ? 1 : pquant_get_threads(model)}, 1};
  if (options.device && pquant_set_device(model, options.device) != PQUANT_OK)
    return fail(options, pquant_last_error());
  Text error;
  OutputText json, trace; // what cannot be written is found before the work
  if ((options.json && !json.open(options.json, error)) ||
      (options.profile && !trace.open(options.profile, error)))
    return fail(options, error.data);
  if (!runBench(options, model, results, error))
    return fail(options, error.data);
  printBench(options, model, results);
  if (options.json && !writeBench(options, model, results, json, error))
    return fail(options, error.data);
  if (options.profile && !results.profile.writeTrace(trace, error))
    return fail(options, error.data);
  if (fflush(stdout) || ferror(stdout))
    return fail(options, "could not write to the standard output");
  return 0;
}

int pquant::benchMain(int argc, char **argv, bool takesLibrary, void *context,
                      OpenFn open) {
  BenchOptions options;
  Parsed parsed = parseBenchOptions(argc, argv, takesLibrary, options);
  if (parsed != Parsed::Run)
    return parsed == Parsed::Help ? 0 : 2;
  BenchResults results;
  PQuantModel *model;
  int64_t start = nanoseconds();
  if (open(context, options, &model) != PQUANT_OK)
    return fail(options, pquant_last_error());
  results.openSeconds = double(nanoseconds() - start) * 1e-9;
  int code = benchModel(options, model, results);
  pquant_close(model); // after its probes' names have been written
  return code;
}

int pquant_bench_main(int argc, char **argv,
                      const PQuantModelDescriptor *embedded) {
  auto open = [](void *context, const BenchOptions &, PQuantModel **model) {
    return pquant_open(static_cast<const PQuantModelDescriptor *>(context),
                       model);
  };
  return benchMain(argc, argv, /*takesLibrary=*/false,
                   const_cast<PQuantModelDescriptor *>(embedded), open);
}
