//===- Model.cpp - Open a model, choose a level, look inside --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything of the C API but running. The descriptor is the compiler's, so
// only its ABI version is checked.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Cpu.h"
#include "OpenMP.h"
#include "Text.h"

#include <cstdlib>
#include <cstring>

using namespace pquant;

//===----------------------------------------------------------------------===//
// Levels
//===----------------------------------------------------------------------===//

namespace {
/// A piece of a comma-separated list.
struct Piece {
  const char *text;
  size_t length;
};
} // namespace

/// The first feature of `level` that is not there; a null text when all are.
static Piece missingFeature(const PQuantLevel &level) {
  const char *rest = level.features;
  while (*rest) {
    size_t length = strcspn(rest, ",");
    if (length && !cpuHasFeature(rest, length))
      return {rest, length};
    rest += length;
    rest += *rest == ',';
  }
  return {nullptr, 0};
}

static PQuantStatus chooseLevel(PQuantModel &model, const char *name) {
  const PQuantModelDescriptor &descriptor = *model.descriptor;
  Text names;
  for (uint32_t i = 0; i < descriptor.numLevels; ++i) {
    const PQuantLevel &level = descriptor.levels[i];
    names.append("%s%s", i ? ", " : "", level.name);
    if (strcmp(level.name, name))
      continue;
    Piece missing = missingFeature(level);
    if (missing.text)
      return setError(PQUANT_UNSUPPORTED,
                      "instruction-set level '%s' needs CPU feature '%.*s', "
                      "which this machine lacks",
                      name, int(missing.length), missing.text);
    model.level = int32_t(i);
    return PQUANT_OK;
  }
  return setError(PQUANT_NOT_FOUND,
                  "unknown instruction-set level '%s'; this model has: %s",
                  name, names.data);
}

/// The level that PQUANT_ISA asks for, else the highest that runs here.
static PQuantStatus chooseDefaultLevel(PQuantModel &model) {
  const char *wanted = getenv("PQUANT_ISA");
  if (wanted && *wanted)
    return chooseLevel(model, wanted);
  for (int32_t i = int32_t(model.descriptor->numLevels) - 1; i >= 0; --i) {
    if (missingFeature(model.descriptor->levels[i]).text)
      continue;
    model.level = i;
    return PQUANT_OK;
  }
  // Not even the weakest level: say what it lacks.
  return chooseLevel(model, model.descriptor->levels[0].name);
}

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

PQuantStatus pquant::openModel(const PQuantModelDescriptor *descriptor,
                               EnterFn enter, PQuantModel **result) {
  *result = nullptr;
  if (!descriptor)
    return setError(PQUANT_INVALID_ARGUMENT, "the model descriptor is null");
  if (descriptor->abiVersion != PQUANT_ABI_VERSION)
    return setError(PQUANT_UNSUPPORTED,
                    "expected a model of ABI version %d, but got version %u; "
                    "compile the model again or use the runtime it came with",
                    PQUANT_ABI_VERSION, descriptor->abiVersion);
  if (!descriptor->numLevels)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "the model has no instruction-set level");
  PQuantModel *model =
      static_cast<PQuantModel *>(calloc(1, sizeof(PQuantModel)));
  Pool *pool = Pool::create();
  if (!model || !pool) {
    if (pool)
      pool->release();
    free(model);
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not open the model");
  }
  model->descriptor = descriptor;
  model->pool = pool;
  model->enter = enter;
  model->weights = descriptor->weights;
  model->threads = defaultThreads();
  PQuantStatus status = chooseDefaultLevel(*model);
  if (status != PQUANT_OK) {
    pquant_close(model);
    return status;
  }
  *result = model;
  return PQUANT_OK;
}

PQuantStatus pquant_open(const PQuantModelDescriptor *descriptor,
                         PQuantModel **model) {
  return openModel(descriptor, pquant_rt_enter, model);
}

void pquant_close(PQuantModel *model) {
  if (!model)
    return;
  void *library = model->library;
  void (*unload)(void *) = model->unload;
  if (model->device)
    model->device->close();
  model->pool->release();
  unmapWeights(*model);
  free(model);
  if (unload)
    unload(library);
}

//===----------------------------------------------------------------------===//
// GPUs
//===----------------------------------------------------------------------===//

