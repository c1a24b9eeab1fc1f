//===- Execute.cpp - Check inputs, run an entry point, keep its outputs ---===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Inputs are the user's and are checked in full against the entry's specs, so
// that generated code never sees a shape it was not compiled for. Outputs are
// handed out dense: a strided one, or one that shares memory with an input, a
// constant or another output, is copied.
//
//===----------------------------------------------------------------------===//

#include "Execute.h"
#include "Model.h"
#include "Text.h"

#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <new>

using namespace pquant;

struct PQuantResults {
  Pool *pool;
  LiveList blocks;
  int32_t count;
  PQuantTensor *tensors;
};

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

/// Finds the tensor for each input of `entry`: order[i] is its index.
static PQuantStatus matchInputs(const PQuantEntry &entry,
                                const PQuantTensor *inputs, int32_t count,
                                int32_t *order) {
  bool byName = count && inputs[0].name;
  if (!byName) {
    if (count > entry.numInputs)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "entry point '%s' expected %d inputs, but got %d",
                      entry.name, entry.numInputs, count);
    if (count < entry.numInputs)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "entry point '%s' expected %d inputs, but got %d: "
                      "missing input '%s'",
                      entry.name, entry.numInputs, count,
                      entry.inputs[count].name);
    for (int32_t i = 0; i < count; ++i)
      order[i] = i;
    return PQUANT_OK;
  }
  for (int32_t i = 0; i < entry.numInputs; ++i)
    order[i] = -1;
  for (int32_t j = 0; j < count; ++j) {
    const char *name = inputs[j].name;
    if (!name)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "input %d has no name, but input 0 has", j);
    int32_t i = 0;
    while (i < entry.numInputs && strcmp(entry.inputs[i].name, name))
      ++i;
    if (i == entry.numInputs)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "entry point '%s' has no input '%s'", entry.name, name);
    if (order[i] >= 0)
      return setError(PQUANT_INVALID_ARGUMENT, "input '%s' is given twice",
                      name);
    order[i] = j;
  }
  for (int32_t i = 0; i < entry.numInputs; ++i)
    if (order[i] < 0)
      return setError(PQUANT_INVALID_ARGUMENT,
                      "entry point '%s': missing input '%s'", entry.name,
                      entry.inputs[i].name);
  return PQUANT_OK;
}

/// The number of elements; -1 when the bytes of the tensor cannot be counted.
static int64_t elementCount(const int64_t *sizes, int32_t rank, int64_t size) {
  int64_t count = 1;
  bool empty = false;
  for (int32_t d = 0; d < rank; ++d) {
    if (sizes[d] < 0)
      return -1;
    if (!sizes[d])
      empty = true;
    else if (__builtin_mul_overflow(count, sizes[d], &count))
      return -1;
  }
  int64_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes))
    return -1;
  return empty ? 0 : count;
}

static PQuantStatus checkData(const PQuantTensorSpec &spec,
                              const PQuantTensor &input) {
  int64_t size = pquant_dtype_size(spec.dtype);
  int64_t count = elementCount(input.sizes, input.rank, size);
  if (count < 0)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "input '%s' has a negative or too large size", spec.name);
  if (!count)
    return PQUANT_OK;
  if (!input.data)
    return setError(PQUANT_INVALID_ARGUMENT, "input '%s' has no data",
                    spec.name);
  if (reinterpret_cast<uintptr_t>(input.data) % size)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "input '%s' expected data aligned to %" PRId64 " bytes",
                    spec.name, size);
  if (spec.dtype != PQUANT_BOOL)
    return PQUANT_OK;
  auto bytes = static_cast<const unsigned char *>(input.data);
  unsigned char bits = 0;
  for (int64_t i = 0; i < count; ++i)
    bits |= bytes[i];
  if (bits > 1)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "input '%s' expected bools of 0 or 1, but got another "
                    "byte value",
                    spec.name);
  return PQUANT_OK;
}

static PQuantStatus checkInput(const PQuantTensorSpec &spec,
                               const PQuantTensor &input) {
  if (input.dtype != spec.dtype)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "input '%s' expected %s, but got %s", spec.name,
                    pquant_dtype_name(spec.dtype),
                    pquant_dtype_name(input.dtype));
  if (input.rank != spec.rank)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "input '%s' expected rank %d, but got rank %d", spec.name,
                    spec.rank, input.rank);
  for (int32_t d = 0; d < spec.rank; ++d)
    if (spec.sizes[d] >= 0 && input.sizes[d] != spec.sizes[d])
      return setError(PQUANT_INVALID_ARGUMENT,
                      "input '%s' expected size %" PRId64
                      " in dimension %d, but got %" PRId64,
                      spec.name, spec.sizes[d], d, input.sizes[d]);
  return checkData(spec, input);
}

