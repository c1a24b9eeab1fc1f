//===- CpuOther.cpp - Architectures without feature detection -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Only the generic level, which asks for nothing, runs here.
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"

#if !defined(__x86_64__) && !defined(__aarch64__)

bool pquant::cpuHasFeature(const char *, size_t) { return false; }

#endif
