//===- RunModel.h - What the two mains share --------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_RUNMODEL_H
#define PQUANT_RUNTIME_RUNMODEL_H

#include "Options.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// Does what the options ask for; returns the exit code, errors printed.
int runModel(const Options &options, PQuantModel *model);

} // namespace pquant

#endif // PQUANT_RUNTIME_RUNMODEL_H