PQuantStatus pquant_set_device(PQuantModel *model, const char *name) {
  bool isCpu = !strcmp(name, "cpu");
  char *end = nullptr;
  long number = 0;
  if (!strncmp(name, "cuda:", 5)) {
    number = strtol(name + 5, &end, 10);
    if (end == name + 5 || *end || number < 0 || number > 1023)
      end = nullptr;
  }
  if (!isCpu && !end && strcmp(name, "cuda"))
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected a device cpu, cuda or cuda:<number>, but got "
                    "'%s'",
                    name);
  if (isCpu != !model->descriptor->gpu)
    return setError(PQUANT_UNSUPPORTED,
                    "the model was compiled for %s, not for a %s",
                    isCpu ? "a GPU" : "CPUs", isCpu ? "CPU" : "GPU");
  if (model->device && number != model->deviceNumber)
    return setError(PQUANT_UNSUPPORTED, "the model already runs on GPU %d",
                    model->deviceNumber);
  model->deviceNumber = int32_t(number);
  return PQUANT_OK;
}

PQuantStatus pquant::enterDevice(PQuantModel &model) {
  if (!model.descriptor->gpu)
    return PQUANT_OK;
  if (model.device)
    return model.device->enter();
  PQuantStatus status = pquant_load_weights(&model, nullptr);
  if (status != PQUANT_OK)
    return status;
  model.device =
      Device::open(*model.descriptor, model.weights, model.deviceNumber);
  return model.device ? PQUANT_OK : PQUANT_UNSUPPORTED;
}

//===----------------------------------------------------------------------===//
// Look
//===----------------------------------------------------------------------===//

const PQuantModelDescriptor *pquant_get_descriptor(const PQuantModel *model) {
  return model->descriptor;
}

int32_t pquant_num_entries(const PQuantModel *model) {
  return int32_t(model->descriptor->numEntries);
}

const PQuantEntry *pquant_get_entry(const PQuantModel *model, int32_t index) {
  if (index < 0 || index >= pquant_num_entries(model))
    return nullptr;
  return &model->descriptor->entries[index];
}

PQuantStatus pquant_find_entry(const PQuantModel *model, const char *name,
                               int32_t *index) {
  *index = -1;
  int32_t count = pquant_num_entries(model);
  if (!name && count == 1) {
    *index = 0;
    return PQUANT_OK;
  }
  const char *wanted = name ? name : "main";
  Text names;
  for (int32_t i = 0; i < count; ++i) {
    const char *candidate = model->descriptor->entries[i].name;
    names.append("%s%s", i ? ", " : "", candidate);
    if (strcmp(candidate, wanted))
      continue;
    *index = i;
    return PQUANT_OK;
  }
  return setError(PQUANT_NOT_FOUND, "no entry point '%s'; this model has: %s",
                  wanted, names.data);
}

int32_t pquant_num_linears(const PQuantModel *model) {
  return int32_t(model->descriptor->numLinears);
}

const PQuantLinearInfo *pquant_get_linear(const PQuantModel *model,
                                          int32_t index) {
  if (index < 0 || index >= pquant_num_linears(model))
    return nullptr;
  return &model->descriptor->linears[index];
}

int32_t pquant_num_levels(const PQuantModel *model) {
  return int32_t(model->descriptor->numLevels);
}

const PQuantLevel *pquant_get_level(const PQuantModel *model, int32_t index) {
  if (index < 0 || index >= pquant_num_levels(model))
    return nullptr;
  return &model->descriptor->levels[index];
}

int32_t pquant_level_supported(const PQuantModel *model, int32_t index) {
  const PQuantLevel *level = pquant_get_level(model, index);
  return level && !missingFeature(*level).text;
}

int32_t pquant_current_level(const PQuantModel *model) { return model->level; }

PQuantStatus pquant_set_level(PQuantModel *model, const char *name) {
  return chooseLevel(*model, name);
}

uint64_t pquant_arena_bytes(const PQuantModel *model) {
  return model->device ? model->device->peakBytes() : model->pool->peakBytes();
}

int32_t pquant_get_threads(const PQuantModel *model) { return model->threads; }

PQuantStatus pquant_set_threads(PQuantModel *model, int32_t threads) {
  constexpr int32_t maxThreads = 4096;
  if (threads < 1 || threads > maxThreads)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "expected 1 to %d threads, but got %d", maxThreads,
                    threads);
  model->threads = threads;
  return PQUANT_OK;
}
