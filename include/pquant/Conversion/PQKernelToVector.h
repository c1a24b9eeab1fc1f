//===- PQKernelToVector.h - pqk ops to kernel functions ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Replaces pqk ops on memrefs by calls of kernel functions that it generates
// on demand, once per module and instruction-set level. Which emitter writes a
// kernel is decided by a table: a target prepends its rows to the generic
// ones, and the first row whose capability the level has wins.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_PQKERNELTOVECTOR_H
#define PQUANT_CONVERSION_PQKERNELTOVECTOR_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "pquant/Conversion/KernelBuilder.h"

namespace pquant {

enum class KernelKind {
  Quantize,
  BinaryLinear,
  Int8Linear,
  ExpertLinear,
  FloatLinear,
  Attention,
};

/// What an attention kernel is written for: D and E of `pqk.attention`, the
/// element type of keys and values, the scale and the optional parts.
struct AttentionSpec {
  int64_t depth = 0, width = 0;
  Type element = {};
  float scale = 1;
  bool causal = false, masked = false;
};

/// What makes a kernel function: two specs that are equal share one.
struct KernelSpec {
  KernelKind kind;
  LevelAttr level;
  /// Linear kernels: the result is added to the output.
  bool accumulate = false;
  /// Quantize only.
  QuantizerAttr quantizer;
  /// Attention only.
  AttentionSpec attention = {};
  /// FloatLinear only: weights in layout bf16x16.
  bool halved = false;

  /// `pqk_binary_linear_acc_avx2`, `pqk_quantize_mul_recip_avx2`.
  std::string getSymbolName() const;
};

/// Gives the kernel function of another spec, creating it when it is the first
/// use; for kernels that call kernels.
using KernelGetter = function_ref<mlir::func::FuncOp(const KernelSpec &)>;

/// Writes the body of a kernel whose arguments are the op's operands as
/// row-major memrefs with dynamic sizes, strides and offset, in the op's order.
using KernelEmitter = void (*)(KernelBuilder &, const KernelSpec &,
                               ValueRange args, KernelGetter);

/// A row of a kernel table. Rows are ordered best first.
struct KernelRow {
  KernelKind kind;
  /// The LLVM feature that the level must have; empty for none.
  StringRef feature;
  KernelEmitter emit;
};

/// The kernels that any target can run: vector and arith ops only. They define
/// the results of all others.
ArrayRef<KernelRow> getGenericKernels();

/// Replaces every pqk op of the module's functions by a call. Each function
/// that holds one must carry `pquant.level`.
LogicalResult lowerKernelOps(ModuleOp module, ArrayRef<KernelRow> table);

//===----------------------------------------------------------------------===//
// Parts that emitters of several targets share
//===----------------------------------------------------------------------===//

/// Rows of one weight block.
inline constexpr int64_t kBlockRows = 16;

/// The arguments of a linear kernel, and sizes derived from them. Values that
/// a kind does not have are null.
struct LinearArgs {
  LinearArgs(KernelBuilder &b, const KernelSpec &spec, ValueRange args);

