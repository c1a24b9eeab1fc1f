//===- Run.h - One run of generated code ------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Generated code calls back for memory, threads and failed checks without
// saying which run it belongs to. Each thread that executes generated code
// therefore has a current `Task`, reached through `RunHooks`.
//
// Hooks are a table of functions because a process may hold several copies of
// the runtime: one in pquant-run and one in each shared library that it loads.
// Generated code calls the copy it was linked with; the copy that drives the
// run puts its own hooks there by pquant_rt_enter, so that all memory and all
// threads of a run are the driver's. RunHooks is part of the ABI.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_RUN_H
#define PQUANT_RUNTIME_RUN_H

#include "Error.h"
#include "LaunchGraph.h"
#include "Memory.h"

#include <csetjmp>

extern "C" {
/// Where the callbacks of generated code go on one thread.
struct RunHooks {
  void *(*allocate)(RunHooks *self, uint64_t bytes);
  void (*free)(RunHooks *self, void *pointer);
  void (*parallelFor)(RunHooks *self, PQuantParallelBody body, void *args,
                      int64_t count, int64_t grain);
  void (*fail)(RunHooks *self, const char *message);
  /// Null while no profile is being taken.
  void (*probe)(RunHooks *self, const PQuantProbe *probe, int64_t rows,
                int32_t end);
  /// Of models with a GPU.
  void *(*gpuAllocate)(RunHooks *self, uint64_t bytes);
  void (*gpuFree)(RunHooks *self, void *pointer);
  void (*gpuCopy)(RunHooks *self, void *to, const void *from, uint64_t bytes);
  void (*gpuLaunch)(RunHooks *self, const pquant::Launch *launch,
                    const int64_t *words);
};

/// Makes `hooks` (or null) current on this thread; returns the earlier ones.
PQUANT_API RunHooks *pquant_rt_enter(RunHooks *hooks);
}

namespace pquant {

using EnterFn = RunHooks *(*)(RunHooks *);

/// Who listens to the probes of generated code. Called on the thread that runs
/// the entry point only: what happens inside a parallel region is the region's.
struct ProbeSink {
  void (*mark)(ProbeSink *self, const PQuantProbe *probe, int64_t rows,
               bool end);
  /// A GPU's piece of work, by the clock of `nanoseconds`; its probes are not
  /// marked.
  void (*add)(ProbeSink *self, const PQuantProbe *probe, int64_t rows,
              int64_t begin, int64_t end);
  /// Null: all work of a GPU runs and is timed piece by piece. Else only the
  /// pieces of this kind run, so that results mean nothing, as they do when
  /// nobody listens; `add` is told of all together, with a null probe.
  const char *only = nullptr;
};

class Device;

/// What all threads of one run share.
struct Run {
  Run(Pool *pool, EnterFn enter, int threads, ProbeSink *sink, Device *device)
      : pool(pool), enter(enter), threads(threads), sink(sink), device(device) {
  }

  Pool *pool;
  EnterFn enter; ///< pquant_rt_enter of the generated code's runtime copy
  int threads;
  ProbeSink *sink; ///< null: no profile
  Device *device;  ///< null: none
  LiveList live;

  /// The first failure: 0, then 1 while its text is being written, then 2.
  int failed = 0;
  PQuantStatus status = PQUANT_OK;
  char message[kMaxErrorText];
};

/// One thread's part of a run.
struct Task : RunHooks {
  Task(Run &run, bool parallel);

  Run &run;
  bool parallel; ///< inside a parallel region: nested ones are serial
  jmp_buf jump;  ///< where a failure on this thread goes
};

/// Calls `body(context)` as generated code of `run`. When it fails, the error
/// is set and its status returned. Memory it leaves stays on run.live.
PQuantStatus execute(Run &run, void (*body)(void *context), void *context);

} // namespace pquant

#endif // PQUANT_RUNTIME_RUN_H
