//===- Bench.cpp - How fast a model reads and writes text -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A test warms up, notes the memory that it needs, takes a profile, which says
// what it reads and computes, and only then is timed, without the profile.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"
#include "Info.h"
#include "Model.h"
#include "OpenMP.h"

#include "pquant/Runtime/Roof.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

using namespace pquant;

BenchResults::~BenchResults() {
  for (int i = 0; i < numTests; ++i)
    tests[i].~BenchTest();
  free(tests);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Lets the peaks begin anew with what is there now. Where the system does not
/// let a process do so, its peak stays that of the whole time.
static void resetPeaks(PQuantModel *model) {
  model->pool->resetPeak();
  if (model->device)
    model->device->resetPeak();
  if (FILE *file = fopen("/proc/self/clear_refs", "w")) {
    fputs("5", file);
    fclose(file);
  }
}

//===----------------------------------------------------------------------===//
// Roofs
//===----------------------------------------------------------------------===//

namespace {
/// Does the same on each thread of a team, timed; or reads a GPU's memory.
struct Roofs {
  Device *device; ///< null: the CPU's
  char *memory;
  Int8Peak peak;

  /// False with an error.
  bool open(PQuantModel *model, bool generates);
  void close();
  bool readRate(int threads, double &rate) const;
  double int8Rate(int threads) const;
};

/// Medians of what the repetitions of one test measured.
struct Samples {
  double *rates, *seconds, *roofs, *ratios, *peaks, *peakRatios;
  explicit Samples(int repetitions);
  ~Samples() { free(rates); }
  explicit operator bool() const { return rates; }
};
} // namespace

bool Roofs::open(PQuantModel *model, bool generates) {
  device = model->device;
  if (device)
    return device->openRoof() == PQUANT_OK;
  memory = allocateRoof();
  peak = generates ? Int8Peak() : getInt8Peak();
  return memory ||
         setError(PQUANT_OUT_OF_MEMORY,
                  "out of memory: could not measure the roof") == PQUANT_OK;
}

void Roofs::close() {
  if (device)
    device->closeRoof();
  freeRoof(memory);
}

bool Roofs::readRate(int threads, double &rate) const {
  if (device)
    return device->readRoof(rate) == PQUANT_OK;
  struct Context {
    const char *memory;
    uint64_t sink;
  } context{memory, 0};
  int64_t start = nanoseconds();
  forkJoin(
      [](void *data, int thread, int team) {
        Context &context = *static_cast<Context *>(data);
        size_t part = kRoofBytes / size_t(team) / 64 * 64;
        const char *begin = context.memory + part * size_t(thread);
        uint64_t read = readStreams(begin, begin + part);
        __atomic_fetch_or(&context.sink, read, __ATOMIC_RELAXED);
      },
      &context, threads);
  rate = double(kRoofBytes) / double(nanoseconds() - start) * 1e9;
  return true;
}

double Roofs::int8Rate(int threads) const {
  if (!peak.name)
    return 0;
  constexpr int64_t opsOfThread = int64_t(8) << 30;
  struct Context {
    const Int8Peak &peak;
    int64_t steps;
    uint32_t sink;
  } context{peak, opsOfThread / peak.opsPerStep, 0};
  int64_t start = nanoseconds();
  forkJoin(
      [](void *data, int, int) {
        Context &context = *static_cast<Context *>(data);
        uint32_t result = context.peak.run(context.steps);
        __atomic_fetch_or(&context.sink, result, __ATOMIC_RELAXED);
      },
      &context, threads);
  double ops = double(context.steps * peak.opsPerStep) * threads;
  return ops / double(nanoseconds() - start) * 1e9;
}

Samples::Samples(int repetitions) {
  size_t n = size_t(repetitions);
  rates = static_cast<double *>(calloc(6 * n, sizeof(double)));
  if (!rates)
    return;
  seconds = rates + n;
  roofs = seconds + n;
  ratios = roofs + n;
  peaks = ratios + n;
  peakRatios = peaks + n;
}

//===----------------------------------------------------------------------===//
// One test
//===----------------------------------------------------------------------===//

namespace {
/// Tests that share a session.
class Bench {
public:
  Bench(const BenchOptions &options, PQuantModel *model, BenchResults &results,
        Text &error)
      : options(options), model(model), results(results), error(error) {}
  ~Bench();

  bool run();

private:
  bool prepare();
  bool runPrompt(int64_t tokens);
  bool runContext(int64_t context);
  bool open(int64_t capacity, int64_t sequences = 1);
  bool fill(int64_t context);
  bool measure(bool generates, int64_t tokens, int64_t context);
  bool warmUp(const BenchTest &test);
  bool takeProfile(BenchTest &test);
  bool takeSamples(const BenchTest &test, const Roofs &roofs, Samples &samples);
  bool takeTimes(BenchTest &test);
  bool takeAlone(BenchTest &test);
  bool repeat(const BenchTest &test, int64_t tokens,
              Profile *profile = nullptr);
  bool step(const int64_t *tokens, int64_t count, Profile *profile = nullptr);
  bool fail(const char *message) {
    error.append("%s", message);
    return false;
  }

  const BenchOptions &options;
  PQuantModel *model;
  BenchResults &results;
  Text &error;
  PQuantSession *session = nullptr;
  int64_t *tokens = nullptr; ///< enough for every session's sequences
};
} // namespace

Bench::~Bench() {
  pquant_free_session(session);
  free(tokens);
}

bool Bench::step(const int64_t *first, int64_t count, Profile *profile) {
  int64_t begin = nanoseconds();
  const PQuantTensor *logits;
  if (pquant_session_run(session, first, count, &logits) != PQUANT_OK)
    return fail(pquant_last_error());
  if (profile)
    profile->addRun(count > 1                               ? "prefill"
                    : pquant_session_sequences(session) > 1 ? "decode_batch"
                                                            : "decode",
                    begin, nanoseconds());
  return true;
}

/// One repetition, of `count` tokens.
bool Bench::repeat(const BenchTest &test, int64_t count, Profile *profile) {
  if (pquant_session_rewind(session, test.context) != PQUANT_OK)
    return fail(pquant_last_error());
  const int64_t *first = tokens + test.context;
  if (!test.generates)
    return step(first, count, profile);
  for (int64_t i = 0; i < count; ++i)
    if (!step(first + i, 1, profile))
      return false;
  return true;
}

/// Runs until the model's memory is that of this test alone.
bool Bench::warmUp(const BenchTest &test) {
  if (!test.generates)
    return repeat(test, test.tokens) && repeat(test, test.tokens);
  // More runs than a block of an earlier prompt waits in the pool.
  for (int i = 0; i < 20; ++i)
    if (!repeat(test, 1))
      return false;
  return true;
}

/// Kinds of work whose operations are products of integers.
static bool isInt8(const char *kind) {
  static constexpr const char *names[] = {"binary_linear", "int8_linear",
                                          "expert_linear"};
  for (const char *name : names)
    if (!strcmp(kind, name))
      return true;
  return false;
}

bool Bench::takeProfile(BenchTest &test) {
  char name[64];
  int length = snprintf(name, sizeof name, "%s%lld, context %lld",
                        test.generates ? "tg" : "pp", (long long)test.tokens,
                        (long long)test.context);
  if (!model->device)
    length += snprintf(name + length, sizeof name - size_t(length),
                       ", %d threads", test.threads);
  if (test.batch > 1)
    snprintf(name + length, sizeof name - size_t(length), ", batch %d",
             test.batch);
  Profile &profile = results.profile;
  profile.beginSection(name);
  profile.attach(model);
  bool good = repeat(test, test.tokens, &profile);
  profile.detach(model);
  if (!good)
    return false;
  if (profile.isIncomplete() || !profile.summarize(test.work))
    return fail("out of memory: the profile is incomplete");
  double runs = double(test.work.runs);
  test.weightBytes = test.work.total.weightBytes / runs;
  for (int i = 0; i < test.work.numPieces; ++i)
    if (isInt8(test.work.pieces[i].kind))
      test.int8Ops += test.work.pieces[i].ops / runs;
  if (!test.generates)
    return true;
  double positions = double(test.context) + double(test.tokens + 1) / 2;
  test.cacheBytes = double(test.sessionBytes) /
                    double(pquant_session_capacity(session)) * positions;
  return true;
}

bool Bench::takeSamples(const BenchTest &test, const Roofs &roofs,
                        Samples &samples) {
  double units = test.generates ? double(test.tokens) : 1;
  double roof = 0, nextRoof = 0;
  if (!roofs.readRate(test.threads, roof))
    return fail(pquant_last_error());
  double peak = roofs.int8Rate(test.threads);
  for (int i = 0; i < options.repetitions; ++i) {
    int64_t start = nanoseconds();
    if (!repeat(test, test.tokens))
      return false;
    double seconds = double(nanoseconds() - start) * 1e-9;
    if (!roofs.readRate(test.threads, nextRoof))
      return fail(pquant_last_error());
    double nextPeak = roofs.int8Rate(test.threads);
    samples.rates[i] = double(test.tokens * test.batch) / seconds;
    samples.seconds[i] = seconds / units;
    samples.roofs[i] = (roof + nextRoof) / 2;
    samples.ratios[i] = test.readBytes() * units / seconds / samples.roofs[i];
    samples.peaks[i] = (peak + nextPeak) / 2;
    samples.peakRatios[i] =
        peak > 0 ? test.int8Ops * units / seconds / samples.peaks[i] : 0;
    roof = nextRoof;
    peak = nextPeak;
  }
  return true;
}

bool Bench::takeTimes(BenchTest &test) {
  Samples samples(options.repetitions);
  if (!samples)
    return fail("out of memory: could not measure the roof");
  Roofs roofs{};
  bool good = roofs.open(model, test.generates);
  if (!good)
    fail(pquant_last_error());
  good = good && takeSamples(test, roofs, samples);
  roofs.close();
  if (!good)
    return false;
  int n = options.repetitions;
  test.tokensPerSecond = getSpread(samples.rates, n);
  test.seconds = getSpread(samples.seconds, n).median;
  test.readRoof = getSpread(samples.roofs, n);
  test.ofReadRoof = getSpread(samples.ratios, n).median;
  test.int8Peak = getSpread(samples.peaks, n).median;
  test.ofInt8Peak = getSpread(samples.peakRatios, n).median;
  if (model->device) // what lies between kernels, in a run that nobody watches
    test.work.nanoseconds =
        std::max(test.work.nanoseconds,
                 int64_t(test.seconds * double(test.work.runs) * 1e9));
  return true;
}

namespace {
/// Adds up what a GPU takes for one kind of work alone.
struct Alone : ProbeSink {
  int64_t nanoseconds = 0;

  explicit Alone(const char *kind) {
    mark = nullptr;
    add = [](ProbeSink *self, const PQuantProbe *, int64_t, int64_t begin,
             int64_t end) {
      static_cast<Alone *>(self)->nanoseconds += end - begin;
    };
    only = kind;
  }
};
} // namespace

/// The linears of a GPU, kind by kind: without the work between them. Not those
/// of routed experts, whose indices that work computes.
bool Bench::takeAlone(BenchTest &test) {
  if (!model->device)
    return true;
  Samples samples(options.repetitions);
  if (!samples)
    return fail("out of memory: could not measure the linears");
  for (int i = 0; i < test.work.numKinds; ++i) {
    Work &kind = test.work.kinds[i];
    if (!isInt8(kind.kind) || !strcmp(kind.kind, "expert_linear"))
      continue;
    Alone alone(kind.kind);
    model->sink = &alone;
    bool good = warmUp(test);
    for (int run = 0; run < options.repetitions && good; ++run) {
      alone.nanoseconds = 0;
      good = repeat(test, test.tokens);
      double units = test.generates ? double(test.tokens) : 1;
      samples.seconds[run] = double(alone.nanoseconds) * 1e-9 / units;
    }
    model->sink = nullptr;
    if (!good)
      return false;
    kind.aloneSeconds = getSpread(samples.seconds, options.repetitions).median;
  }
  return true;
}

bool Bench::measure(bool generates, int64_t count, int64_t context) {
  for (int t = 0; t < options.threads.count; ++t) {
    BenchTest &test = *::new (&results.tests[results.numTests++]) BenchTest{};
    test.generates = generates;
    test.tokens = count;
    test.context = context;
    test.threads = int(options.threads.values[t]);
    test.batch = int(pquant_session_sequences(session));
    test.sessionBytes = pquant_session_bytes(session);
    if (pquant_set_threads(model, test.threads) != PQUANT_OK)
      return fail(pquant_last_error());
    if (!warmUp(test))
      return false;
    resetPeaks(model);
    if (!repeat(test, generates && count > 8 ? 8 : count))
      return false;
    test.arenaBytes = pquant_arena_bytes(model);
    test.peakResident = peakResidentBytes();
    if (!takeProfile(test) || !takeTimes(test) || !takeAlone(test))
      return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// All tests
//===----------------------------------------------------------------------===//

bool Bench::open(int64_t capacity, int64_t sequences) {
  pquant_free_session(session);
  session = nullptr;
  if (pquant_create_batch(model, sequences, capacity, &session) != PQUANT_OK)
    return fail(pquant_last_error());
  return true;
}

/// Reads the first `context` tokens, in pieces.
bool Bench::fill(int64_t context) {
  constexpr int64_t piece = 256;
  for (int64_t at = 0; at < context; at += piece)
    if (!step(tokens + at, context - at < piece ? context - at : piece))
      return false;
  return true;
}

bool Bench::runPrompt(int64_t count) {
  return open(count) && measure(/*generates=*/false, count, 0);
}

static int64_t largest(const NumberList &list) {
  int64_t most = 0;
  for (int i = 0; i < list.count; ++i)
    most = list.values[i] > most ? list.values[i] : most;
  return most;
}

bool Bench::runContext(int64_t context) {
  if (!open(context + largest(options.generated), options.batch))
    return false;
  pquant_set_threads(model, int32_t(largest(options.threads)));
  if (!fill(context))
    return false;
  for (int i = 0; i < options.generated.count; ++i)
    if (!measure(/*generates=*/true, options.generated.values[i], context))
      return false;
  return true;
}

/// Room for tokens and results; the time of the first token.
bool Bench::prepare() {
  int64_t length = (largest(options.contexts) + largest(options.generated) +
                    largest(options.prompts) + 1) *
                   options.batch;
  int tests = (options.prompts.count +
               options.generated.count * options.contexts.count) *
              options.threads.count;
  tokens = static_cast<int64_t *>(calloc(size_t(length), sizeof(int64_t)));
  results.tests =
      static_cast<BenchTest *>(calloc(size_t(tests) + 1, sizeof(BenchTest)));
  if (!tokens || !results.tests)
    return fail("out of memory");
  int64_t start = nanoseconds();
  if (!open(1))
    return false;
  const PQuantTensor *logits;
  if (pquant_session_run(session, tokens, 1, &logits) != PQUANT_OK)
    return fail(pquant_last_error());
  results.firstTokenSeconds = double(nanoseconds() - start) * 1e-9;
  if (const Device *device = model->device) {
    results.gpuName = device->getName();
    results.chip = device->getChip();
    results.gpuNumber = device->getOrdinal();
  } else {
    results.peakName = getInt8Peak().name;
    results.chip = pquant_get_level(model, pquant_current_level(model))->name;
  }
  int64_t vocabulary = logits->sizes[logits->rank - 1];
  for (int64_t i = 0; i < length; ++i)
    tokens[i] = (i * 7919 + 13) % (vocabulary > 0 ? vocabulary : 1);
  return true;
}

bool Bench::run() {
  if (!prepare())
    return false;
  for (int i = 0; i < options.prompts.count; ++i)
    if (!runPrompt(options.prompts.values[i]))
      return false;
  for (int i = 0; options.generated.count && i < options.contexts.count; ++i)
    if (!runContext(options.contexts.values[i]))
      return false;
  return true;
}

bool pquant::runBench(const BenchOptions &options, PQuantModel *model,
                      BenchResults &results, Text &error) {
  return Bench(options, model, results, error).run();
}
