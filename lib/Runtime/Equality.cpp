//===- Equality.cpp - What threads and sessions must not change -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The same tokens by several ways: one thread or many, all at once or one by
// one, a sequence alone or among others. After each way of a session one token
// more is run on what it left.
//
//===----------------------------------------------------------------------===//

#include "Compare.h"
#include "Evaluate.h"

#include <cstdlib>
#include <cstring>

using namespace pquant;

namespace {
/// A copy of the logits that a way led to.
struct Logits {
  PQuantTensor tensor = {};
  Logits() = default;
  Logits(const Logits &) = delete;
  ~Logits() { free(const_cast<void *>(tensor.data)); }
  bool copy(const PQuantTensor &from, Text &error);
  int64_t bytes() const {
    int64_t bytes = pquant_dtype_size(tensor.dtype);
    for (int32_t d = 0; d < tensor.rank; ++d)
      bytes *= tensor.sizes[d];
    return bytes;
  }
};

/// How a session runs the tokens.
struct Way {
  bool atOnce;
  int threads;
  int sequences = 1; ///< of different tokens
  int first = 0;     ///< which of the sequences is the first one
};

class Equality {
public:
  Equality(const Options &options, PQuantModel *model, Text &error)
      : options(options), model(model), error(error) {}
  bool check();

private:
  static constexpr int kTokens = 32, kSequences = 3;
  int32_t findEntry(const char *name) const; ///< -1: there is none
  void prepare(int64_t vocabulary);
  bool runMain(int32_t entry, int threads, Logits &logits);
  bool runSession(const Way &way, Logits &logits);
  bool checkMain(int32_t entry);
  bool checkSessions();
  bool checkBatch();
  bool compare(const char *what, const Logits &first, const Logits &second);
  bool fail() {
    error.append("%s", pquant_last_error());
    return false;
  }

  const Options &options;
  PQuantModel *model;
  Text &error;
  int threads = 0;
  int failures = 0;
  /// Those of a sequence begin one later than those of the one before it.
  int64_t tokens[kTokens + kSequences];
};
} // namespace

bool Logits::copy(const PQuantTensor &from, Text &error) {
  tensor = from;
  void *data = malloc(size_t(bytes()) + 1);
  tensor.data = data;
  if (data)
    memcpy(data, from.data, size_t(bytes()));
  else
    error.append("out of memory");
  return data;
}

/// Tokens that differ, all below `vocabulary` (where that is known).
void Equality::prepare(int64_t vocabulary) {
  threads = pquant_get_threads(model) > 1 ? pquant_get_threads(model) : 2;
  for (int64_t i = 0; i < kTokens + kSequences; ++i)
    tokens[i] = (i * 7919 + 13) % (vocabulary > 0 ? vocabulary : 2);
}

bool Equality::runMain(int32_t entry, int numThreads, Logits &logits) {
  PQuantResults *results;
  if (pquant_set_threads(model, numThreads) != PQUANT_OK ||
      runTokens(model, entry, tokens, kTokens, &results) != PQUANT_OK)
    return fail();
  bool good = logits.copy(*pquant_get_result(results, 0), error);
  pquant_free_results(results);
  return good;
}

/// The logits after kTokens + 1 tokens, of which the last comes alone.
bool Equality::runSession(const Way &way, Logits &logits) {
  PQuantSession *session = nullptr;
  if (pquant_set_threads(model, way.threads) != PQUANT_OK ||
      pquant_create_batch(model, way.sequences, kTokens + 1, &session) !=
          PQUANT_OK)
    return fail();
  int64_t step = way.atOnce ? kTokens : 1;
  const PQuantTensor *result = nullptr;
  bool good = true;
  for (int64_t at = 0; good && at <= kTokens; at += step) {
    int64_t count = at < kTokens ? step : 1;
    int64_t next[kSequences * kTokens];
    for (int i = 0; i < way.sequences; ++i)
      memcpy(next + i * count, tokens + way.first + i + at,
             size_t(count) * sizeof *next);
    good = pquant_session_run(session, next, count, &result) == PQUANT_OK;
  }
  good = good ? logits.copy(*result, error) : fail();
  pquant_free_session(session);
  return good;
}

