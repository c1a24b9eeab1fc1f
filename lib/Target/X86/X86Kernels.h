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

/// 1-bit: AND with bit masks, vpdpbusd. Needs avx512vnni.
void emitBinaryAnd(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                   KernelGetter kernels);
/// 1-bit: table look-up by vpermb. Needs avx512vbmi and avx512vnni.
void emitBinaryLookup(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                      KernelGetter kernels);
/// 1-bit: table look-up by vpshufb; vpmaddubsw for many rows. Needs avx2.
void emitBinaryShuffle(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange args, KernelGetter kernels);
/// INT8: vpdpbusd on biased activations. Needs avx512vnni.
void emitInt8Vnni(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                  KernelGetter kernels);
/// INT8: vpmaddwd on 16-bit numbers. Needs avx2.
void emitInt8Madd(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                  KernelGetter kernels);

/// acc + u8 times s8, four products a lane, on 512 bits.
Value emitDotProduct(KernelBuilder &b, Value acc, Value u8, Value s8);

/// Writes columns [0, `columns`) of row `m` of `input` to `to` from `offset`,
/// each 32 columns transposed as 8 x 4: byte 4j + i is column 8i + j, so that
/// word j goes with bit j of every byte of a D16 word.
void emitTransposedRow(KernelBuilder &b, Value input, Value m, Value columns,
                       Value to, Value offset);

} // namespace pquant::x86

#endif // PQUANT_TARGET_X86_X86KERNELS_H
