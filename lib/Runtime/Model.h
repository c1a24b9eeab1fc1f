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

#include "Run.h"

struct PQuantModel {
  const PQuantModelDescriptor *descriptor;
  pquant::Pool *pool;
  /// pquant_rt_enter of the copy of the runtime that the model was linked with.
  pquant::EnterFn enter;
  void *library;                 ///< what dlopen gave, or null
  void (*unload)(void *library); ///< dlclose, or null
  const void *weights; ///< null until their file is mapped
  void *mapping;       ///< of the weight file, or null
  uint64_t mappedBytes;
  int32_t level;
  int32_t threads;
  pquant::ProbeSink *sink; ///< of runs that are profiled, else null
};

namespace pquant {

/// pquant_open, given where the model's callbacks are bound.
PQuantStatus openModel(const PQuantModelDescriptor *descriptor, EnterFn enter,
                       PQuantModel **model);

/// Takes the weight file out of memory.
void unmapWeights(PQuantModel &model);

} // namespace pquant

#endif // PQUANT_RUNTIME_MODEL_H
