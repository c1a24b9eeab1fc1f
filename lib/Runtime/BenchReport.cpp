//===- BenchReport.cpp - What pquant-bench prints and writes --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A line for each test on the standard output; the same, with everything that
// was measured, as JSON.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"

#include <cinttypes>
#include <cmath>

using namespace pquant;

static double megabytes(double bytes) { return bytes * 1e-6; }

/// Prints a part as a percentage, or a dash.
static void printPart(double part) {
  if (part > 0)
    printf(" %7.1f%%", 100 * part);
  else
    printf(" %8s", "-");
}

static void printTest(const BenchTest &test, bool onGPU) {
  char name[32], rate[96];
  int length = snprintf(name, sizeof name, "%s%" PRId64,
                        test.generates ? "tg" : "pp", test.tokens);
  if (test.batch > 1)
    snprintf(name + length, sizeof name - size_t(length), "x%d", test.batch);
  const Spread &speed = test.tokensPerSecond;
  snprintf(rate, sizeof rate, "%.2f (%.2f..%.2f)", speed.median, speed.least,
           speed.most);
  char threads[16] = "-";
  if (!onGPU)
    snprintf(threads, sizeof threads, "%d", test.threads);
  printf("%-8s %7s %7" PRId64 "  %-28s", name, threads, test.context, rate);
  printf(" %9.2f %8.2f %7.2f %7.2f", test.seconds * 1e3,
         megabytes(test.readBytes()), test.readBytes() / test.seconds * 1e-9,
         test.readRoof.median * 1e-9);
  printPart(test.ofReadRoof);
  if (test.generates)
    printf(" %7s", "-");
  else
    printf(" %7.3f", test.int8Ops / test.seconds * 1e-12);
  printPart(test.ofInt8Peak);
  printf(" %8.2f %8.2f %8.2f\n", megabytes(double(test.arenaBytes)),
         megabytes(double(test.sessionBytes)),
         megabytes(double(test.peakResident)));
}

void pquant::printBench(const BenchOptions &options, const PQuantModel *model,
                        const BenchResults &results) {
  const PQuantModelDescriptor *descriptor = pquant_get_descriptor(model);
  printf("model %s, ", descriptor->modelName);
  if (results.gpuName)
    printf("GPU %d (%s, %s; kernels for %s)", results.gpuNumber,
           results.gpuName, results.chip, descriptor->gpu->chip);
  else
    printf("level %s", results.chip);
  printf(", %.2f MB of weights; opened in %.1f ms, first token after another "
         "%.1f ms\n",
         megabytes(double(descriptor->weightBytes)), results.openSeconds * 1e3,
         results.firstTokenSeconds * 1e3);
  printf("INT8 peak: %s; memory in MB; ms, MB, GB/s and Top/s of a generated "
         "token or a whole prompt; median of %d (least..most)\n",
         results.peakName ? results.peakName : "not known",
         options.repetitions);
  printf("%-8s %7s %7s  %-28s %9s %8s %7s %7s %8s %7s %8s %8s %8s %8s\n",
         "test", "threads", "context", "tokens/s (least..most)", "ms", "MB",
         "GB/s", "roof", "of roof", "Top/s", "of peak", "arena", "cache",
         "resident");
  for (int i = 0; i < results.numTests; ++i) {
    printTest(results.tests[i], results.gpuName);
    if (options.operations)
      printWork(results.tests[i].work, results.tests[i].readRoof.median);
  }
}

static void writeSpread(OutputText &out, const char *name,
                        const Spread &spread) {
  out.print("\"%s\":{\"median\":%.9g,\"min\":%.9g,\"max\":%.9g},\n", name,
            spread.median, spread.least, spread.most);
}

static void writeTest(OutputText &out, const BenchTest &test) {
  out.print("{\"test\":\"%s\",\"tokens\":%" PRId64 ",\"context\":%" PRId64
            ",\"threads\":%d,\"batch\":%d,\n",
            test.generates ? "tg" : "pp", test.tokens, test.context,
            test.threads, test.batch);
  writeSpread(out, "tokens_per_second", test.tokensPerSecond);
  writeSpread(out, "read_roof_bytes_per_second", test.readRoof);
  const struct {
    const char *name;
    double value;
  } numbers[] = {
      {"seconds", test.seconds},
      {"weight_bytes_read", test.weightBytes},
      {"cache_bytes_read", test.cacheBytes},
      {"bytes_per_second", test.readBytes() / test.seconds},
      {"of_read_roof", test.ofReadRoof},
      {"int8_ops", test.int8Ops},
      {"int8_ops_per_second", test.int8Ops / test.seconds},
      {"int8_peak_ops_per_second", test.int8Peak},
      {"of_int8_peak", test.ofInt8Peak},
      {"arena_bytes", double(test.arenaBytes)},
      {"cache_bytes", double(test.sessionBytes)},
      {"peak_resident_bytes", double(test.peakResident)},
  };
  for (const auto &[name, value] : numbers)
    out.print("\"%s\":%.15g,\n", name, std::isfinite(value) ? value : 0);
  out.print("\"alone_seconds\":{");
  const char *separator = "";
  for (int i = 0; i < test.work.numKinds; ++i) {
    const Work &kind = test.work.kinds[i];
    if (kind.aloneSeconds <= 0)
      continue;
    out.print("%s\"%s\":%.9g", separator, kind.kind, kind.aloneSeconds);
    separator = ",";
  }
  out.print("},\n\"operations\":");
  writeWork(out, test.work, test.readRoof.median);
  out.print("}");
}

bool pquant::writeBench(const BenchOptions &options, const PQuantModel *model,
                        const BenchResults &results, OutputText &out,
                        Text &error) {
  const PQuantModelDescriptor *descriptor = pquant_get_descriptor(model);
  out.print("{\"model\":");
  out.printString(descriptor->modelName);
  out.print(",\"producer\":");
  out.printString(descriptor->producer);
  out.print(",\"level\":");
  out.printString(results.chip);
  out.print(",\"gpu\":");
  out.printString(results.gpuName ? results.gpuName : "");
  out.print(",\"int8_peak\":");
  out.printString(results.peakName ? results.peakName : "");
  out.print(",\"repetitions\":%d,\"weight_bytes\":%" PRIu64
            ",\"open_seconds\":%.9g,\"first_token_seconds\":%.9g,\n"
            "\"tests\":[\n",
            options.repetitions, descriptor->weightBytes, results.openSeconds,
            results.firstTokenSeconds);
  for (int i = 0; i < results.numTests; ++i) {
    out.print("%s", i ? ",\n" : "");
    writeTest(out, results.tests[i]);
  }
  out.print("]}\n");
  return out.keep(error);
}
