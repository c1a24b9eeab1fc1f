//===- LaunchGraph.cpp - Lists of launches, as graphs ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LaunchGraph.h"

#include <cstdlib>
#include <cstring>

using namespace pquant;

//===----------------------------------------------------------------------===//
// Lists
//===----------------------------------------------------------------------===//

/// Makes room for `count` elements of `size` bytes.
static bool reserve(void **memory, size_t &room, size_t count, size_t size) {
  if (count <= room)
    return true;
  size_t larger = room ? room : 64;
  while (larger < count)
    larger *= 2;
  void *moved = realloc(*memory, larger * size);
  if (!moved)
    return false;
  *memory = moved;
  room = larger;
  return true;
}

bool LaunchList::append(const Launch &launch, const int64_t *arguments) {
  size_t more = size_t(launch.numWords);
  if (!reserve(reinterpret_cast<void **>(&launches), room, count + 1,
               sizeof(Launch)) ||
      !reserve(reinterpret_cast<void **>(&words), roomForWords, numWords + more,
               sizeof(int64_t)))
    return false;
  launches[count++] = launch;
  memcpy(words + numWords, arguments, more * sizeof(int64_t));
  numWords += more;
  return true;
}

void LaunchList::release() {
  free(launches);
  free(words);
}

bool LaunchList::hasKernelsOf(const LaunchList &other) const {
  if (count != other.count || numWords != other.numWords)
    return false;
  for (size_t i = 0; i < count; ++i)
    if (launches[i].kernel != other.launches[i].kernel)
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

namespace {
/// A launch as the driver takes it. It points into itself.
struct Node {
  CudaKernelNode parameters;
  size_t bytes;
  void *extra[5];

  Node(const Launch &launch, const int64_t *words, CudaHandle function)
      : parameters{}, bytes(size_t(launch.numWords) * sizeof(int64_t)),
        extra{reinterpret_cast<void *>(1), // the arguments' memory
              const_cast<int64_t *>(words), reinterpret_cast<void *>(2),
              &bytes, // and their size
              nullptr} {
    parameters.function = function;
    parameters.gridX = unsigned(launch.gridX);
    parameters.gridY = unsigned(launch.gridY);
    parameters.gridZ = 1;
    parameters.blockX = unsigned(launch.threads);
    parameters.blockY = parameters.blockZ = 1;
    parameters.sharedBytes = unsigned(launch.sharedBytes);
    parameters.extra = extra;
  }
  Node(const Node &) = delete;
};
} // namespace

CudaResult pquant::launchKernel(const Cuda &cuda, CudaHandle stream,
                                CudaHandle function, const Launch &launch,
                                const int64_t *words) {
  Node node(launch, words, function);
  const CudaKernelNode &p = node.parameters;
  return cuda.launch(p.function, p.gridX, p.gridY, p.gridZ, p.blockX, p.blockY,
                     p.blockZ, p.sharedBytes, stream, nullptr, p.extra);
}

CudaResult LaunchGraphs::launchEach(const Cuda &cuda, CudaHandle stream,
                                    CudaHandle *functions) {
  const int64_t *words = pending.words;
  for (size_t i = 0; i < pending.count; ++i) {
    const Launch &launch = pending.launches[i];
    if (CudaResult result =
            launchKernel(cuda, stream, functions[launch.kernel], launch, words))
      return result;
    words += launch.numWords;
  }
  return 0;
}

void LaunchGraphs::releaseEntry(const Cuda &cuda, Entry &entry) {
  if (entry.exec)
    cuda.graphExecDestroy(entry.exec);
  if (entry.graph)
    cuda.graphDestroy(entry.graph);
  entry.list.release();
  free(entry.nodes);
  entry = Entry{};
}

/// The entry of the pending kernels; else the oldest, emptied.
LaunchGraphs::Entry &LaunchGraphs::findEntry(const Cuda &cuda, bool &known) {
  Entry *oldest = &entries[0];
  for (Entry &entry : entries) {
    if (entry.usedAt && entry.list.hasKernelsOf(pending)) {
      known = true;
      entry.usedAt = ++flushes;
      return entry;
    }
    if (entry.usedAt < oldest->usedAt)
      oldest = &entry;
  }
  known = false;
  releaseEntry(cuda, *oldest);
  oldest->usedAt = ++flushes;
  return *oldest;
}

/// One kernel after the other.
CudaResult LaunchGraphs::build(const Cuda &cuda, Entry &entry,
                               CudaHandle *functions) {
  LaunchList &list = entry.list;
  entry.nodes =
      static_cast<CudaHandle *>(calloc(list.count, sizeof(CudaHandle)));
  if (!entry.nodes)
    return kCudaOutOfMemory;
  CudaResult result = cuda.graphCreate(&entry.graph, 0);
  int64_t *words = list.words;
  for (size_t i = 0; i < list.count && !result; ++i) {
    Node node(list.launches[i], words, functions[list.launches[i].kernel]);
    CudaHandle *before = i ? &entry.nodes[i - 1] : nullptr;
    bool waits = before && !overlap;
    result =
        cuda.graphAddKernel(&entry.nodes[i], entry.graph,
                            waits ? before : nullptr, waits, &node.parameters);
    if (!result && before && overlap)
      result = cuda.graphAddEdges(entry.graph, before, &entry.nodes[i],
                                  &kCudaProgrammaticEdge, 1);
    words += list.launches[i].numWords;
  }
  return result ? result
                : cuda.graphInstantiate(&entry.exec, entry.graph, /*flags=*/0);
}

/// Gives the kernels whose launch differs from the graph's the pending one.
CudaResult LaunchGraphs::update(const Cuda &cuda, Entry &entry,
                                CudaHandle *functions) {
  int64_t *before = entry.list.words, *now = pending.words;
  for (size_t i = 0; i < pending.count; ++i) {
    const Launch &launch = pending.launches[i];
    size_t bytes = size_t(launch.numWords) * sizeof(int64_t);
    if (memcmp(&launch, &entry.list.launches[i], sizeof launch) ||
        memcmp(before, now, bytes)) {
      Node node(launch, now, functions[launch.kernel]);
      if (CudaResult result =
              cuda.graphSetKernel(entry.exec, entry.nodes[i], &node.parameters))
        return result;
      entry.list.launches[i] = launch;
      memcpy(before, now, bytes);
    }
    before += launch.numWords;
    now += launch.numWords;
  }
  return 0;
}

CudaResult LaunchGraphs::flush(const Cuda &cuda, CudaHandle stream,
                               CudaHandle *functions) {
  bool known;
  overlap = overlap && cuda.graphAddEdges;
  Entry &entry = findEntry(cuda, known);
  CudaResult result = 0;
  if (!known) {
    result = launchEach(cuda, stream, functions);
    entry.list = pending; // the list changes hands
    pending = LaunchList{};
    return result;
  }
  if (!entry.exec)
    result = build(cuda, entry, functions);
  if (!result)
    result = update(cuda, entry, functions);
  if (!result)
    result = cuda.graphLaunch(entry.exec, stream);
  if (result && overlap) {
    // A driver or a GPU that does not take such edges.
    overlap = false;
    for (Entry &other : entries)
      releaseEntry(cuda, other);
    result = launchEach(cuda, stream, functions);
  } else if (result) {
    releaseEntry(cuda, entry);
  }
  pending.clear();
  return result;
}

void LaunchGraphs::release(const Cuda &cuda) {
  for (Entry &entry : entries)
    releaseEntry(cuda, entry);
  pending.release();
}
