//===- Session.cpp - A sequence and its keys and values -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Holds the states of the entry points 'prefill' and 'decode' in one block of
// memory of a fixed capacity, and the number of tokens in them. What lies
// behind that number is never read, so a run that fails leaves nothing to undo.
//
// Of several sequences, each state holds one behind the other: prompts are read
// by 'prefill' in each one's part, and 'decode_batch' continues all.
//
//===----------------------------------------------------------------------===//

#include "Execute.h"
#include "Model.h"
#include "Sampler.h"

#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <new>

using namespace pquant;

/// Tokens that one run of 'prefill' takes at most: enough for every linear to
/// be at its fastest, few enough that the memory for activations does not grow
/// with the prompt.
static constexpr int64_t kPrefillTokens = 512;

struct PQuantSession {
  PQuantModel *model;
  const PQuantEntry *prefill; ///< null when the model has none
  const PQuantEntry *decode;
  const PQuantEntry *batch; ///< 'decode_batch'; null for one sequence
  PQuantMemRef *states;     ///< of the sequence that runs, and then of all
  void *memory;             ///< what the states describe
  PQuantResults *results;
  PQuantTensor logits; ///< after prompts: a row for each sequence
  uint64_t bytes;      ///< of that memory
  int64_t sequences, capacity, position;
};

//===----------------------------------------------------------------------===//
// Create and free
//===----------------------------------------------------------------------===//

static const PQuantEntry *findStep(const PQuantModel &model, const char *name) {
  for (int32_t i = 0; i < pquant_num_entries(&model); ++i) {
    const PQuantEntry *entry = pquant_get_entry(&model, i);
    if (entry->numStates && !strcmp(entry->name, name))
      return entry;
  }
  return nullptr;
}

/// The bytes of so many sequences' state; 0 when they cannot be counted.
static uint64_t stateBytes(const PQuantTensorSpec &spec, int64_t capacity,
                           int64_t sequences) {
  uint64_t bytes = uint64_t(pquant_dtype_size(spec.dtype));
  for (int32_t d = 0; d < spec.rank; ++d) {
    int64_t size = spec.sizes[d] < 0 ? capacity : spec.sizes[d];
    if (__builtin_mul_overflow(bytes, uint64_t(size), &bytes))
      return 0;
  }
  if (__builtin_mul_overflow(bytes, uint64_t(sequences), &bytes))
    return 0;
  return bytes > UINT64_MAX / 2 ? 0 : bytes;
}

static uint64_t alignUp(uint64_t bytes) {
  return (bytes + kAlignment - 1) & ~(kAlignment - 1);
}

int64_t pquant_max_capacity(const PQuantModel *model) {
  const PQuantEntry *entry = findStep(*model, "decode");
  if (!entry)
    return 0;
  int64_t least = INT64_MAX;
  for (int32_t i = 0; i < entry->numStates; ++i) {
    const PQuantTensorSpec &spec = entry->states[i];
    for (int32_t d = 0; d < spec.rank; ++d)
      if (spec.sizes[d] >= 0 && !strcmp(spec.sizeNames[d], "capacity") &&
          spec.sizes[d] < least)
        least = spec.sizes[d];
  }
  return least;
}

/// Memory for the states, of the GPU where the model has one.
static PQuantStatus allocateMemory(PQuantSession &session) {
  if (Device *device = session.model->device)
    return device->allocatePersistent(session.bytes, "keys and values",
                                      &session.memory);
  if (!posix_memalign(&session.memory, kAlignment, size_t(session.bytes)))
    return PQUANT_OK;
  session.memory = nullptr;
  return setError(PQUANT_OUT_OF_MEMORY,
                  "out of memory: could not allocate a session of %" PRId64
                  " positions",
                  session.capacity);
}

