//===- DeviceMeter.cpp - How fast a GPU is --------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel of a few microseconds is shorter than its launch: the GPU would wait
// for the host between two events. Hence a kernel that does nothing but wait
// comes first, while the host queues what is measured.
//
//===----------------------------------------------------------------------===//

#include "DeviceMeter.h"
#include "Clock.h"
#include "LaunchGraph.h"

using namespace pquant;

/// About a millisecond: longer than the host needs to queue kMost pieces.
static constexpr int64_t kWaitCycles = 1800000;
static constexpr int kReadings = 5;
static constexpr int64_t kReadThreads = 256;

/// pquant_read: each thread reads eight times 16 bytes, 4096 apart; the store
/// keeps the loads alive and cannot be foreseen not to happen.
/// pquant_wait: returns after that many cycles.
static const char kCode[] = R"(
.version 6.0
.target sm_61
.address_size 64

.visible .entry pquant_read(.param .u64 pquant_read_param_0)
{
  .reg .pred %p<2>;
  .reg .b32 %r<36>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [pquant_read_param_0];
  mov.u32 %r33, %ctaid.x;
  mul.wide.u32 %rd2, %r33, 32768;
  add.s64 %rd1, %rd1, %rd2;
  mov.u32 %r34, %tid.x;
  mul.wide.u32 %rd3, %r34, 16;
  add.s64 %rd1, %rd1, %rd3;
  ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1+0];
  ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1+4096];
  ld.global.v4.u32 {%r9, %r10, %r11, %r12}, [%rd1+8192];
  ld.global.v4.u32 {%r13, %r14, %r15, %r16}, [%rd1+12288];
  ld.global.v4.u32 {%r17, %r18, %r19, %r20}, [%rd1+16384];
  ld.global.v4.u32 {%r21, %r22, %r23, %r24}, [%rd1+20480];
  ld.global.v4.u32 {%r25, %r26, %r27, %r28}, [%rd1+24576];
  ld.global.v4.u32 {%r29, %r30, %r31, %r32}, [%rd1+28672];
  or.b32 %r1, %r1, %r17;
  or.b32 %r2, %r2, %r18;
  or.b32 %r3, %r3, %r19;
  or.b32 %r4, %r4, %r20;
  or.b32 %r5, %r5, %r21;
  or.b32 %r6, %r6, %r22;
  or.b32 %r7, %r7, %r23;
  or.b32 %r8, %r8, %r24;
  or.b32 %r9, %r9, %r25;
  or.b32 %r10, %r10, %r26;
  or.b32 %r11, %r11, %r27;
  or.b32 %r12, %r12, %r28;
  or.b32 %r13, %r13, %r29;
  or.b32 %r14, %r14, %r30;
  or.b32 %r15, %r15, %r31;
  or.b32 %r16, %r16, %r32;
  or.b32 %r1, %r1, %r9;
  or.b32 %r2, %r2, %r10;
  or.b32 %r3, %r3, %r11;
  or.b32 %r4, %r4, %r12;
  or.b32 %r5, %r5, %r13;
  or.b32 %r6, %r6, %r14;
  or.b32 %r7, %r7, %r15;
  or.b32 %r8, %r8, %r16;
  or.b32 %r1, %r1, %r5;
  or.b32 %r2, %r2, %r6;
  or.b32 %r3, %r3, %r7;
  or.b32 %r4, %r4, %r8;
  or.b32 %r1, %r1, %r3;
  or.b32 %r2, %r2, %r4;
  or.b32 %r1, %r1, %r2;
  setp.eq.u32 %p1, %r1, 1592594996;
  @%p1 st.global.u32 [%rd1], %r1;
  ret;
}

.visible .entry pquant_wait(.param .u64 pquant_wait_param_0)
{
  .reg .pred %p<2>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [pquant_wait_param_0];
  mov.u64 %rd2, %clock64;
$again:
  mov.u64 %rd3, %clock64;
  sub.s64 %rd3, %rd3, %rd2;
  setp.lt.s64 %p1, %rd3, %rd1;
  @%p1 bra $again;
  ret;
}
)";

