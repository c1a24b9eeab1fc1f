//===- Model.h - An open model ----------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The struct behind the handle of the C API.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_MODEL_H
#define PQUANT_RUNTIME_MODEL_H

#include "Device.h"
#include "Run.h"

struct PQuantModel {
  const PQuantModelDescriptor *descriptor;
  pquant::Pool *pool;
  /// pquant_rt_enter of the copy of the runtime that the model was linked with.
  pquant::EnterFn enter;
  void *library;                 ///< what dlopen gave, or null
  void (*unload)(void *library); ///< dlclose, or null
  const void *weights;           ///< null until their file is mapped
  void *mapping;                 ///< of the weight file, or null
  uint64_t mappedBytes;
  int32_t level;
  int32_t threads;
  pquant::Device *device;  ///< of a model for GPUs, once one is open
  int32_t deviceNumber;    ///< the GPU to open
  pquant::ProbeSink *sink; ///< of runs that are profiled, else null
};

namespace pquant {

/// pquant_open, given where the model's callbacks are bound.
PQuantStatus openModel(const PQuantModelDescriptor *descriptor, EnterFn enter,
                       PQuantModel **model);

/// Opens the GPU of a model that needs one, and makes it this thread's.
PQuantStatus enterDevice(PQuantModel &model);

/// Takes the weight file out of memory.
void unmapWeights(PQuantModel &model);

} // namespace pquant

#endif // PQUANT_RUNTIME_MODEL_H
