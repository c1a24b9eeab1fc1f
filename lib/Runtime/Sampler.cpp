//===- Sampler.cpp - Logits to tokens -------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// docs/TextGeneration.md defines every step, python/pquant/sampling.py is its
// reference. Two decisions make the picks the same everywhere: the exponential
// is our own, of IEEE operations only, and probabilities are integers, whose
// sums depend on no order. No step sorts the vocabulary.
//
//===----------------------------------------------------------------------===//

#include "Sampler.h"
#include "Error.h"
#include "Weigh.h"

#include "pquant/Text/Buffer.h"

#include <cinttypes>
#include <cmath>
#include <new>

using namespace pquant;
using text::Buffer;

namespace {
/// A place that may be drawn.
struct Choice {
  uint64_t weight;
  size_t place;
  bool comesBefore(const Choice &other) const {
    return weight > other.weight ||
           (weight == other.weight && place < other.place);
  }
};

/// A place among the greatest logits.
struct Ranked {
  float logit;
  size_t place;
  bool comesBefore(const Ranked &other) const {
    return logit > other.logit || (logit == other.logit && place < other.place);
  }
};
} // namespace

struct PQuantSampler {
  PQuantSampling sampling;
  int64_t vocabulary;
  uint64_t draws;
  Buffer<int64_t> recent; ///< the last repeatWindow tokens, as a ring
  size_t oldest;
  /// What the draw is from, smaller tokens first: a place is a token, or
  /// `tokens` says which.
  Buffer<float> logits;
  Buffer<int64_t> tokens;
  Buffer<uint64_t> weights;
  Buffer<Choice> choices;
  Buffer<Ranked> ranked; ///< a heap, the last of them first
};

//===----------------------------------------------------------------------===//
// Create and free
//===----------------------------------------------------------------------===//

PQuantSampling pquant_default_sampling(void) {
  PQuantSampling sampling = {};
  sampling.repeatPenalty = 1;
  sampling.repeatWindow = 64;
  sampling.topP = 1;
  return sampling;
}

static PQuantStatus checkSampling(const PQuantSampling &sampling,
                                  int64_t vocabulary) {
  auto refuse = [](const char *name, const char *range, double got) {
    return setError(PQUANT_INVALID_ARGUMENT, "expected a %s %s, but got %g",
                    name, range, got);
  };
  if (vocabulary < 1 || vocabulary > 1 << 22)
    return refuse("vocabulary", "of 1 to 4194304 tokens", double(vocabulary));
  if (!(sampling.repeatPenalty > 0) || !std::isfinite(sampling.repeatPenalty))
    return refuse("repetition penalty", "above 0",
                  double(sampling.repeatPenalty));
  if (sampling.repeatWindow < 0 || sampling.repeatWindow > 1 << 20)
    return refuse("repetition window", "of 0 to 1048576",
                  sampling.repeatWindow);
  if (sampling.topK < 0)
    return refuse("top-k", "from 0 up", double(sampling.topK));
  if (sampling.temperature != 0 &&
      !(sampling.temperature >= 1e-6 && std::isfinite(sampling.temperature)))
    return refuse("temperature", "of 0 or from 1e-6 up", sampling.temperature);
  if (!(sampling.topP > 0 && sampling.topP <= 1))
    return refuse("top-p", "above 0 and up to 1", sampling.topP);
  return PQUANT_OK;
}

PQuantStatus pquant_create_sampler(const PQuantSampling *sampling,
                                   int64_t vocabulary, PQuantSampler **result) {
  *result = nullptr;
  PQuantStatus status = checkSampling(*sampling, vocabulary);
  if (status != PQUANT_OK)
    return status;
  auto size = size_t(vocabulary);
  void *memory = malloc(sizeof(PQuantSampler));
  auto *sampler = memory ? new (memory) PQuantSampler() : nullptr;
  if (sampler) {
    sampler->sampling = *sampling;
    sampler->vocabulary = vocabulary;
    sampler->logits.assignZero(size);
    sampler->tokens.assignZero(layout::kRankedRoom);
    sampler->tokens.clear();
    sampler->weights.assignZero(size);
    sampler->choices.assignZero(size);
    sampler->ranked.assignZero(
        sampling->topK < vocabulary ? size_t(sampling->topK) : 0);
    sampler->recent.assignZero(size_t(sampling->repeatWindow));
    sampler->recent.clear();
  }
  if (!sampler || sampler->logits.failed || sampler->tokens.failed ||
      sampler->weights.failed || sampler->choices.failed ||
      sampler->ranked.failed || sampler->recent.failed) {
    pquant_free_sampler(sampler);
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not create a sampler");
  }
  *result = sampler;
  return PQUANT_OK;
}