/// Prints one line.
bool Equality::compare(const char *what, const Logits &first,
                       const Logits &second) {
  Text reason;
  if (!sameKind(first.tensor, second.tensor, reason)) {
    error.append("%s: %s", what, reason.data);
    return false;
  }
  if (!memcmp(first.tensor.data, second.tensor.data, size_t(first.bytes()))) {
    printf("%s: bit-identical\n", what);
    return true;
  }
  Difference difference = compareTensors(first.tensor, second.tensor);
  bool close =
      !difference.nonFinite && difference.relativeL2 <= options.tolerance;
  printf("%s: largest difference %.6g, relative L2 %.6g: %s (tolerance %g)\n",
         what, difference.maxAbs, difference.relativeL2,
         close ? "ok" : "FAILED", options.tolerance);
  failures += !close;
  return true;
}

bool Equality::checkMain(int32_t entry) {
  Logits one, many;
  char what[96];
  snprintf(what, sizeof what, "main of %d tokens, 1 and %d threads", kTokens,
           threads);
  return runMain(entry, 1, one) && runMain(entry, threads, many) &&
         compare(what, one, many);
}

bool Equality::checkSessions() {
  Logits prefillOne, prefillMany, decodeOne, decodeMany;
  if (!runSession({true, 1}, prefillOne) ||
      !runSession({true, threads}, prefillMany) ||
      !runSession({false, 1}, decodeOne) ||
      !runSession({false, threads}, decodeMany))
    return false;
  char what[96];
  snprintf(what, sizeof what, "prefill of %d tokens, 1 and %d threads", kTokens,
           threads);
  if (!compare(what, prefillOne, prefillMany))
    return false;
  snprintf(what, sizeof what, "decode of %d tokens, 1 and %d threads", kTokens,
           threads);
  if (!compare(what, decodeOne, decodeMany))
    return false;
  snprintf(what, sizeof what, "prefill and decode of %d tokens", kTokens);
  return compare(what, prefillOne, decodeOne);
}

bool Equality::checkBatch() {
  Logits together, apart;
  if (!runSession({false, threads, kSequences}, together) ||
      !apart.copy(together.tensor, error))
    return false;
  char *row = static_cast<char *>(const_cast<void *>(apart.tensor.data));
  for (int i = 0; i < kSequences; ++i) {
    Logits one;
    if (!runSession({false, threads, 1, i}, one))
      return false;
    memcpy(row, one.tensor.data, size_t(one.bytes()));
    row += one.bytes();
  }
  char what[96];
  snprintf(what, sizeof what,
           "decode of %d tokens, %d sequences at once and "
           "alone",
           kTokens, kSequences);
  return compare(what, together, apart);
}

int32_t Equality::findEntry(const char *name) const {
  for (int32_t i = 0; i < pquant_num_entries(model); ++i)
    if (!strcmp(pquant_get_entry(model, i)->name, name))
      return i;
  return -1;
}

bool Equality::check() {
  int32_t entry = findTokenEntry(model), decode = findEntry("decode");
  if (entry < 0 && decode < 0) {
    error.append("the model has no entry point of tokens to logits: expected "
                 "'main' with token ids alone, or 'decode'");
    return false;
  }
  int32_t any = entry >= 0 ? entry : decode;
  const PQuantTensorSpec &logits = pquant_get_entry(model, any)->outputs[0];
  prepare(logits.sizes[logits.rank - 1]);
  if (entry >= 0 && !checkMain(entry))
    return false;
  if (decode >= 0 && !checkSessions())
    return false;
  if (findEntry("decode_batch") >= 0 && !checkBatch())
    return false;
  if (failures)
    error.append("%d of the comparisons failed", failures);
  return !failures;
}

bool pquant::checkEquality(const Options &options, PQuantModel *model,
                           Text &error) {
  return Equality(options, model, error).check();
}
