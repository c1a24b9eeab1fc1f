//===- X86Kernels.h - Emitters of the x86 kernels ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_X86_X86KERNELS_H
#define PQUANT_TARGET_X86_X86KERNELS_H

#include "pquant/Conversion/PQKernelToVector.h"

namespace pquant::x86 {

/// Bytes ahead of the current line that streaming kernels prefetch.
inline constexpr int64_t kPrefetchBytes = 512;

/// 1-bit: tdpbsud on tiles; table look-up for few rows. Needs amx-int8,
/// avx512vbmi and avx512vnni.
void emitBinaryTiles(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                     KernelGetter kernels);
/// 1-bit: AND with bit masks, vpdpbusd. Needs avx512vnni.
void emitBinaryAnd(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                   KernelGetter kernels);
/// 1-bit: table look-up by vpermb. Needs avx512vbmi and avx512vnni.
void emitBinaryLookup(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                      KernelGetter kernels);
/// 1-bit: table look-up by vpshufb; vpmaddubsw for many rows. Needs avx2.
void emitBinaryShuffle(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange args, KernelGetter kernels);
/// INT8: tdpbssd on tiles; vpdpbusd for few rows. Needs amx-int8 and
/// avx512vnni.
void emitInt8Tiles(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                   KernelGetter kernels);
/// INT8: vpdpbusd on biased activations. Needs avx512vnni.
void emitInt8Vnni(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                  KernelGetter kernels);
/// INT8: vpmaddwd on 16-bit numbers. Needs avx2.
void emitInt8Madd(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                  KernelGetter kernels);

/// The matrix-vector halves of emitBinaryLookup and emitInt8Vnni.
void emitLookupGemv(KernelBuilder &b, const LinearArgs &args);
void emitVnniGemv(KernelBuilder &b, const LinearArgs &args);

/// acc + u8 times s8, four products a lane, on 512 bits.
Value emitDotProduct(KernelBuilder &b, Value acc, Value u8, Value s8);

/// Writes columns [0, `columns`) of row `m` of `input` to `to` from `offset`,
/// each 32 columns transposed as 8 x 4: byte 4j + i is column 8i + j, so that
/// word j goes with bit j of every byte of a D16 word.
void emitTransposedRow(KernelBuilder &b, Value input, Value m, Value columns,
                       Value to, Value offset);

/// Stores a line of layout d16 (vector<32xi16>, 16 rows x 32 columns) as eight
/// vectors of bytes 0 and 1 from `at` on: vector j holds bit j of each byte.
void emitExpandedLine(KernelBuilder &b, Value line, Value to, Value at);

} // namespace pquant::x86

#endif // PQUANT_TARGET_X86_X86KERNELS_H
