//===- NVVMTarget.cpp - Chips of NVIDIA GPUs ------------------------------===//
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

FailureOr<GPUAttr> nvvm::makeGPU(Location loc, StringRef chip) {
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
    capabilities.append({kByteMma, kFloatMma});
  if (number >= kTensorChip && number < kBitsEnd)
    capabilities.push_back(kBitMma);
  if (number >= kOverlapChip)
    capabilities.push_back(kDependentLaunch);
  if (number == kOverlapChip && digits == "a")
    capabilities.push_back(kByteWgmma);
  return GPUAttr::get(loc.getContext(), kTriple, chip,
                      number < kBitsEnd ? "+ptx80" : "+ptx86",
                      llvm::join(capabilities, ","));
}
