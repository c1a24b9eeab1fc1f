//===- Cuda.h - The CUDA driver, found at run time --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functions of libcuda.so.1 that are used, by their documented types, so
// that nothing of CUDA is needed to build or to start.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_CUDA_H
#define PQUANT_RUNTIME_CUDA_H

#include "Error.h"

#include <cstddef>
#include <cstdint>

namespace pquant {

using CudaResult = int; ///< 0: success
constexpr CudaResult kCudaOutOfMemory = 2;
using CudaDevice = int;
using CudaPointer = uint64_t;
using CudaHandle = void *; ///< context, module, function, stream, graph, node

/// CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
constexpr int kCudaChipMajor = 75, kCudaChipMinor = 76;

/// CUDA_KERNEL_NODE_PARAMS_v2.
struct CudaKernelNode {
  CudaHandle function;
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  void **parameters;
  void **extra;
  CudaHandle kernel, context;
};

/// CUgraphEdgeData.
struct CudaEdge {
  unsigned char fromPort, toPort, type, reserved[5];
};
/// From a kernel whose blocks have all let the next one start
/// (CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, CU_GRAPH_DEPENDENCY_TYPE_...).
constexpr CudaEdge kCudaProgrammaticEdge = {1, 0, 1, {}};

/// The table of functions; `name` of each is the symbol's.
struct Cuda {
  CudaResult (*init)(unsigned flags);
  CudaResult (*errorText)(CudaResult, const char **);
  CudaResult (*deviceCount)(int *);
  CudaResult (*deviceGet)(CudaDevice *, int ordinal);
  CudaResult (*deviceName)(char *, int length, CudaDevice);
  CudaResult (*deviceAttribute)(int *, int attribute, CudaDevice);
  CudaResult (*contextRetain)(CudaHandle *, CudaDevice);
  CudaResult (*contextRelease)(CudaDevice);
  CudaResult (*contextSet)(CudaHandle);
  CudaResult (*moduleLoad)(CudaHandle *, const void *image, unsigned count,
                           int *options, void **values);
  CudaResult (*moduleUnload)(CudaHandle);
  CudaResult (*moduleFunction)(CudaHandle *, CudaHandle, const char *);
  CudaResult (*memoryInfo)(size_t *free, size_t *total);
  CudaResult (*allocate)(CudaPointer *, size_t);
  CudaResult (*release)(CudaPointer);
  CudaResult (*copy)(CudaPointer to, CudaPointer from, size_t, CudaHandle);
  CudaResult (*streamCreate)(CudaHandle *, unsigned flags);
  CudaResult (*streamDestroy)(CudaHandle);
  CudaResult (*streamSynchronize)(CudaHandle);
  CudaResult (*eventCreate)(CudaHandle *, unsigned flags);
  CudaResult (*eventRecord)(CudaHandle event, CudaHandle stream);
  CudaResult (*eventElapsed)(float *milliseconds, CudaHandle from,
                             CudaHandle to);
  CudaResult (*eventDestroy)(CudaHandle);
  CudaResult (*launch)(CudaHandle function, unsigned gridX, unsigned gridY,
                       unsigned gridZ, unsigned blockX, unsigned blockY,
                       unsigned blockZ, unsigned sharedBytes, CudaHandle stream,
                       void **parameters, void **extra);
  CudaResult (*graphCreate)(CudaHandle *, unsigned flags);
  CudaResult (*graphDestroy)(CudaHandle);
  CudaResult (*graphAddKernel)(CudaHandle *node, CudaHandle graph,
                               const CudaHandle *after, size_t count,
                               const CudaKernelNode *);
  /// Null before CUDA 12.3.
  CudaResult (*graphAddEdges)(CudaHandle graph, const CudaHandle *from,
                              const CudaHandle *to, const CudaEdge *,
                              size_t count);
  CudaResult (*graphInstantiate)(CudaHandle *exec, CudaHandle graph,
                                 unsigned long long flags);
  CudaResult (*graphSetKernel)(CudaHandle exec, CudaHandle node,
                               const CudaKernelNode *);
  CudaResult (*graphLaunch)(CudaHandle exec, CudaHandle stream);
  CudaResult (*graphExecDestroy)(CudaHandle exec);
};

/// The driver, loaded and initialised once; null, with the error set, when
/// there is none.
const Cuda *loadCuda();

/// Sets the error "<what>: <the driver's text>".
PQuantStatus setCudaError(const Cuda &cuda, CudaResult result,
                          const char *what);

} // namespace pquant

#endif // PQUANT_RUNTIME_CUDA_H
