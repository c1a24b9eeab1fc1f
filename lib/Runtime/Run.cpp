//===- Run.cpp - One run of generated code --------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The callbacks of generated code, and their way out: a failure jumps to the
// setjmp of its own thread's Task, never across the border of a parallel
// region; once the region has joined, the thread that opened it jumps on.
// No frame that a jump leaves holds a lock or an object with a destructor.
//
//===----------------------------------------------------------------------===//

#include "Run.h"
#include "Device.h"
#include "OpenMP.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

using namespace pquant;

static thread_local RunHooks *currentHooks;

RunHooks *pquant_rt_enter(RunHooks *hooks) {
  RunHooks *earlier = currentHooks;
  currentHooks = hooks;
  return earlier;
}

//===----------------------------------------------------------------------===//
// The driver's side
//===----------------------------------------------------------------------===//

/// Notes a failure; the first one of a run wins.
static void recordFailure(Run &run, PQuantStatus status, const char *message) {
  int expected = 0;
  if (!__atomic_compare_exchange_n(&run.failed, &expected, 1, false,
                                   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return;
  run.status = status;
  snprintf(run.message, sizeof run.message, "%s", message);
  __atomic_store_n(&run.failed, 2, __ATOMIC_RELEASE);
}

static void *taskAllocate(RunHooks *self, uint64_t bytes) {
  Task &task = *static_cast<Task *>(self);
  if (Block *block = task.run.pool->allocate(bytes, task.run.live))
    return block->data();
  char message[80];
  snprintf(message, sizeof message,
           "out of memory: could not allocate %" PRIu64 " bytes", bytes);
  recordFailure(task.run, PQUANT_OUT_OF_MEMORY, message);
  longjmp(task.jump, 1);
}

static void taskFree(RunHooks *, void *pointer) {
  Block *block = Block::of(pointer);
  if (block->pool)
    block->pool->recycle(block);
  else
    free(block);
}

static void taskFail(RunHooks *self, const char *message) {
  Task &task = *static_cast<Task *>(self);
  recordFailure(task.run, PQUANT_RUN_FAILED, message);
  longjmp(task.jump, 1);
}

/// Ends the run with the error that the device has set.
[[noreturn]] static void failWithLastError(Task &task, PQuantStatus status) {
  recordFailure(task.run, status, pquant_last_error());
  longjmp(task.jump, 1);
}

static void taskProbe(RunHooks *self, const PQuantProbe *probe, int64_t rows,
                      int32_t end) {
  Task &task = *static_cast<Task *>(self);
  ProbeSink *sink = task.run.sink;
  if (!task.run.device)
    return sink->mark(sink, probe, rows, end);
  PQuantStatus status = task.run.device->mark(sink, probe, rows, end);
  if (status != PQUANT_OK)
    failWithLastError(task, status);
}

static void *taskGpuAllocate(RunHooks *self, uint64_t bytes) {
  Task &task = *static_cast<Task *>(self);
  void *memory = task.run.device->allocate(bytes);
  if (!memory)
    failWithLastError(task, PQUANT_OUT_OF_MEMORY);
  return memory;
}

static void taskGpuFree(RunHooks *self, void *pointer) {
  static_cast<Task *>(self)->run.device->free(pointer);
}

static void taskGpuCopy(RunHooks *self, void *to, const void *from,
                        uint64_t bytes) {
  Task &task = *static_cast<Task *>(self);
  PQuantStatus status = task.run.device->copy(to, from, bytes);
  if (status != PQUANT_OK)
    failWithLastError(task, status);
}

static void taskGpuLaunch(RunHooks *self, const Launch *launch,
                          const int64_t *words) {
  Task &task = *static_cast<Task *>(self);
  PQuantStatus status = task.run.device->launch(*launch, words, task.run.sink);
  if (status != PQUANT_OK)
    failWithLastError(task, status);
}

namespace {
/// One parallel loop, shared by its team.
struct Loop {
  Run &run;
  PQuantParallelBody body;
  void *args;
  int64_t count, grain;
};
} // namespace

/// Chunk number t * chunks / team, without overflow.
static int64_t firstChunk(int64_t chunks, int thread, int team) {
  return chunks / team * thread + chunks % team * thread / team;
}

/// One thread's share of a loop.
static void runShare(void *context, int thread, int team) {
  Loop &loop = *static_cast<Loop *>(context);
  int64_t chunks = (loop.count - 1) / loop.grain + 1;
  int64_t begin = firstChunk(chunks, thread, team) * loop.grain;
  int64_t last = firstChunk(chunks, thread + 1, team);
  int64_t end = last == chunks ? loop.count : last * loop.grain;
  if (begin >= end)
    return;
  Task task(loop.run, /*parallel=*/true);
  RunHooks *earlier = loop.run.enter(&task);
  if (!setjmp(task.jump))
    loop.body(loop.args, begin, end);
  loop.run.enter(earlier);
}

static void taskParallelFor(RunHooks *self, PQuantParallelBody body, void *args,
                            int64_t count, int64_t grain) {
  Task &task = *static_cast<Task *>(self);
  if (count <= 0)
    return;
  if (grain < 1)
    grain = 1;
  if (count <= grain || task.parallel || task.run.threads == 1) {
    body(args, 0, count);
    return;
  }
  Loop loop{task.run, body, args, count, grain};
  // Always the whole team, even for few chunks: libgomp ends and restarts
  // threads when the size of the team changes.
  forkJoin(runShare, &loop, task.run.threads);
  if (__atomic_load_n(&task.run.failed, __ATOMIC_ACQUIRE))
    longjmp(task.jump, 1);
}

Task::Task(Run &run, bool parallel)
    : RunHooks{taskAllocate,
               taskFree,
               taskParallelFor,
               taskFail,
               run.sink && !parallel ? taskProbe : nullptr,
               taskGpuAllocate,
               taskGpuFree,
               taskGpuCopy,
               taskGpuLaunch},
      run(run), parallel(parallel) {}

PQuantStatus pquant::execute(Run &run, void (*body)(void *), void *context) {
  Task task(run, /*parallel=*/false);
  RunHooks *earlier = run.enter(&task);
  if (!setjmp(task.jump))
    body(context);
  run.enter(earlier);
  if (!run.failed)
    return PQUANT_OK;
  return setError(run.status, "%s", run.message);
}

//===----------------------------------------------------------------------===//
// The generated code's side
//===----------------------------------------------------------------------===//

void *_mlir_memref_to_llvm_alloc(uint64_t bytes) {
  if (currentHooks)
    return currentHooks->allocate(currentHooks, bytes);
  Block *block = allocateUnpooled(bytes);
  return block ? block->data() : nullptr;
}

void _mlir_memref_to_llvm_free(void *pointer) {
  if (!pointer)
    return;
  if (currentHooks)
    return currentHooks->free(currentHooks, pointer);
  free(Block::of(pointer));
}

void pquant_rt_parallel_for(PQuantParallelBody body, void *args, int64_t count,
                            int64_t grain) {
  if (currentHooks)
    return currentHooks->parallelFor(currentHooks, body, args, count, grain);
  if (count > 0)
    body(args, 0, count);
}

void pquant_rt_probe(const PQuantProbe *probe, int64_t rows, int32_t end) {
  if (currentHooks && currentHooks->probe)
    currentHooks->probe(currentHooks, probe, rows, end);
}

void _mlir_ciface_pquant_rt_gpu_alloc(PQuantMemRef *result, int64_t bytes) {
  void *memory = currentHooks->gpuAllocate(currentHooks, uint64_t(bytes));
  result->allocated = result->aligned = memory;
  result->offset = 0;
  result->extents[0] = bytes;
  result->extents[1] = 1;
}

void pquant_rt_gpu_free(void *pointer) {
  currentHooks->gpuFree(currentHooks, pointer);
}

void pquant_rt_gpu_copy(void *to, const void *from, int64_t bytes) {
  currentHooks->gpuCopy(currentHooks, to, from, uint64_t(bytes));
}

void pquant_rt_gpu_launch(int64_t kernel, int64_t gridX, int64_t gridY,
                          int64_t threads, int64_t sharedBytes,
                          const int64_t *words, int64_t count) {
  Launch launch = {kernel, gridX, gridY, threads, sharedBytes, count};
  currentHooks->gpuLaunch(currentHooks, &launch, words);
}

void pquant_rt_fail(const char *message) {
  if (currentHooks)
    currentHooks->fail(currentHooks, message);
  // Generated code called outside pquant_run: there is nobody to tell.
  fprintf(stderr, "pquant: %s\n", message);
  abort();
}
