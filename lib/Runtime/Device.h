//===- Device.h - A GPU that runs a model -----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Memory, copies and launches of one model on one GPU. All work is in the order
// of one stream, so that memory can be used again as soon as host code frees
// it.
//
// Launches wait until host code needs a result: a list of launches that comes
// again, as that of a decode step does, is then one graph, of which only the
// kernels with other arguments are changed.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_DEVICE_H
#define PQUANT_RUNTIME_DEVICE_H

#include "Cuda.h"
#include "DeviceMeter.h"
#include "LaunchGraph.h"

#include "pquant/Runtime/ModelDescriptor.h"

namespace pquant {

/// A reference to one of these does not bring Device.cpp, and dlopen with it,
/// into a static program; a model with a GPU does (PQuantGPU::driver).
#define PQUANT_GPU_PART __attribute__((weak))

/// A piece of GPU memory. `next` links free ones by address.
struct DeviceBlock {
  CudaPointer address;
  uint64_t capacity;
  DeviceBlock *next;
  bool used;
};

class Device {
public:
  /// Opens GPU `ordinal` for a model and uploads its weights; null, with the
  /// error set, when that fails.
  PQUANT_GPU_PART static Device *open(const PQuantModelDescriptor &descriptor,
                                      const void *weights, int ordinal);
  PQUANT_GPU_PART void close();

  /// Makes the GPU current on this thread.
  PQUANT_GPU_PART PQuantStatus enter();
  const void *weights() const { return reinterpret_cast<void *>(weightBase); }
  /// Memory of a run; null, with the error set, when there is none.
  PQUANT_GPU_PART void *allocate(uint64_t bytes);
  PQUANT_GPU_PART void free(void *pointer);
  /// Memory that outlives runs.
  PQUANT_GPU_PART PQuantStatus allocatePersistent(uint64_t bytes,
                                                  const char *purpose,
                                                  void **result);
  PQUANT_GPU_PART void freePersistent(void *pointer);

  PQUANT_GPU_PART PQuantStatus copy(void *to, const void *from, uint64_t bytes);
  /// With a listener at once, between its marks, or if it wants some; else with
  /// what comes after it.
  PQUANT_GPU_PART PQuantStatus launch(const Launch &launch,
                                      const int64_t *arguments,
                                      const ProbeSink *sink);
  /// `probe` begins or ends; `sink` is told what it took.
  PQUANT_GPU_PART PQuantStatus mark(ProbeSink *sink, const PQuantProbe *probe,
                                    int64_t rows, bool end);
  /// Waits for all work and takes back the memory that the run has left.
  PQUANT_GPU_PART PQuantStatus endRun();

  /// Memory to read for the roof: of many times the size of its caches, as far
  /// as there is.
  PQUANT_GPU_PART PQuantStatus openRoof();
  /// The bytes a second that reading it takes now.
  PQUANT_GPU_PART PQuantStatus readRoof(double &bytesPerSecond);
  PQUANT_GPU_PART void closeRoof();

  const char *getName() const { return name; }
  const char *getChip() const { return chip; }
  int getOrdinal() const { return ordinal; }
  /// The most memory that runs have had at one time.
  uint64_t peakBytes() const { return mostBytes; }
  void resetPeak() { mostBytes = usedBytes; }

private:
  static constexpr int kClasses = 4 * 64;

  PQuantStatus start(const PQuantModelDescriptor &descriptor,
                     const void *weights, int ordinal);
  PQuantStatus loadKernels(const PQuantGPU &code);
  DeviceBlock *find(CudaPointer address);
  DeviceBlock *create(uint64_t capacity);
  void trim();
  PQuantStatus flush();
  PQuantStatus fail(CudaResult result, const char *what) {
    return setCudaError(*cuda, result, what);
  }
  PQuantStatus failMemory(CudaResult result, uint64_t bytes,
                          const char *purpose);

  const Cuda *cuda;
  CudaDevice device;
  int ordinal;
  char name[96], chip[16]; ///< "NVIDIA H200", "sm_90"
  CudaHandle context, stream, module;
  CudaHandle *functions;
  CudaPointer weightBase;
  DeviceBlock **blocks; ///< by address
  size_t numBlocks, roomForBlocks;
  DeviceBlock *freeBlocks[kClasses];
  uint64_t usedBytes, mostBytes; ///< of blocks
  LaunchGraphs graphs;
  DeviceMeter meter;
  ProbeSink *chooser; ///< of this run, if it wants some work only
  bool isWanted;      ///< inside such work
  CudaPointer roof;   ///< or 0
  uint64_t roofBytes;
};

} // namespace pquant

#endif // PQUANT_RUNTIME_DEVICE_H
