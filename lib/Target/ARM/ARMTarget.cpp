//===- ARMTarget.cpp - Levels of AArch64 ----------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The only place that knows AArch64 feature names beside the kernel table. All
// AArch64 CPUs that Linux runs on have NEON, so `generic` and `neon` differ in
// their kernels only: the generic ones are the oracle of the others. Levels are
// tuned for cores that they are made for: small in-order ones, and Neoverse N1.
//
//===----------------------------------------------------------------------===//

#include "pquant/Target/ARM.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/AArch64TargetParser.h"

using namespace mlir;
using namespace pquant;

static constexpr int64_t kVectorBits = 128;

SmallVector<LevelAttr> arm::getLevels(MLIRContext *context) {
  return {
      LevelAttr::get(context, "generic", "generic", "", "", kVectorBits),
      LevelAttr::get(context, "neon", "generic", "", "neon", kVectorBits,
                     "cortex-a55"),
      LevelAttr::get(context, "dotprod", "generic", "+dotprod", "neon,dotprod",
                     kVectorBits, "neoverse-n1"),
      LevelAttr::get(context, "i8mm", "generic", "+dotprod,+i8mm",
                     "neon,dotprod,i8mm", kVectorBits, "neoverse-n1"),
  };
}

/// The level of one CPU. It asks for those of the CPU's features that code for
/// user programs uses and that Linux reports (lib/Runtime/CpuAArch64.cpp).
static LevelAttr getCpuLevel(MLIRContext *context, StringRef cpu,
                             const llvm::AArch64::CpuInfo &info) {
  static constexpr StringLiteral reported[] = {
      "neon",  "aes",     "sha2",      "sha3",    "sm4",       "crc",
      "lse",   "rdm",     "fullfp16",  "fp16fml", "dotprod",   "i8mm",
      "bf16",  "jsconv",  "complxnum", "rcpc",    "rcpc-immo", "fptoint",
      "flagm", "altnzcv", "sve",       "sve2",    "sb",        "mops",
      "cssc",  "lse128",  "sme"};
  std::vector<StringRef> features;
  llvm::AArch64::getExtensionFeatures(info.getImpliedExtensions(), features);
  SmallVector<StringRef> required;
  for (StringRef feature : features)
    if (feature.consume_front("+") && llvm::is_contained(reported, feature))
      required.push_back(feature);
  return LevelAttr::get(context, cpu, cpu, "", llvm::join(required, ","),
                        kVectorBits);
}

FailureOr<TargetAttr> arm::makeARMTarget(Location loc, StringRef triple,
                                         StringRef only) {
  MLIRContext *context = loc.getContext();
  SmallVector<LevelAttr> levels = getLevels(context);
  auto make = [&](ArrayRef<LevelAttr> chosen) {
    return TargetAttr::get(context, triple, chosen, LayoutKind::I1x16x8);
  };
  if (only.empty())
    return make(levels);
  for (LevelAttr level : levels)
    if (level.getName() == only)
      return make(level);
  if (std::optional<llvm::AArch64::CpuInfo> info =
          llvm::AArch64::parseCpu(only))
    return make(getCpuLevel(context, only, *info));
  std::string names = llvm::join(
      llvm::map_range(levels, [](LevelAttr level) { return level.getName(); }),
      ", ");
  return emitError(loc) << "expected an AArch64 CPU or one of the levels "
                        << names << ", but got '" << only << "'";
}