  Value input, scale, sum, weight, rowSum, weightScale, output;
  bool accumulate;
  Value rows;    ///< M
  Value outputs; ///< N
  Value blocks;  ///< N in blocks of 16
  Value columns; ///< columns of `input`: K, padded to 64 where it is INT8
};

/// What remains to be done with a kernel's int32 result to make it the dot
/// product of the weights with the quantised row.
enum class Correction {
  None,
  /// Sum over the +1 weights only: twice that minus the row's sum.
  PlusSum,
  /// Activations were biased by 128: minus 128 times the weights' row sum.
  Biased,
};

/// output[m, 16 block ...] = float(acc) * (scale[m] * weight_scale[...]), the
/// same float operations in every kernel; rows beyond N are left out.
void emitEpilogue(KernelBuilder &b, const LinearArgs &args, Correction fix,
                  Value m, Value block, Value acc);

/// The same for rows [firstRow, firstRow + rows) of a block; `getSum` gives the
/// int32 result of a row counted from `firstRow`.
void emitEpilogueRows(KernelBuilder &b, const LinearArgs &args, Correction fix,
                      Value firstRow, Value rows, Value block,
                      function_ref<Value(Value row)> getSum);

/// How a matrix-vector kernel works on one row. `scratchBytes` and `prepare`
/// are null for kernels that need none.
struct GemvPlan {
  /// Blocks walked at once, largest first, last 1. Those of a group lie apart,
  /// so that each is in a long stream of memory of its own.
  SmallVector<int64_t> groups;
  /// Weight bytes of a block for each column.
  int64_t blockBytes;
  /// The smallest range worth its set-up, in blocks.
  int64_t minimumGrain = 1;
  /// Bytes of scratch that a range needs, for `columns`.
  std::function<Value(Value columns)> scratchBytes;
  /// Fills the scratch for row `m`; the range begins with group `blocks`.
  std::function<void(Value m, Value scratch, ArrayRef<Value> blocks)> prepare;
  /// The dot products of blocks, vector<16xi32> each.
  std::function<SmallVector<Value>(Value m, Value scratch,
                                   ArrayRef<Value> blocks)>
      dot;
};

/// Rows [0, M) one after another, by blocks in parallel.
void emitGemv(KernelBuilder &b, const LinearArgs &args, Correction fix,
              const GemvPlan &plan);

/// How a matrix-matrix kernel works: weights of `blocks` blocks and `chunk`
/// columns are expanded to a panel, then multiplied by tiles of rows.
struct GemmPlan {
  SmallVector<int64_t> blocks; ///< blocks at once, largest first, last 1
  SmallVector<int64_t> rows;   ///< rows at once, largest first, last 1
  int64_t chunk;               ///< columns at once, a multiple of 64
  int64_t activationBytes;     ///< of one prepared activation
  int64_t panelBytes;          ///< of one block's panel; 0 for none
  /// Writes row m, prepared, to `to` from byte `offset` on.
  std::function<void(Value m, Value to, Value offset)> prepareRow;
  /// Expands columns [k0, k0 + width) of `block` to `panel` from byte `offset`.
  std::function<void(Value block, Value k0, Value width, Value panel,
                     int64_t offset)>
      fillPanel;
  /// Where a tile finds its operands.
  struct Tile {
    int64_t rows, blocks;
    Value activations;             ///< prepared rows
    SmallVector<Value> rowOffsets; ///< bytes of their first columns here
    Value rowStride;               ///< bytes between rows
    Value panel, block, k0, width;
  };
  /// Adds the tile's products to `acc` (row-major rows x blocks).
  std::function<SmallVector<Value>(const Tile &, SmallVector<Value> acc)>
      multiply;
};

/// All rows, by blocks in parallel, weights read once for each 96 rows.
void emitGemm(KernelBuilder &b, const LinearArgs &args, Correction fix,
              const GemmPlan &plan);

/// Rows up to which `emitGemv` is used by kernels that have both.
inline constexpr int64_t kGemvRows = 3;

/// `gemv` when M <= kGemvRows, else `gemm`, decided at run time.
void emitByRows(KernelBuilder &b, const LinearArgs &args,
                function_ref<void()> gemv, function_ref<void()> gemm);

/// The oracle of 1-bit kernels, bit by bit: `loadWords` loads, from a byte of
/// the weight on, the next `columns` (up to 32) bits of each of 16 rows as the
/// low bits of vector<16xi32>.
void emitBinaryBits(KernelBuilder &b, const LinearArgs &args, int64_t columns,
                    function_ref<Value(Value offset)> loadWords);

/// The quantize kernel, in vectors as wide as the level's.
void emitQuantize(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                  KernelGetter kernels);
/// Calls the INT8 kernel on each run of rows with the same expert.
void emitExpertLinear(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                      KernelGetter kernels);
/// One pass over the keys for each block of query rows.
void emitAttention(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                   KernelGetter kernels);
/// The float kernel in tiles that fit the level's registers.
void emitFloatLinear(KernelBuilder &b, const KernelSpec &spec, ValueRange args,
                     KernelGetter kernels);

} // namespace pquant

#endif // PQUANT_CONVERSION_PQKERNELTOVECTOR_H
