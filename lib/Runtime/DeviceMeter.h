//===- DeviceMeter.h - How fast a GPU is ------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Times pieces of work between two events each, and what the memory gives to a
// kernel that only reads. Both need kernels of our own, which are loaded when
// the first measurement asks for them.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_DEVICEMETER_H
#define PQUANT_RUNTIME_DEVICEMETER_H

#include "Cuda.h"
#include "Run.h"

namespace pquant {

class DeviceMeter {
public:
  /// Bytes that a block of the reading kernel reads: memory for the roof is a
  /// multiple of them.
  static constexpr uint64_t kBlockBytes = 256 * 8 * 16;

  /// `probe` begins or ends at this place of the stream. `sink` is told once it
  /// has ended (collect).
  CudaResult mark(const Cuda &cuda, CudaHandle stream, ProbeSink *sink,
                  const PQuantProbe *probe, int64_t rows, bool end);
  bool isEmpty() const { return !isQueued; }
  /// Waits for the stream and tells the sink of what has ended.
  CudaResult collect(const Cuda &cuda, CudaHandle stream);

  /// Reads the memory several times; `rate` is that of the best, in bytes a
  /// second.
  CudaResult read(const Cuda &cuda, CudaHandle stream, CudaPointer memory,
                  uint64_t bytes, double &rate);
  void release(const Cuda &cuda);

private:
  /// Pieces that are queued at most: the driver's queue takes some more.
  static constexpr int kMost = 128;
  /// A piece of work between two events.
  struct Piece {
    const PQuantProbe *probe;
    int64_t rows;
    CudaHandle begin, end;
  };

  CudaResult start(const Cuda &cuda);
  CudaResult open(const Cuda &cuda, CudaHandle stream);

  CudaHandle module, readKernel, waitKernel;
  CudaHandle origin; ///< the event at `originTime` of the host's clock
  int64_t originTime;
  ProbeSink *sink;
  Piece pieces[kMost];
  int count;     ///< of pieces that have ended
  bool isQueued; ///< since `origin`
};

} // namespace pquant

#endif // PQUANT_RUNTIME_DEVICEMETER_H