/// Places the states one behind the other in memory that is allocated here.
static PQuantStatus allocateStates(PQuantSession &session) {
  const PQuantEntry &entry = *session.decode;
  uint64_t total = 0;
  for (int32_t i = 0; i < entry.numStates; ++i) {
    uint64_t bytes =
        stateBytes(entry.states[i], session.capacity, session.sequences);
    if (!bytes || __builtin_add_overflow(total, alignUp(bytes), &total))
      return setError(PQUANT_OUT_OF_MEMORY,
                      "out of memory: could not allocate a session of %" PRId64
                      " positions, which has more bytes than can be counted",
                      session.capacity);
  }
  session.bytes = total;
  session.states = static_cast<PQuantMemRef *>(
      calloc(2 * size_t(entry.numStates), sizeof(PQuantMemRef)));
  if (!session.states)
    return setError(PQUANT_OUT_OF_MEMORY, "out of memory");
  PQuantStatus status = allocateMemory(session);
  if (status != PQUANT_OK)
    return status;
  char *place = static_cast<char *>(session.memory);
  for (int32_t i = 0; i < entry.numStates; ++i) {
    const PQuantTensorSpec &spec = entry.states[i];
    PQuantTensor tensor = {};
    tensor.data = place;
    tensor.rank = spec.rank;
    for (int32_t d = 0; d < spec.rank; ++d)
      tensor.sizes[d] = spec.sizes[d] < 0 ? session.capacity : spec.sizes[d];
    describe(tensor, session.states[i]);
    tensor.sizes[0] *= session.sequences;
    describe(tensor, session.states[entry.numStates + i]);
    place += alignUp(stateBytes(spec, session.capacity, session.sequences));
  }
  return PQUANT_OK;
}

PQuantStatus pquant_create_session(PQuantModel *model, int64_t capacity,
                                   PQuantSession **result) {
  return pquant_create_batch(model, /*sequences=*/1, capacity, result);
}

PQuantStatus pquant_create_batch(PQuantModel *model, int64_t sequences,
                                 int64_t capacity, PQuantSession **result) {
  *result = nullptr;
  const PQuantEntry *decode = findStep(*model, "decode");
  if (!decode)
    return setError(PQUANT_UNSUPPORTED,
                    "the model has no entry point 'decode': it was not "
                    "exported with past keys and values, or the compiler did "
                    "not recognise them (pquant-compile --opt-report)");
  const PQuantEntry *batch =
      sequences == 1 ? nullptr : findStep(*model, "decode_batch");
  if (sequences < 1)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected 1 sequence or more, but got %" PRId64, sequences);
  if (sequences > 1 && !batch)
    return setError(PQUANT_UNSUPPORTED,
                    "the model was compiled for one sequence at a time "
                    "(pquant-compile --batch)");
  if (capacity < 1)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected a capacity of 1 or more, but got %" PRId64,
                    capacity);
  int64_t most = pquant_max_capacity(model);
  if (capacity > most)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected a capacity of at most %" PRId64
                    ", which the model was exported with, but got %" PRId64,
                    most, capacity);
  PQuantStatus status = enterDevice(*model);
  if (status != PQUANT_OK)
    return status;
  auto *session =
      static_cast<PQuantSession *>(calloc(1, sizeof(PQuantSession)));
  if (!session)
    return setError(PQUANT_OUT_OF_MEMORY, "out of memory");
  session->model = model;
  session->decode = decode;
  session->batch = batch;
  session->sequences = sequences;
  session->prefill = findStep(*model, "prefill");
  session->capacity = capacity;
  status = allocateStates(*session);
  if (status != PQUANT_OK) {
    pquant_free_session(session);
    return status;
  }
  *result = session;
  return PQUANT_OK;
}

void pquant_free_session(PQuantSession *session) {
  if (!session)
    return;
  pquant_free_results(session->results);
  if (Device *device = session->model->device)
    device->freePersistent(session->memory);
  else
    free(session->memory);
  free(const_cast<void *>(session->logits.data));
  free(session->states);
  free(session);
}

//===----------------------------------------------------------------------===//
// Run
//===----------------------------------------------------------------------===//

