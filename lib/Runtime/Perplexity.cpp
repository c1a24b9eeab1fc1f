//===- Perplexity.cpp - How well a model predicts tokens ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As `python -m pquant.eval`: every token but the first is predicted once, in
// windows side by side. A model of tokens to logits gives those of a window at
// once; one with a cache gives them token by token, by 'decode', since
// 'prefill' computes the last ones only.
//
//===----------------------------------------------------------------------===//

#include "Evaluate.h"
#include "Execute.h"
#include "Tokens.h"

#include <cinttypes>
#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace pquant;

int32_t pquant::findTokenEntry(const PQuantModel *model) {
  for (int32_t i = 0; i < pquant_num_entries(model); ++i) {
    const PQuantEntry &entry = *pquant_get_entry(model, i);
    if (strcmp(entry.name, "main") || entry.numInputs != 1 ||
        entry.numOutputs != 1 || entry.numStates)
      continue;
    const PQuantTensorSpec &ids = entry.inputs[0], &logits = entry.outputs[0];
    if (ids.rank == 2 && logits.rank == 3 && logits.dtype == PQUANT_FLOAT32 &&
        (ids.dtype == PQUANT_INT64 || ids.dtype == PQUANT_INT32))
      return i;
  }
  return -1;
}

PQuantStatus pquant::runTokens(PQuantModel *model, int32_t entry,
                               const int64_t *tokens, int64_t count,
                               PQuantResults **results) {
  PQuantTensor input = {};
  input.dtype = pquant_get_entry(model, entry)->inputs[0].dtype;
  input.rank = 2;
  input.sizes[0] = 1;
  input.sizes[1] = count;
  input.data = tokens;
  if (input.dtype == PQUANT_INT64)
    return pquant_run(model, entry, &input, 1, results);
  int32_t *narrow = narrowTokens(tokens, count);
  input.data = narrow; // null is an error of the run
  PQuantStatus status = pquant_run(model, entry, &input, 1, results);
  free(narrow);
  return status;
}

namespace {
/// The sum of what each prediction missed.
class Evaluation {
public:
  Evaluation(PQuantModel *model, int64_t window)
      : model(model), entry(findTokenEntry(model)), window(window) {}
  ~Evaluation() { pquant_free_session(session); }

  const char *entryName() const { return entry >= 0 ? "main" : "decode"; }
  /// Adds the predictions of ids[1..count]; false with an error.
  bool addWindow(const int64_t *ids, int64_t count, Text &error);
  double nats = 0;

private:
  bool addAtOnce(const int64_t *ids, int64_t count, Text &error);
  bool addStepwise(const int64_t *ids, int64_t count, Text &error);
  bool add(const float *logits, int64_t vocabulary, int64_t target,
           Text &error);

  PQuantModel *model;
  int32_t entry;
  int64_t window;
  PQuantSession *session = nullptr;
};
} // namespace

static bool failRun(Text &error) {
  error.append("%s", pquant_last_error());
  return false;
}

/// Cross entropy of one prediction.
bool Evaluation::add(const float *logits, int64_t vocabulary, int64_t target,
                     Text &error) {
  if (target < 0 || target >= vocabulary) {
    error.append("expected tokens below %" PRId64 ", the model's vocabulary, "
                 "but got %" PRId64,
                 vocabulary, target);
    return false;
  }
  double most = logits[0], sum = 0;
  for (int64_t v = 1; v < vocabulary; ++v)
    most = logits[v] > most ? logits[v] : most;
  for (int64_t v = 0; v < vocabulary; ++v)
    sum += std::exp(double(logits[v]) - most);
  nats += most + std::log(sum) - double(logits[target]);
  return true;
}

bool Evaluation::addAtOnce(const int64_t *ids, int64_t count, Text &error) {
  PQuantResults *results;
  if (runTokens(model, entry, ids, count, &results) != PQUANT_OK)
    return failRun(error);
  const PQuantTensor *logits = pquant_get_result(results, 0);
  int64_t vocabulary = logits->sizes[2];
  auto values = static_cast<const float *>(logits->data);
  bool good = logits->sizes[0] == 1 && logits->sizes[1] == count;
  if (!good)
    error.append("expected logits of each token from entry point 'main'");
  for (int64_t i = 0; good && i < count; ++i)
    good = add(values + i * vocabulary, vocabulary, ids[i + 1], error);
  pquant_free_results(results);
  return good;
}

bool Evaluation::addStepwise(const int64_t *ids, int64_t count, Text &error) {
  if (!session && pquant_create_session(model, window, &session) != PQUANT_OK)
    return failRun(error);
  if (pquant_session_rewind(session, 0) != PQUANT_OK)
    return failRun(error);
  for (int64_t i = 0; i < count; ++i) {
    const PQuantTensor *logits;
    if (pquant_session_run(session, ids + i, 1, &logits) != PQUANT_OK)
      return failRun(error);
    if (!add(static_cast<const float *>(logits->data), logits->sizes[1],
             ids[i + 1], error))
      return false;
  }
  return true;
}

bool Evaluation::addWindow(const int64_t *ids, int64_t count, Text &error) {
  return entry >= 0 ? addAtOnce(ids, count, error)
                    : addStepwise(ids, count, error);
}

bool pquant::printPerplexity(const Options &options, PQuantModel *model,
                             Text &error) {
  TokenList tokens;
  if (!(isTokenFile(options.perplexity)
            ? readTokens(options.perplexity, tokens, error)
            : readText(model, options.perplexity, tokens, error)))
    return false;
  int64_t predicted = tokens.count - 1;
  if (predicted < 1) {
    error.append("expected at least 2 tokens in '%s', but got %" PRId64,
                 options.perplexity, tokens.count);
    return false;
  }
  auto longest = int64_t(options.sequence);
  int64_t window = longest < predicted ? longest : predicted;
  Evaluation evaluation(model, window);
  for (int64_t at = 0; at < predicted; at += window) {
    int64_t count = predicted - at < window ? predicted - at : window;
    if (!evaluation.addWindow(tokens.ids + at, count, error))
      return false;
  }
  double loss = evaluation.nats / double(predicted);
  printf("perplexity: %.6f (loss %.6f, %" PRId64
         " tokens in windows of %" PRId64 ", entry point '%s')\n",
         std::exp(loss), loss, tokens.count, longest, evaluation.entryName());
  return true;
}
