//===- Cpu.h - What this CPU can do -----------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One implementation per architecture (CpuX86.cpp, CpuAArch64.cpp; CpuOther.cpp
// knows no feature). Feature names are LLVM's, as the levels of a descriptor
// use them.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_CPU_H
#define PQUANT_RUNTIME_CPU_H

#include <cstddef>

namespace pquant {

/// Whether the CPU has the feature named by name[0..length) and the operating
/// system lets this process use it. Unknown names are not there.
bool cpuHasFeature(const char *name, size_t length);

} // namespace pquant

#endif // PQUANT_RUNTIME_CPU_H
