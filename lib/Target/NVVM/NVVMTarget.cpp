//===- NVVMTarget.cpp - Chips of NVIDIA GPUs -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The only place that knows chips by name.
//
//===----------------------------------------------------------------------===//

#include "pquant/Target/NVVM.h"

using namespace mlir;
using namespace pquant;

static constexpr StringLiteral kTriple = "nvptx64-nvidia-cuda";
static constexpr unsigned kLeastChip = 61;   ///< dp4a
static constexpr unsigned kTensorChip = 80;  ///< mma of bytes, bits and tf32
static constexpr unsigned kOverlapChip = 90; ///< griddepcontrol; wgmma with "a"
static constexpr unsigned kBitsEnd = 100;    ///< from here mma of bits is slow

/// What kernels of a chip may use and have not been run with on a GPU yet.
static SmallVector<StringRef> getTrials(unsigned number, bool isAccelerated) {
  SmallVector<StringRef> trials;
  if (number >= kTensorChip)
    trials.push_back(nvvm::kFloatMma);
  if (number == kOverlapChip && isAccelerated)
    trials.push_back(nvvm::kByteWgmma);
  if (number >= kOverlapChip)
    trials.push_back(nvvm::kDependentLaunch);
  return trials;
}

FailureOr<GPUAttr> nvvm::makeGPU(Location loc, StringRef text) {
  auto [chip, asked] = text.split('+');
  if (chip.empty())
    chip = "sm_80";
  StringRef digits = chip;
  unsigned number = 0;
  bool parsed = digits.consume_front("sm_") &&
                !digits.consumeInteger(10, number) &&
                (digits.empty() || digits == "a");
  if (!parsed || number < kLeastChip)
    return emitError(loc) << "expected a GPU of sm_" << kLeastChip
                          << " or later, such as sm_80 or sm_90a, but got '"
                          << chip << "'";
  SmallVector<StringRef> capabilities;
  if (number >= kTensorChip)
    capabilities.push_back(kByteMma);
  if (number >= kTensorChip && number < kBitsEnd)
    capabilities.push_back(kBitMma);
  SmallVector<StringRef> trials = getTrials(number, digits == "a");
  if (text.contains('+'))
    for (StringRef capability : llvm::split(asked, '+')) {
      if (trials.empty())
        return emitError(loc) << "expected nothing after '" << chip
                              << "', but got '+" << capability << "'";
      if (!llvm::is_contained(trials, capability))
        return emitError(loc)
               << "expected one of '" << llvm::join(trials, "', '")
               << "' after '" << chip << "+', but got '" << capability << "'";
      capabilities.push_back(capability);
    }
  return GPUAttr::get(loc.getContext(), kTriple, chip,
                      number < kBitsEnd ? "+ptx80" : "+ptx86",
                      llvm::join(capabilities, ","));
}