/// The symbolic name of dimension `d`, or null.
static const char *symbolOf(const PQuantTensorSpec &spec, int32_t d) {
  if (spec.sizes[d] >= 0 || !spec.sizeNames || !spec.sizeNames[d])
    return nullptr;
  return *spec.sizeNames[d] ? spec.sizeNames[d] : nullptr;
}

/// Compares one symbolic size with its first mention among the inputs.
static PQuantStatus checkSymbol(const PQuantEntry &entry,
                                const PQuantTensor *inputs,
                                const int32_t *order, int32_t i, int32_t d) {
  const char *name = symbolOf(entry.inputs[i], d);
  int64_t size = inputs[order[i]].sizes[d];
  for (int32_t k = 0; name && k <= i; ++k) {
    const PQuantTensorSpec &first = entry.inputs[k];
    for (int32_t e = 0; e < (k == i ? d : first.rank); ++e) {
      const char *other = symbolOf(first, e);
      if (!other || strcmp(name, other))
        continue;
      int64_t expected = inputs[order[k]].sizes[e];
      if (size == expected)
        return PQUANT_OK;
      return setError(PQUANT_INVALID_ARGUMENT,
                      "input '%s' expected size %" PRId64
                      " in dimension %d ('%s', as in dimension %d of input "
                      "'%s'), but got %" PRId64,
                      entry.inputs[i].name, expected, d, name, e, first.name,
                      size);
    }
  }
  return PQUANT_OK;
}

static PQuantStatus checkInputs(const PQuantEntry &entry,
                                const PQuantTensor *inputs,
                                const int32_t *order) {
  for (int32_t i = 0; i < entry.numInputs; ++i) {
    PQuantStatus status = checkInput(entry.inputs[i], inputs[order[i]]);
    if (status != PQUANT_OK)
      return status;
  }
  for (int32_t i = 0; i < entry.numInputs; ++i) {
    for (int32_t d = 0; d < entry.inputs[i].rank; ++d) {
      PQuantStatus status = checkSymbol(entry, inputs, order, i, d);
      if (status != PQUANT_OK)
        return status;
    }
  }
  return PQUANT_OK;
}

void pquant::describe(const PQuantTensor &tensor, PQuantMemRef &memref) {
  memref.allocated = memref.aligned = const_cast<void *>(tensor.data);
  memref.offset = 0;
  int64_t stride = 1;
  for (int32_t d = tensor.rank - 1; d >= 0; --d) {
    memref.extents[d] = tensor.sizes[d];
    memref.extents[tensor.rank + d] = stride;
    stride *= tensor.sizes[d] ? tensor.sizes[d] : 1;
  }
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

/// The live block whose data starts at `data`; null when the run holds none.
static Block *findLive(Run &run, void *data) {
  for (Block *b = run.live.head.next; b != &run.live.head; b = b->next)
    if (b->data() == data)
      return b;
  return nullptr;
}

static bool isDense(const PQuantMemRef &memref, int32_t rank) {
  int64_t stride = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    if (memref.extents[d] != 1 && memref.extents[rank + d] != stride)
      return false;
    stride *= memref.extents[d];
  }
  return true;
}

/// Copies the elements in row-major order.
static void copyDense(char *to, const PQuantMemRef &memref, int32_t rank,
                      int64_t count, int64_t size) {
  auto from = static_cast<const char *>(memref.aligned);
  int64_t index[PQUANT_MAX_RANK] = {};
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = memref.offset;
    for (int32_t d = 0; d < rank; ++d)
      at += index[d] * memref.extents[rank + d];
    memcpy(to + i * size, from + at * size, size);
    for (int32_t d = rank - 1; d >= 0 && ++index[d] == memref.extents[d]; --d)
      index[d] = 0;
  }
}

static PQuantStatus keepOutput(Run &run, const PQuantTensorSpec &spec,
                               const PQuantMemRef &memref,
                               PQuantResults &results, PQuantTensor &tensor) {
  tensor.dtype = spec.dtype;
  tensor.rank = spec.rank;
  for (int32_t d = 0; d < spec.rank; ++d)
    tensor.sizes[d] = memref.extents[d];
  int64_t size = pquant_dtype_size(spec.dtype);
  int64_t count = elementCount(tensor.sizes, tensor.rank, size);
  if (count < 0)
    return setError(PQUANT_RUN_FAILED,
                    "output '%s' has a negative or too large size", spec.name);
  Block *block = findLive(run, memref.allocated);
  if (block && isDense(memref, spec.rank)) {
    tensor.data = static_cast<char *>(memref.aligned) + memref.offset * size;
    run.pool->move(block, results.blocks);
    return PQUANT_OK;
  }
  block = run.pool->allocate(uint64_t(count * size), results.blocks);
  if (!block)
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not allocate %" PRId64 " bytes",
                    count * size);
  copyDense(static_cast<char *>(block->data()), memref, spec.rank, count, size);
  tensor.data = block->data();
  return PQUANT_OK;
}

