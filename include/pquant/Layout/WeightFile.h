//===- WeightFile.h - Weights in a file of their own ------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file that `pquant-compile --weights` writes and the runtime maps: one
// page that starts with a header, then the weight blob. The header's numbers
// are also in the artifact, which accepts no file with others. Little-endian.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LAYOUT_WEIGHTFILE_H
#define PQUANT_LAYOUT_WEIGHTFILE_H

#include <cstddef>
#include <cstdint>

namespace pquant::layout {

/// Where the blob starts in the file: a page, so that it can be mapped.
constexpr uint64_t kWeightOffset = 4096;

struct WeightFileHeader {
  char magic[8] = {'p', 'q', 'w', 'e', 'i', 'g', 'h', 't'};
  uint64_t version = 1;
  uint64_t bytes = 0; ///< of the blob
  uint64_t hash = 0;  ///< of the blob, by hashWeights
};

/// A checksum of eight interleaved lanes of 64-bit words, as fast as memory. A
/// change within one word is always noticed, any other one but for one in 2^64.
uint64_t hashWeights(const void *data, size_t bytes);

} // namespace pquant::layout

#endif // PQUANT_LAYOUT_WEIGHTFILE_H
