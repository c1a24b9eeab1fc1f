//===- X86Target.cpp - Levels and layouts of x86-64 -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The only place that knows x86 feature names beside the kernel table.
//
//===----------------------------------------------------------------------===//

#include "pquant/Target/X86.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/X86TargetParser.h"

using namespace mlir;
using namespace pquant;

static constexpr StringLiteral kAVX2 = "avx2,fma,f16c,bmi,bmi2,movbe,lzcnt";
static constexpr StringLiteral kAVX512 =
    "avx2,fma,f16c,bmi,bmi2,movbe,lzcnt,"
    "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni";
static constexpr StringLiteral kAVX512VBMI =
    "avx2,fma,f16c,bmi,bmi2,movbe,lzcnt,"
    "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,avx512vbmi";
static constexpr StringLiteral kAMX =
    "avx2,fma,f16c,bmi,bmi2,movbe,lzcnt,"
    "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,avx512vbmi,"
    "amx-tile,amx-int8";

SmallVector<LevelAttr> x86::getLevels(MLIRContext *context) {
  return {
      LevelAttr::get(context, "generic", "x86-64-v2", "", "", 128),
      LevelAttr::get(context, "avx2", "x86-64-v3", "", kAVX2, 256),
      LevelAttr::get(context, "avx512", "x86-64-v4", "+avx512vnni", kAVX512,
                     512),
      LevelAttr::get(context, "avx512vbmi", "x86-64-v4",
                     "+avx512vnni,+avx512vbmi", kAVX512VBMI, 512),
      LevelAttr::get(context, "amx", "x86-64-v4",
                     "+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8,+prfchw",
                     kAMX, 512),
  };
}

/// The level of one CPU, with every feature that LLVM knows it to have.
static LevelAttr getCpuLevel(MLIRContext *context, StringRef cpu) {
  SmallVector<StringRef> features;
  llvm::X86::getFeaturesForCPU(cpu, features);
  int64_t bits = 128;
  if (llvm::is_contained(features, "avx512bw"))
    bits = 512;
  else if (llvm::is_contained(features, "avx2"))
    bits = 256;
  return LevelAttr::get(context, cpu, cpu, "", llvm::join(features, ","), bits);
}

FailureOr<TargetAttr> x86::makeX86Target(Location loc, StringRef triple,
                                         StringRef only) {
  MLIRContext *context = loc.getContext();
  SmallVector<LevelAttr> levels = getLevels(context);
  if (only.empty())
    return TargetAttr::get(context, triple, levels);
  for (LevelAttr level : levels)
    if (level.getName() == only)
      return TargetAttr::get(context, triple, level);
  if (llvm::X86::parseArchX86(only, /*Only64Bit=*/true) != llvm::X86::CK_None)
    return TargetAttr::get(context, triple, getCpuLevel(context, only));
  std::string names = llvm::join(
      llvm::map_range(levels, [](LevelAttr level) { return level.getName(); }),
      ", ");
  return emitError(loc) << "expected an x86-64 CPU or one of the levels "
                        << names << ", but got '" << only << "'";
}