int32_t pquant_num_results(const PQuantResults *results) {
  return results->count;
}

const PQuantTensor *pquant_get_result(const PQuantResults *results,
                                      int32_t index) {
  if (index < 0 || index >= results->count)
    return nullptr;
  return &results->tensors[index];
}

void pquant_free_results(PQuantResults *results) {
  if (!results)
    return;
  results->pool->recycleAll(results->blocks);
  results->pool->release();
  results->~PQuantResults();
  free(results);
}

/// Room for the outputs of `entry`, with their names (the model's may be gone
/// with its library) and no data yet; null when out of memory.
static PQuantResults *createResults(Pool *pool, const PQuantEntry &entry) {
  size_t count = size_t(entry.numOutputs), characters = 0;
  for (size_t i = 0; i < count; ++i)
    characters += strlen(entry.outputs[i].name) + 1;
  size_t fixed = sizeof(PQuantResults) + count * sizeof(PQuantTensor);
  char *memory = static_cast<char *>(calloc(1, fixed + characters));
  if (!memory)
    return nullptr;
  auto tensors =
      reinterpret_cast<PQuantTensor *>(memory + sizeof(PQuantResults));
  char *names = memory + fixed;
  for (size_t i = 0; i < count; ++i) {
    tensors[i].name = strcpy(names, entry.outputs[i].name);
    names += strlen(names) + 1;
  }
  pool->retain();
  return ::new (memory) PQuantResults{pool, {}, entry.numOutputs, tensors};
}

//===----------------------------------------------------------------------===//
// Run
//===----------------------------------------------------------------------===//

namespace {
/// An entry point and its descriptors, in one allocation.
struct Call {
  PQuantEntryFn function;
  const void *weights;
  PQuantMemRef *memrefs; ///< inputs, states, outputs
  PQuantMemRef **args;   ///< pointers to each of them
  int32_t *order;
  int32_t numArgs; ///< inputs and states
};
} // namespace

static bool createCall(const PQuantModel &model, const PQuantEntry &entry,
                       Call &call) {
  size_t total = size_t(entry.numInputs) + size_t(entry.numStates) +
                 size_t(entry.numOutputs);
  size_t bytes =
      sizeof(PQuantMemRef) + sizeof(PQuantMemRef *) + sizeof(int32_t);
  void *memory = calloc(total + 1, bytes);
  if (!memory)
    return false;
  call.function = entry.functions[model.level];
  call.weights = model.device ? model.device->weights() : model.weights;
  call.memrefs = static_cast<PQuantMemRef *>(memory);
  call.args = reinterpret_cast<PQuantMemRef **>(call.memrefs + total);
  call.order = reinterpret_cast<int32_t *>(call.args + total);
  call.numArgs = entry.numInputs + entry.numStates;
  for (size_t i = 0; i < total; ++i)
    call.args[i] = &call.memrefs[i];
  return true;
}

static PQuantStatus callFunction(Run &run, Call &call) {
  return execute(
      run,
      [](void *context) {
        Call &call = *static_cast<Call *>(context);
        call.function(call.weights, call.args, call.args + call.numArgs);
      },
      &call);
}

/// Launches the ranking of logits on the GPU behind what computes them, and
/// copies it.
static PQuantStatus rankLogits(Run &run, const PQuantModel &model,
                               const PQuantMemRef &logits,
                               RankedLogits &ranked) {
  PQuantEntryFn function = model.descriptor->gpu->rankLogits;
  if (!function)
    return PQUANT_OK;
  void *memory = run.device->allocate(sizeof ranked.ranking);
  if (!memory)
    return PQUANT_OUT_OF_MEMORY;
  PQuantTensor wanted = {}, found = {};
  wanted.data = &ranked.wanted;
  found.data = memory;
  found.rank = 2;
  found.sizes[0] = 1;
  found.sizes[1] = layout::kRankingWords;
  PQuantMemRef memrefs[3] = {{}, logits, {}};
  describe(wanted, memrefs[0]);
  describe(found, memrefs[2]);
  PQuantMemRef *args[] = {&memrefs[0], &memrefs[1], &memrefs[2]};
  Call call = {function, run.device->weights(), memrefs, args, nullptr, 3};
  PQuantStatus status = callFunction(run, call);
  if (status == PQUANT_OK)
    status = run.device->copy(&ranked.ranking, memory, sizeof ranked.ranking);
  ranked.areThere = status == PQUANT_OK &&
                    ranked.ranking.count >= ranked.wanted &&
                    ranked.ranking.count <= layout::kRankedRoom;
  return status;
}