void pquant_free_sampler(PQuantSampler *sampler) {
  if (!sampler)
    return;
  sampler->~PQuantSampler();
  free(sampler);
}

void pquant_sampler_reset(PQuantSampler *sampler) {
  sampler->recent.clear();
  sampler->oldest = 0;
  sampler->draws = 0;
}

static void accept(PQuantSampler &sampler, int64_t token) {
  auto window = size_t(sampler.sampling.repeatWindow);
  if (sampler.recent.size < window) {
    sampler.recent.append(token); // has room
  } else if (window) {
    sampler.recent[sampler.oldest] = token;
    sampler.oldest = (sampler.oldest + 1) % window;
  }
}

PQuantStatus pquant_sampler_accept(PQuantSampler *sampler,
                                   const int64_t *tokens, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (tokens[i] < 0 || tokens[i] >= sampler->vocabulary)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "expected tokens of 0 to %" PRId64 ", but got %" PRId64,
                      sampler->vocabulary - 1, tokens[i]);
  for (int64_t i = 0; i < count; ++i)
    accept(*sampler, tokens[i]);
  return PQUANT_OK;
}

//===----------------------------------------------------------------------===//
// The steps
//===----------------------------------------------------------------------===//

/// The place of a token; that of none is their number.
static size_t findPlace(const PQuantSampler &sampler, int64_t token) {
  const Buffer<int64_t> &tokens = sampler.tokens;
  if (!tokens.size)
    return size_t(token);
  size_t low = 0, high = tokens.size;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (tokens[middle] < token)
      low = middle + 1;
    else
      high = middle;
  }
  return low < tokens.size && tokens[low] == token ? low : tokens.size;
}

