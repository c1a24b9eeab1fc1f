//===- Info.cpp - What --info prints --------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One fact a line, "key: value", so that scripts can read it.
//
//===----------------------------------------------------------------------===//

#include "Info.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

using namespace pquant;

static void printSpec(const char *kind, const PQuantTensorSpec &spec) {
  printf("  %s %s: %s (", kind, spec.name, pquant_dtype_name(spec.dtype));
  for (int32_t d = 0; d < spec.rank; ++d) {
    printf("%s", d ? ", " : "");
    bool named = spec.sizeNames && spec.sizeNames[d] && *spec.sizeNames[d];
    if (spec.sizes[d] >= 0)
      printf("%" PRId64, spec.sizes[d]);
    else
      printf("%s", named ? spec.sizeNames[d] : "?");
  }
  printf("%s)\n", spec.rank == 1 ? "," : "");
}

static void printEntries(const PQuantModel *model) {
  for (int32_t i = 0; i < pquant_num_entries(model); ++i) {
    const PQuantEntry *entry = pquant_get_entry(model, i);
    printf("entry %s:\n", entry->name);
    for (int32_t k = 0; k < entry->numInputs; ++k)
      printSpec("input", entry->inputs[k]);
    for (int32_t k = 0; k < entry->numOutputs; ++k)
      printSpec("output", entry->outputs[k]);
    for (int32_t k = 0; k < entry->numStates; ++k)
      printSpec("state", entry->states[k]);
  }
}

static void printLevels(const PQuantModel *model) {
  printf("levels:");
  for (int32_t i = 0; i < pquant_num_levels(model); ++i)
    printf("%s %s%s", i ? "," : "", pquant_get_level(model, i)->name,
           pquant_level_supported(model, i) ? "" : " (not on this CPU)");
  printf("\nlevel: %s\n",
         pquant_get_level(model, pquant_current_level(model))->name);
}

static void printLinears(const PQuantModel *model) {
  double bits = 0, weights = 0;
  int32_t count = pquant_num_linears(model);
  for (int32_t i = 0; i < count; ++i) {
    const PQuantLinearInfo *linear = pquant_get_linear(model, i);
    double size = double(linear->rows) * double(linear->columns);
    bits += linear->bitsPerWeight * size;
    weights += size;
  }
  if (weights > 0)
    printf("bits per weight: %.3f (%d linears, %.0f weights)\n", bits / weights,
           count, weights);
  for (int32_t i = 0; i < count; ++i) {
    const PQuantLinearInfo *linear = pquant_get_linear(model, i);
    printf("linear %s: %" PRId64 " x %" PRId64 ", %.3f bits per weight\n",
           linear->name, linear->rows, linear->columns, linear->bitsPerWeight);
  }
}

/// Bytes of one position of a state.
static int64_t positionBytes(const PQuantTensorSpec &state) {
  int64_t bytes = pquant_dtype_size(state.dtype);
  for (int32_t d = 0; d < state.rank; ++d)
    if (state.sizes[d] >= 0 && strcmp(state.sizeNames[d], "capacity"))
      bytes *= state.sizes[d];
  return bytes;
}

/// What a session takes for each token; entry points share their states.
static void printCache(const PQuantModel *model) {
  for (int32_t i = 0; i < pquant_num_entries(model); ++i) {
    const PQuantEntry *entry = pquant_get_entry(model, i);
    if (!entry->numStates)
      continue;
    int64_t bytes = 0;
    for (int32_t k = 0; k < entry->numStates; ++k)
      bytes += positionBytes(entry->states[k]);
    printf("cache bytes per token: %" PRId64 "\n", bytes);
    return;
  }
}

uint64_t pquant::peakResidentBytes() {
  FILE *file = fopen("/proc/self/status", "r");
  unsigned long long kilobytes = 0;
  char line[256];
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1)
      break;
  if (file)
    fclose(file);
  return kilobytes * 1024;
}

void pquant::printMemory(const PQuantModel *model) {
  printf("memory: %" PRIu64 " bytes of weights, %" PRIu64
         " of activations at most, %" PRIu64 " resident at most\n",
         pquant_get_descriptor(model)->weightBytes, pquant_arena_bytes(model),
         peakResidentBytes());
}

void pquant::printInfo(const PQuantModel *model) {
  const PQuantModelDescriptor *descriptor = pquant_get_descriptor(model);
  printf("model: %s\n", descriptor->modelName);
  printf("producer: %s\n", descriptor->producer);
  printf("triple: %s\n", descriptor->triple);
  printLevels(model);
  if (descriptor->gpu)
    printf("GPU: %s, %u kernels%s\n", descriptor->gpu->chip,
           descriptor->gpu->numKernels,
           descriptor->gpu->image ? ", compiled" : "");
  printf("threads: %d\n", pquant_get_threads(model));
  printf("weight bytes: %" PRIu64 "\n", descriptor->weightBytes);
  if (descriptor->weightFile)
    printf("weight file: %s\n", descriptor->weightFile);
  if (descriptor->tokenizer)
    printf("tokenizer bytes: %" PRIu64 "\n", descriptor->tokenizerBytes);
  if (descriptor->chatTemplate)
    printf("chat template: yes\n");
  printCache(model);
  printEntries(model);
  printLinears(model);
}