int64_t pquant_session_position(const PQuantSession *session) {
  return session->position;
}

int64_t pquant_session_capacity(const PQuantSession *session) {
  return session->capacity;
}

uint64_t pquant_session_bytes(const PQuantSession *session) {
  return session->bytes;
}

PQuantStatus pquant_session_rewind(PQuantSession *session, int64_t position) {
  if (position < 0 || position > session->position)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected a position of 0 to %" PRId64 ", but got %" PRId64,
                    session->position, position);
  session->position = position;
  return PQUANT_OK;
}

int64_t pquant_session_sequences(const PQuantSession *session) {
  return session->sequences;
}

/// Runs `entry` on `count` tokens of the entry point's own type, of the
/// sequence that is chosen or of all.
static PQuantStatus runStep(PQuantSession &session, const PQuantEntry &entry,
                            const void *tokens, int64_t count,
                            RankedLogits *ranked) {
  bool isBatch = &entry == session.batch;
  PQuantTensor inputs[2] = {};
  inputs[0].data = tokens;
  inputs[0].dtype = entry.inputs[0].dtype;
  inputs[0].rank = 2;
  inputs[0].sizes[0] = isBatch ? session.sequences : 1;
  inputs[0].sizes[1] = count;
  inputs[1].data = &session.position;
  inputs[1].dtype = PQUANT_INT64;
  PQuantResults *results;
  PQuantStatus status = runEntry(
      *session.model, entry, inputs, 2,
      session.states + (isBatch ? entry.numStates : 0), ranked, &results);
  if (status != PQUANT_OK)
    return status;
  pquant_free_results(session.results);
  session.results = results;
  session.position += count;
  return PQUANT_OK;
}

int32_t *pquant::narrowTokens(const int64_t *tokens, int64_t count) {
  auto *result = static_cast<int32_t *>(calloc(size_t(count), sizeof(int32_t)));
  for (int64_t i = 0; result && i < count; ++i)
    result[i] = int32_t(tokens[i]);
  return result;
}

/// Runs tokens of the sequence that is chosen, as few times as possible.
static PQuantStatus runSteps(PQuantSession &session, const char *tokens,
                             int64_t count, RankedLogits *ranked) {
  const PQuantEntry &entry =
      count > 1 && session.prefill ? *session.prefill : *session.decode;
  int64_t size = pquant_dtype_size(entry.inputs[0].dtype),
          most = &entry == session.prefill ? kPrefillTokens : 1, step;
  PQuantStatus status = PQUANT_OK;
  for (int64_t i = 0; i < count && status == PQUANT_OK; i += step) {
    step = count - i < most ? count - i : most;
    status = runStep(session, entry, tokens + i * size, step, ranked);
  }
  return status;
}

/// Chooses a sequence: its part of each state.
static void choose(PQuantSession &session, int64_t sequence) {
  int32_t count = session.decode->numStates;
  for (int32_t i = 0; i < count; ++i) {
    uint64_t bytes = stateBytes(session.decode->states[i], session.capacity, 1);
    PQuantMemRef &state = session.states[i];
    state.allocated = state.aligned =
        static_cast<char *>(session.states[count + i].aligned) +
        uint64_t(sequence) * bytes;
  }
}

/// Runs `count` tokens of each sequence, one sequence after the other, and
/// gathers the logits.
static PQuantStatus runPrompts(PQuantSession &session, const char *tokens,
                               int64_t count) {
  int64_t before = session.position,
          size = pquant_dtype_size(session.decode->inputs[0].dtype);
  char *rows = nullptr;
  PQuantStatus status = PQUANT_OK;
  for (int64_t i = 0; i < session.sequences && status == PQUANT_OK; ++i) {
    session.position = before;
    choose(session, i);
    status = runSteps(session, tokens + i * count * size, count, nullptr);
    if (status != PQUANT_OK)
      break;
    PQuantTensor row = *pquant_get_result(session.results, 0);
    size_t bytes = size_t(row.sizes[1]) * size_t(pquant_dtype_size(row.dtype));
    if (!rows) {
      rows = static_cast<char *>(calloc(size_t(session.sequences), bytes));
      free(const_cast<void *>(session.logits.data));
      session.logits = row;
      session.logits.data = rows;
      session.logits.sizes[0] = session.sequences;
    }
    if (rows)
      memcpy(rows + size_t(i) * bytes, row.data, bytes);
    else
      status = setError(PQUANT_OUT_OF_MEMORY, "out of memory: the logits");
  }
  return status;
}

