//===- LaunchGraph.h - Lists of launches, as graphs -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Collects launches. A list of kernels that comes a second time becomes a
// graph, and is launched at once from then on.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_LAUNCHGRAPH_H
#define PQUANT_RUNTIME_LAUNCHGRAPH_H

#include "Cuda.h"

namespace pquant {

/// One launch, with `numWords` words of arguments.
struct Launch {
  int64_t kernel, gridX, gridY, threads, sharedBytes, numWords;
};

/// Launches, their words behind each other.
struct LaunchList {
  Launch *launches;
  size_t count, room;
  int64_t *words;
  size_t numWords, roomForWords;

  /// False when out of memory.
  bool append(const Launch &launch, const int64_t *arguments);
  void clear() { count = numWords = 0; }
  void release();
  /// Whether the same kernels stand in the other list.
  bool hasKernelsOf(const LaunchList &other) const;
};

/// Launches one kernel on `stream`, with the words of its arguments.
CudaResult launchKernel(const Cuda &cuda, CudaHandle stream,
                        CudaHandle function, const Launch &launch,
                        const int64_t *words);

class LaunchGraphs {
public:
  bool append(const Launch &launch, const int64_t *arguments) {
    return pending.append(launch, arguments);
  }
  bool isEmpty() const { return !pending.count; }
  /// Kernels of graphs may start before those before them end: they wait.
  void allowOverlap() { overlap = true; }
  /// Launches all on `stream`. `functions` are the kernels by number.
  CudaResult flush(const Cuda &cuda, CudaHandle stream, CudaHandle *functions);
  void drop() { pending.clear(); }
  void release(const Cuda &cuda);

private:
  /// A list that came, and its graph once it has come again.
  struct Entry {
    LaunchList list;
    CudaHandle graph, exec;
    CudaHandle *nodes;
    uint64_t usedAt;
  };
  static constexpr int kEntries = 8;

  Entry &findEntry(const Cuda &cuda, bool &known);
  CudaResult build(const Cuda &cuda, Entry &entry, CudaHandle *functions);
  CudaResult update(const Cuda &cuda, Entry &entry, CudaHandle *functions);
  CudaResult launchEach(const Cuda &cuda, CudaHandle stream,
                        CudaHandle *functions);
  void releaseEntry(const Cuda &cuda, Entry &entry);

  LaunchList pending;
  Entry entries[kEntries];
  uint64_t flushes;
  bool overlap;
};

} // namespace pquant

#endif // PQUANT_RUNTIME_LAUNCHGRAPH_H
