//===- Cuda.cpp - The CUDA driver, found at run time ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Cuda.h"

#include <cstdio>
#include <dlfcn.h>
#include <pthread.h>

using namespace pquant;

namespace {
struct Loaded {
  Cuda cuda;
  const char *missing; ///< a symbol that the library lacks
  bool found;
  char reason[256];
  CudaResult result; ///< of cuInit
};

/// A symbol and where its address goes.
struct Symbol {
  const char *name;
  size_t offset;
  bool isOptional = false;
};
} // namespace

static constexpr Symbol kSymbols[] = {
    {"cuInit", offsetof(Cuda, init)},
    {"cuGetErrorString", offsetof(Cuda, errorText)},
    {"cuDeviceGetCount", offsetof(Cuda, deviceCount)},
    {"cuDeviceGet", offsetof(Cuda, deviceGet)},
    {"cuDeviceGetName", offsetof(Cuda, deviceName)},
    {"cuDeviceGetAttribute", offsetof(Cuda, deviceAttribute)},
    {"cuDevicePrimaryCtxRetain", offsetof(Cuda, contextRetain)},
    {"cuDevicePrimaryCtxRelease_v2", offsetof(Cuda, contextRelease)},
    {"cuCtxSetCurrent", offsetof(Cuda, contextSet)},
    {"cuModuleLoadDataEx", offsetof(Cuda, moduleLoad)},
    {"cuModuleUnload", offsetof(Cuda, moduleUnload)},
    {"cuModuleGetFunction", offsetof(Cuda, moduleFunction)},
    {"cuMemGetInfo_v2", offsetof(Cuda, memoryInfo)},
    {"cuMemAlloc_v2", offsetof(Cuda, allocate)},
    {"cuMemFree_v2", offsetof(Cuda, release)},
    {"cuMemcpyAsync", offsetof(Cuda, copy)},
    {"cuStreamCreate", offsetof(Cuda, streamCreate)},
    {"cuStreamDestroy_v2", offsetof(Cuda, streamDestroy)},
    {"cuStreamSynchronize", offsetof(Cuda, streamSynchronize)},
    {"cuEventCreate", offsetof(Cuda, eventCreate)},
    {"cuEventRecord", offsetof(Cuda, eventRecord)},
    {"cuEventElapsedTime", offsetof(Cuda, eventElapsed)},
    {"cuEventDestroy_v2", offsetof(Cuda, eventDestroy)},
    {"cuLaunchKernel", offsetof(Cuda, launch)},
    {"cuGraphCreate", offsetof(Cuda, graphCreate)},
    {"cuGraphDestroy", offsetof(Cuda, graphDestroy)},
    {"cuGraphAddKernelNode_v2", offsetof(Cuda, graphAddKernel)},
    {"cuGraphAddDependencies_v2", offsetof(Cuda, graphAddEdges), true},
    {"cuGraphInstantiateWithFlags", offsetof(Cuda, graphInstantiate)},
    {"cuGraphExecKernelNodeSetParams_v2", offsetof(Cuda, graphSetKernel)},
    {"cuGraphLaunch", offsetof(Cuda, graphLaunch)},
    {"cuGraphExecDestroy", offsetof(Cuda, graphExecDestroy)},
};

static Loaded loaded;
static pthread_once_t loadedOnce = PTHREAD_ONCE_INIT;

static void load() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(loaded.reason, sizeof loaded.reason, "%s", dlerror());
    return;
  }
  for (const Symbol &symbol : kSymbols) {
    void *address = dlsym(library, symbol.name);
    if (!address && !symbol.isOptional && !loaded.missing)
      loaded.missing = symbol.name;
    *reinterpret_cast<void **>(reinterpret_cast<char *>(&loaded.cuda) +
                               symbol.offset) = address;
  }
  loaded.found = true;
  if (!loaded.missing)
    loaded.result = loaded.cuda.init(0);
}

const Cuda *pquant::loadCuda() {
  pthread_once(&loadedOnce, load);
  if (!loaded.found) {
    setError(PQUANT_UNSUPPORTED,
             "this model needs a CUDA GPU, but the driver is not there: %s",
             loaded.reason);
    return nullptr;
  }
  if (loaded.missing) {
    setError(PQUANT_UNSUPPORTED,
             "the CUDA driver is too old: it has no '%s' (12.0 or later is "
             "needed)",
             loaded.missing);
    return nullptr;
  }
  if (loaded.result) {
    setCudaError(loaded.cuda, loaded.result,
                 "this model needs a CUDA GPU, but the driver does not start");
    return nullptr;
  }
  return &loaded.cuda;
}

PQuantStatus pquant::setCudaError(const Cuda &cuda, CudaResult result,
                                  const char *what) {
  const char *text = nullptr;
  if (cuda.errorText(result, &text) || !text)
    text = "unknown error";
  return setError(result == kCudaOutOfMemory ? PQUANT_OUT_OF_MEMORY
                                             : PQUANT_RUN_FAILED,
                  "%s: %s (CUDA error %d)", what, text, result);
}
