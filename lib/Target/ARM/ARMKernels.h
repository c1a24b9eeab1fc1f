//===- ARMKernels.h - Emitters of the AArch64 kernels -----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// 1-bit weights have layout i1x16x8, INT8 weights i8x16x4. A quad is 4 rows x 4
// columns of INT8 weights, a register; its dot product with 4 activations is 4
// numbers.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_ARM_ARMKERNELS_H
#define PQUANT_TARGET_ARM_ARMKERNELS_H

#include "pquant/Conversion/PQKernelToVector.h"

namespace pquant::arm {

/// 1-bit: bit by bit, with vector and arith ops only; the oracle.
void emitBinaryGeneric(KernelBuilder &b, const KernelSpec &spec,
                       ValueRange args, KernelGetter kernels);
/// 1-bit: table look-up by tbl; quads for more rows. Needs neon; its quads use
/// sdot where the level has dotprod.
void emitBinaryTable(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                     KernelGetter kernels);
/// 1-bit: table look-up by tbl; smmla for more rows. Needs i8mm.
void emitBinaryMatMul(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                      KernelGetter kernels);
/// INT8: quads. Needs neon; uses sdot where the level has dotprod.
void emitInt8Quads(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                   KernelGetter kernels);
/// INT8: quads; smmla for more rows. Needs i8mm.
void emitInt8MatMul(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                    KernelGetter kernels);

/// The matrix-vector halves.
void emitTableGemv(KernelBuilder &b, const LinearArgs &args);
void emitQuadGemv(KernelBuilder &b, const LinearArgs &args, bool hasSdot);

/// Bytes ahead of the current line that streaming kernels prefetch.
inline constexpr int64_t kPrefetchBytes = 512;
/// Columns whose weights are expanded to bytes at once: 8 KiB a block.
inline constexpr int64_t kPanelColumns = 512;

/// What matrix-matrix kernels on quads share: rows, columns and copied rows.
GemmPlan makeQuadPlan(KernelBuilder &b, const LinearArgs &args, bool hasSdot);

/// The sums of a tile of one block whose quads lie in `quads` from `base` on,
/// 64 bytes for each 4 columns: vector<16xi32> for each row.
SmallVector<Value> emitQuadTile(KernelBuilder &b, const GemmPlan::Tile &tile,
                                Value quads, Value base, bool hasSdot);

/// Copies row `m` of `input` to `to` from byte `offset` on: rows of the matrix
/// kernels lie apart from each other's cache sets.
void emitCopiedRow(KernelBuilder &b, const LinearArgs &args, Value m, Value to,
                   Value offset);

/// Byte offset of column k0 of a block of INT8 weights.
Value getInt8Offset(KernelBuilder &b, const LinearArgs &args, Value block,
                    Value k0);

/// Four vectors of 4 lanes to one of 16; and each four of `parts`.
Value emitConcat(KernelBuilder &b, ValueRange parts);
SmallVector<Value> emitConcatEach(KernelBuilder &b, ValueRange parts);

/// -1 in the lanes (bytes) where `bits` has a bit of `mask`, else 0: cmtst.
Value emitTestBits(KernelBuilder &b, Value bits, ArrayRef<int64_t> mask);

} // namespace pquant::arm

#endif // PQUANT_TARGET_ARM_ARMKERNELS_H
