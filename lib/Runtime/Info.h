//===- Info.h - What --info prints ------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_INFO_H
#define PQUANT_RUNTIME_INFO_H

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// Prints the model's description to the standard output.
void printInfo(const PQuantModel *model);

/// Prints the memory that the runs so far have taken.
void printMemory(const PQuantModel *model);

/// The largest resident size of this process so far, in bytes; 0 if unknown.
uint64_t peakResidentBytes();

} // namespace pquant

#endif // PQUANT_RUNTIME_INFO_H