/// Brings the outputs of a step from the GPU into memory of the run.
static PQuantStatus fetchOutputs(Run &run, const PQuantEntry &entry,
                                 PQuantMemRef *outputs) {
  for (int32_t i = 0; i < entry.numOutputs; ++i) {
    const PQuantTensorSpec &spec = entry.outputs[i];
    int64_t size = pquant_dtype_size(spec.dtype);
    int64_t count = elementCount(outputs[i].extents, spec.rank, size);
    Block *block = count < 0
                       ? nullptr
                       : run.pool->allocate(uint64_t(count * size), run.live);
    if (!block)
      return setError(PQUANT_OUT_OF_MEMORY,
                      "out of memory: could not allocate output '%s'",
                      spec.name);
    char *from = static_cast<char *>(outputs[i].aligned);
    PQuantStatus status = run.device->copy(
        block->data(), from + outputs[i].offset * size, uint64_t(count * size));
    if (status != PQUANT_OK)
      return status;
    outputs[i].allocated = outputs[i].aligned = block->data();
    outputs[i].offset = 0;
  }
  return PQUANT_OK;
}

static PQuantStatus runCall(PQuantModel &model, const PQuantEntry &entry,
                            Call &call, RankedLogits *ranked,
                            PQuantResults &results) {
  Run run(model.pool, model.enter, model.threads, model.sink, model.device);
  PQuantMemRef *outputs = call.memrefs + call.numArgs;
  PQuantStatus status = callFunction(run, call);
  bool areOnGPU = model.device && entry.numStates;
  if (ranked)
    ranked->areThere = false;
  if (areOnGPU && ranked && ranked->wanted && status == PQUANT_OK)
    status = rankLogits(run, model, outputs[0], *ranked);
  bool hasResults = !ranked || !ranked->areThere;
  if (areOnGPU && hasResults && status == PQUANT_OK)
    status = fetchOutputs(run, entry, outputs);
  if (model.device) {
    PQuantStatus ended = model.device->endRun();
    if (status == PQUANT_OK)
      status = ended;
  }
  int32_t count = hasResults ? entry.numOutputs : 0;
  for (int32_t i = 0; status == PQUANT_OK && i < count; ++i)
    status = keepOutput(run, entry.outputs[i], outputs[i], results,
                        results.tensors[i]);
  model.pool->recycleAll(run.live);
  model.pool->endRun();
  return status;
}

PQuantStatus pquant::runEntry(PQuantModel &model, const PQuantEntry &entry,
                              const PQuantTensor *inputs, int32_t numInputs,
                              const PQuantMemRef *states, RankedLogits *ranked,
                              PQuantResults **results) {
  *results = nullptr;
  PQuantStatus loaded = pquant_load_weights(&model, nullptr);
  if (loaded == PQUANT_OK)
    loaded = enterDevice(model);
  if (loaded != PQUANT_OK)
    return loaded;
  Call call;
  PQuantResults *created = createResults(model.pool, entry);
  if (!created || !createCall(model, entry, call)) {
    pquant_free_results(created);
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not start a run");
  }
  PQuantStatus status = matchInputs(entry, inputs, numInputs, call.order);
  if (status == PQUANT_OK)
    status = checkInputs(entry, inputs, call.order);
  if (status == PQUANT_OK) {
    for (int32_t i = 0; i < entry.numInputs; ++i)
      describe(inputs[call.order[i]], call.memrefs[i]);
    for (int32_t i = 0; i < entry.numStates; ++i)
      call.memrefs[entry.numInputs + i] = states[i];
    status = runCall(model, entry, call, ranked, *created);
  }
  free(call.memrefs);
  if (status == PQUANT_OK)
    *results = created;
  else
    pquant_free_results(created);
  return status;
}

PQuantStatus pquant_run(PQuantModel *model, int32_t index,
                        const PQuantTensor *inputs, int32_t numInputs,
                        PQuantResults **results) {
  *results = nullptr;
  const PQuantEntry *entry = pquant_get_entry(model, index);
  if (!entry)
    return setError(PQUANT_NOT_FOUND,
                    "expected an entry point of 0 to %d, but got %d",
                    pquant_num_entries(model) - 1, index);
  if (entry->numStates)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "entry point '%s' continues a sequence: it is run by a "
                    "session (pquant_create_session)",
                    entry->name);
  return runEntry(*model, *entry, inputs, numInputs, /*states=*/nullptr,
                  /*ranked=*/nullptr, results);
}