CudaResult DeviceMeter::start(const Cuda &cuda) {
  if (waitKernel)
    return 0;
  CudaResult result = cuda.moduleLoad(&module, kCode, 0, nullptr, nullptr);
  if (!result)
    result = cuda.eventCreate(&origin, /*flags=*/0);
  for (Piece &piece : pieces) {
    if (!result)
      result = cuda.eventCreate(&piece.begin, /*flags=*/0);
    if (!result)
      result = cuda.eventCreate(&piece.end, /*flags=*/0);
  }
  if (!result)
    result = cuda.moduleFunction(&readKernel, module, "pquant_read");
  if (!result)
    result = cuda.moduleFunction(&waitKernel, module, "pquant_wait");
  if (result) // nothing is half started
    release(cuda);
  return result;
}

void DeviceMeter::release(const Cuda &cuda) {
  auto destroy = [&](CudaHandle event) {
    if (event)
      cuda.eventDestroy(event);
  };
  destroy(origin);
  for (Piece &piece : pieces) {
    destroy(piece.begin);
    destroy(piece.end);
  }
  if (module)
    cuda.moduleUnload(module);
  *this = DeviceMeter();
}

/// Begins a queue: from here on the GPU waits once, not at each launch.
CudaResult DeviceMeter::open(const Cuda &cuda, CudaHandle stream) {
  CudaResult result = start(cuda);
  if (result)
    return result;
  originTime = nanoseconds();
  result = cuda.eventRecord(origin, stream);
  if (result)
    return result;
  isQueued = true;
  return launchKernel(cuda, stream, waitKernel,
                      {0, 1, 1, 1, /*sharedBytes=*/0, /*numWords=*/1},
                      &kWaitCycles);
}

CudaResult DeviceMeter::mark(const Cuda &cuda, CudaHandle stream,
                             ProbeSink *listener, const PQuantProbe *probe,
                             int64_t rows, bool end) {
  CudaResult result = 0;
  sink = listener;
  if (!end && count == kMost)
    result = collect(cuda, stream);
  if (!result && !isQueued)
    result = open(cuda, stream);
  if (result)
    return result;
  Piece &piece = pieces[count];
  piece.probe = probe;
  piece.rows = rows;
  result = cuda.eventRecord(end ? piece.end : piece.begin, stream);
  count += end && !result;
  return result;
}

CudaResult DeviceMeter::collect(const Cuda &cuda, CudaHandle stream) {
  int ended = count;
  count = 0;
  isQueued = false;
  CudaResult result = cuda.streamSynchronize(stream);
  for (int i = 0; i < ended && !result; ++i) {
    const Piece &piece = pieces[i];
    float before = 0, during = 0; // milliseconds
    result = cuda.eventElapsed(&before, origin, piece.begin);
    if (!result)
      result = cuda.eventElapsed(&during, piece.begin, piece.end);
    if (result)
      break;
    int64_t begin = originTime + int64_t(double(before) * 1e6);
    sink->add(sink, piece.probe, piece.rows, begin,
              begin + int64_t(double(during) * 1e6));
  }
  return result;
}

CudaResult DeviceMeter::read(const Cuda &cuda, CudaHandle stream,
                             CudaPointer memory, uint64_t bytes, double &rate) {
  CudaResult result = start(cuda);
  auto argument = int64_t(memory);
  Launch launch = {0, int64_t(bytes / kBlockBytes), 1, kReadThreads, 0, 1};
  CudaHandle begin = pieces[0].begin, end = pieces[0].end;
  float least = 0;
  // The first time is a warm-up.
  for (int i = 0; i <= kReadings && !result; ++i) {
    float time = 0;
    result = cuda.eventRecord(begin, stream);
    if (!result)
      result = launchKernel(cuda, stream, readKernel, launch, &argument);
    if (!result)
      result = cuda.eventRecord(end, stream);
    if (!result)
      result = cuda.streamSynchronize(stream);
    if (!result)
      result = cuda.eventElapsed(&time, begin, end);
    if (i && (i == 1 || time < least))
      least = time;
  }
  rate = least > 0 ? double(bytes) / (double(least) * 1e-3) : 0;
  return result;
}