static PQuantStatus checkTokens(const PQuantSession &session,
                                const int64_t *tokens, int64_t count) {
  if (count < 1)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected 1 token or more, but got %" PRId64, count);
  if (count > session.capacity - session.position)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "%" PRId64 " tokens do not fit: the session holds %" PRId64
                    " of %" PRId64 " positions",
                    count, session.position, session.capacity);
  bool isNarrow = session.decode->inputs[0].dtype == PQUANT_INT32;
  int64_t most = isNarrow ? INT32_MAX : INT64_MAX;
  for (int64_t i = 0; i < count * session.sequences; ++i)
    if (tokens[i] < 0 || tokens[i] > most)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "expected tokens of 0 to %" PRId64 ", but got %" PRId64,
                      most, tokens[i]);
  return PQUANT_OK;
}

/// Appends `count` tokens to each sequence.
static PQuantStatus append(PQuantSession &session, const int64_t *tokens,
                           int64_t count, RankedLogits *ranked) {
  PQuantStatus status = checkTokens(session, tokens, count);
  if (status != PQUANT_OK)
    return status;
  int64_t all = count * session.sequences, before = session.position;
  bool isNarrow = session.decode->inputs[0].dtype == PQUANT_INT32;
  int32_t *narrowed = isNarrow ? narrowTokens(tokens, all) : nullptr;
  if (isNarrow && !narrowed)
    return setError(PQUANT_OUT_OF_MEMORY, "out of memory: %" PRId64 " tokens",
                    all);
  auto *data = isNarrow ? reinterpret_cast<const char *>(narrowed)
                        : reinterpret_cast<const char *>(tokens);
  if (!session.batch)
    status = runSteps(session, data, count, ranked);
  else if (count == 1)
    status = runStep(session, *session.batch, data, count, nullptr);
  else
    status = runPrompts(session, data, count);
  free(narrowed);
  if (status != PQUANT_OK)
    session.position = before;
  return status;
}

PQuantStatus pquant_session_run(PQuantSession *session, const int64_t *tokens,
                                int64_t count, const PQuantTensor **logits) {
  *logits = nullptr;
  PQuantStatus status = append(*session, tokens, count, /*ranked=*/nullptr);
  if (status != PQUANT_OK)
    return status;
  bool areGathered = session->batch && count > 1;
  *logits =
      areGathered ? &session->logits : pquant_get_result(session->results, 0);
  return PQUANT_OK;
}

PQuantStatus pquant_session_sample(PQuantSession *session,
                                   const int64_t *tokens, int64_t count,
                                   PQuantSampler *sampler, int64_t *token) {
  const PQuantTensorSpec &logits = session->decode->outputs[0];
  RankedLogits ranked;
  ranked.wanted = int32_t(
      countDeciding(*sampler, logits.rank ? logits.sizes[logits.rank - 1] : 0));
  PQuantStatus status =
      session->batch
          ? setError(PQUANT_INVALID_ARGUMENT,
                     "expected a session of one sequence, but got %" PRId64,
                     session->sequences)
          : append(*session, tokens, count, &ranked);
  if (status != PQUANT_OK) {
    *token = -1;
    return status;
  }
  return ranked.areThere
             ? sampleRanked(*sampler, ranked.ranking, token)
             : pquant_sample(sampler, pquant_get_result(session->results, 0),
                             token);
}