/// Copies the logits, one for each place, and applies the penalty, once for
/// each token.
static void penalize(PQuantSampler &sampler, const float *logits,
                     size_t count) {
  sampler.logits.clear();
  sampler.logits.append(logits, count); // has room
  float penalty = sampler.sampling.repeatPenalty;
  if (penalty == 1.0f)
    return;
  for (int64_t token : sampler.recent) {
    size_t place = findPlace(sampler, token);
    if (place == count)
      continue;
    float logit = logits[place];
    sampler.logits[place] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/// Fills `ranked`, whose size is k, with the first k places by logit. The heap
/// has the last of them on top, which a better one replaces.
static void rank(PQuantSampler &sampler) {
  Buffer<Ranked> &heap = sampler.ranked;
  size_t size = 0;
  for (size_t i = 0; i < sampler.logits.size; ++i) {
    Ranked entry = {sampler.logits[i], i};
    if (size < heap.size) {
      size_t hole = size++;
      for (; hole && heap[(hole - 1) / 2].comesBefore(entry);
           hole = (hole - 1) / 2)
        heap[hole] = heap[(hole - 1) / 2];
      heap[hole] = entry;
    } else if (entry.logit > heap[0].logit) {
      size_t hole = 0;
      for (size_t child; (child = 2 * hole + 1) < size; hole = child) {
        child += child + 1 < size && heap[child].comesBefore(heap[child + 1]);
        if (!entry.comesBefore(heap[child]))
          break;
        heap[hole] = heap[child];
      }
      heap[hole] = entry;
    }
  }
}

/// Fills `weights` by the logits, or by those of `ranked`; returns their sum.
static uint64_t weighAll(PQuantSampler &sampler, float greatest) {
  const double scale = 1 / sampler.sampling.temperature;
  const double most = double(greatest);
  auto weight = [=](float logit) {
    return weigh((double(logit) - most) * scale);
  };
  uint64_t sum = 0;
  if (sampler.ranked.size) {
    sampler.weights.assignZero(sampler.logits.size);
    for (const Ranked &entry : sampler.ranked)
      sum += sampler.weights[entry.place] = weight(entry.logit);
    return sum;
  }
  const float *logits = sampler.logits.data;
  uint64_t *weights = sampler.weights.data;
  for (size_t i = 0, size = sampler.logits.size; i < size; ++i)
    sum += weights[i] = weight(logits[i]);
  return sum;
}

/// The number of choices, brought to the front, that come first and together
/// weigh at least `target`, which all do.
static size_t selectFirst(Buffer<Choice> &choices, uint64_t target) {
  auto swap = [&](size_t a, size_t b) {
    Choice kept = choices[a];
    choices[a] = choices[b];
    choices[b] = kept;
  };
  size_t begin = 0, end = choices.size;
  while (end - begin > 1) {
    swap(begin, begin + (end - begin) / 2);
    const Choice pivot = choices[begin];
    size_t split = begin;
    uint64_t sum = 0;
    for (size_t i = begin + 1; i < end; ++i)
      if (choices[i].comesBefore(pivot)) {
        sum += choices[i].weight;
        swap(i, ++split);
      }
    swap(begin, split); // the pivot, behind those that come before it
    if (sum >= target) {
      end = split;
      continue;
    }
    if (sum + pivot.weight >= target)
      return split + 1;
    target -= sum + pivot.weight;
    begin = split + 1;
  }
  return end;
}

/// Takes the weight of all but the most probable places; returns the new sum.
static uint64_t cutTail(PQuantSampler &sampler, uint64_t sum) {
  auto target = uint64_t(double(sum) * sampler.sampling.topP);
  target = target ? target : 1;
  // All tokens of at most this weight together do not reach what is cut off.
  uint64_t low = (sum - target) / sampler.weights.size;
  Buffer<Choice> &choices = sampler.choices;
  choices.clear();
  for (size_t i = 0; i < sampler.weights.size; ++i) {
    uint64_t weight = sampler.weights[i];
    sampler.weights[i] = 0;
    if (weight > low)
      choices.append({weight, i}); // has room
  }
  size_t count = selectFirst(choices, target);
  sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += sampler.weights[choices[i].place] = choices[i].weight;
  return sum;
}

/// Number `counter` of the sequence that `seed` starts: SplitMix64.
static uint64_t randomNumber(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

//===----------------------------------------------------------------------===//
// Sample
//===----------------------------------------------------------------------===//

static PQuantStatus checkLogits(const PQuantSampler &sampler,
                                const PQuantTensor &logits) {
  int64_t size = logits.rank ? logits.sizes[logits.rank - 1] : 0;
  for (int32_t d = 0; d + 1 < logits.rank; ++d)
    if (logits.sizes[d] != 1)
      size = -1;
  if (logits.dtype == PQUANT_FLOAT32 && size == sampler.vocabulary)
    return PQUANT_OK;
  return setError(PQUANT_INVALID_ARGUMENT,
                  "expected float32 logits of one token, [1, %" PRId64
                  "], but got %s of rank %d with %" PRId64 " values in a row",
                  sampler.vocabulary, pquant_dtype_name(logits.dtype),
                  logits.rank, size);
}

/// The first of the greatest logits; -1 when one is NaN or none is finite.
static int64_t findGreatest(const Buffer<float> &logits) {
  // Lanes, which the compiler turns into vectors.
  constexpr size_t numLanes = 16;
  float lanes[numLanes];
  int isNaN[numLanes] = {};
  for (float &lane : lanes)
    lane = logits[0];
  size_t i = 0;
  for (; i + numLanes <= logits.size; i += numLanes)
    for (size_t lane = 0; lane < numLanes; ++lane) {
      float logit = logits[i + lane];
      lanes[lane] = logit > lanes[lane] ? logit : lanes[lane];
      isNaN[lane] |= logit != logit;
    }
  for (; i < logits.size; ++i) {
    lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    isNaN[0] |= logits[i] != logits[i];
  }
  float greatest = lanes[0];
  for (size_t lane = 0; lane < numLanes; ++lane) {
    greatest = lanes[lane] > greatest ? lanes[lane] : greatest;
    isNaN[0] |= isNaN[lane];
  }
  if (isNaN[0] || !std::isfinite(greatest))
    return -1;
  int64_t token = 0;
  while (logits[size_t(token)] != greatest)
    ++token;
  return token;
}

/// Computes the weights and their sum; where greedy, only the place.
static PQuantStatus prepare(PQuantSampler &sampler, const float *logits,
                            size_t count, int64_t &greatest, uint64_t &sum) {
  penalize(sampler, logits, count);
  greatest = findGreatest(sampler.logits);
  if (greatest < 0)
    return setError(PQUANT_RUN_FAILED,
                    "expected finite logits, but got NaN or infinity");
  if (sampler.sampling.temperature == 0)
    return PQUANT_OK;
  if (sampler.ranked.size)
    rank(sampler);
  sum = weighAll(sampler, sampler.logits[size_t(greatest)]);
  if (sampler.sampling.topP < 1)
    sum = cutTail(sampler, sum);
  return PQUANT_OK;
}

/// The same by all logits.
static PQuantStatus prepareAll(PQuantSampler &sampler,
                               const PQuantTensor &logits, int64_t &greatest,
                               uint64_t &sum) {
  PQuantStatus status = checkLogits(sampler, logits);
  if (status != PQUANT_OK)
    return status;
  sampler.tokens.clear();
  return prepare(sampler, static_cast<const float *>(logits.data),
                 size_t(sampler.vocabulary), greatest, sum);
}

PQuantStatus pquant_sampler_weights(PQuantSampler *sampler,
                                    const PQuantTensor *logits,
                                    const uint64_t **weights) {
  *weights = nullptr;
  int64_t greatest;
  uint64_t sum;
  PQuantStatus status = prepareAll(*sampler, *logits, greatest, sum);
  if (status != PQUANT_OK)
    return status;
  if (sampler->sampling.temperature == 0) {
    sampler->weights.assignZero(sampler->logits.size);
    sampler->weights[size_t(greatest)] = 1;
  }
  *weights = sampler->weights.data;
  return PQUANT_OK;
}

/// Draws a place, unless greedy, and accepts its token.
static int64_t draw(PQuantSampler &sampler, int64_t chosen, uint64_t sum) {
  if (sampler.sampling.temperature != 0) {
    uint64_t number = randomNumber(sampler.sampling.seed, sampler.draws++);
    auto point = uint64_t((static_cast<unsigned __int128>(number) * sum) >> 64);
    for (chosen = 0; point >= sampler.weights[size_t(chosen)]; ++chosen)
      point -= sampler.weights[size_t(chosen)];
  }
  if (sampler.tokens.size)
    chosen = sampler.tokens[size_t(chosen)];
  accept(sampler, chosen);
  return chosen;
}

PQuantStatus pquant_sample(PQuantSampler *sampler, const PQuantTensor *logits,
                           int64_t *token) {
  *token = -1;
  int64_t greatest;
  uint64_t sum;
  PQuantStatus status = prepareAll(*sampler, *logits, greatest, sum);
  if (status == PQUANT_OK)
    *token = draw(*sampler, greatest, sum);
  return status;
}

//===----------------------------------------------------------------------===//
// By a ranking
//===----------------------------------------------------------------------===//

/// A penalty of 1 or more moves tokens back only: of the k + n largest logits,
/// n of which it may move, k stay before all that are not among them. One below
/// 1 may bring any token to the front.
int64_t pquant::countDeciding(const PQuantSampler &sampler,
                              int64_t vocabulary) {
  const PQuantSampling &sampling = sampler.sampling;
  int64_t count = sampling.temperature == 0 ? 1 : int64_t(sampler.ranked.size);
  if (!count || sampling.repeatPenalty < 1 || vocabulary != sampler.vocabulary)
    return 0;
  if (sampling.repeatPenalty > 1)
    count += int64_t(sampler.recent.size);
  return count <= layout::kMostRanked && count <= vocabulary ? count : 0;
}

PQuantStatus pquant::sampleRanked(PQuantSampler &sampler,
                                  layout::Ranking &ranking, int64_t *token) {
  *token = -1;
  auto count = size_t(ranking.count);
  qsort(ranking.logits, count, sizeof *ranking.logits,
        [](const void *a, const void *b) {
          return static_cast<const layout::RankedLogit *>(a)->token -
                 static_cast<const layout::RankedLogit *>(b)->token;
        });
  float logits[layout::kRankedRoom];
  sampler.tokens.clear();
  for (size_t i = 0; i < count; ++i) {
    logits[i] = ranking.logits[i].logit;
    sampler.tokens.append(ranking.logits[i].token); // has room
  }
  int64_t greatest;
  uint64_t sum;
  PQuantStatus status = prepare(sampler, logits, count, greatest, sum);
  if (status == PQUANT_OK)
    *token = draw(sampler, greatest, sum);
  return status;
}
