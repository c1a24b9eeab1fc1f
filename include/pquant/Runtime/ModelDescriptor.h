//===- ModelDescriptor.h - What generated code and the runtime agree on ---===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every compiled artifact holds one constant `PQuantModelDescriptor`, returned
// by `pquant_model_descriptor()` (or `<prefix>_model_descriptor()` when a
// symbol prefix was asked for). The compiler writes it, the runtime reads it.
// Plain C, no pointers into anything but constants of the artifact itself.
// Any change of a struct here changes PQUANT_ABI_VERSION.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_MODELDESCRIPTOR_H
#define PQUANT_RUNTIME_MODELDESCRIPTOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PQUANT_ABI_VERSION 5
/// The largest rank of an input or output.
#define PQUANT_MAX_RANK 8

/// Element types, in the order of the descriptor's `dtype` field. `bool` is one
/// byte a value, 0 or 1.
typedef enum PQuantDType {
  PQUANT_FLOAT32 = 0,
  PQUANT_FLOAT64 = 1,
  PQUANT_FLOAT16 = 2,
  PQUANT_BFLOAT16 = 3,
  PQUANT_INT8 = 4,
  PQUANT_INT16 = 5,
  PQUANT_INT32 = 6,
  PQUANT_INT64 = 7,
  PQUANT_UINT8 = 8,
  PQUANT_UINT16 = 9,
  PQUANT_UINT32 = 10,
  PQUANT_UINT64 = 11,
  PQUANT_BOOL = 12,
} PQuantDType;

/// One input or output of an entry point.
typedef struct PQuantTensorSpec {
  const char *name; ///< name in the model file
  int32_t dtype;    ///< a PQuantDType
  int32_t rank;     ///< 0 to PQUANT_MAX_RANK
  /// `rank` sizes; -1 where the size is known at run time only.
  const int64_t *sizes;
  /// `rank` names of symbolic sizes, "" where the size is static or unnamed.
  /// Equal names within one entry point mean equal sizes. A state's "capacity"
  /// may be static.
  const char *const *sizeNames;
} PQuantTensorSpec;

/// A memref descriptor as MLIR lays it out, at the largest rank: strides follow
/// the sizes at index `rank`, so `extents` holds sizes[rank], strides[rank].
typedef struct PQuantMemRef {
  void *allocated;
  void *aligned;
  int64_t offset;
  int64_t extents[2 * PQUANT_MAX_RANK];
} PQuantMemRef;

/// Runs one entry point on one instruction set. `weights` is the base of the
/// weight blob; `args` holds pointers to one PQuantMemRef per input and then
/// per state; `results` pointers to one PQuantMemRef per output, which the
/// function fills. Result buffers belong to the caller: the runtime frees them
/// with the results.
typedef void (*PQuantEntryFn)(const void *weights, PQuantMemRef *const *args,
                              PQuantMemRef *const *results);

/// An entry point: a function of the model. One with states continues a
/// sequence (a session of Runtime.h): its inputs are the tokens and `position`,
/// the number of tokens before them; its output is logits; a state is memory
/// that it writes in place, with one size `capacity`, the positions that it has
/// room for. Entry points of one model share states of the same name.
typedef struct PQuantEntry {
  const char *name;
  int32_t numInputs;
  int32_t numOutputs;
  const PQuantTensorSpec *inputs;
  const PQuantTensorSpec *outputs;
  const PQuantEntryFn *functions; ///< one per instruction-set level
  const PQuantTensorSpec *states;
  int32_t numStates;
  int32_t reserved;
} PQuantEntry;

/// Kinds of kernel that `--self-test` can drive.
typedef enum PQuantKernelKind {
  PQUANT_KERNEL_QUANTIZE = 0,
  PQUANT_KERNEL_BINARY_LINEAR = 1,
  PQUANT_KERNEL_INT8_LINEAR = 2,
  PQUANT_KERNEL_FLOAT_LINEAR = 3,
  PQUANT_KERNEL_EXPERT_LINEAR = 4,
  PQUANT_KERNEL_ATTENTION = 5,
} PQuantKernelKind;

/// What an attention kernel's keys and values are.
typedef enum PQuantCacheElement {
  PQUANT_CACHE_F32 = 0,
  PQUANT_CACHE_F16 = 1,
  PQUANT_CACHE_I8 = 2, ///< rows of bytes, each followed by its float32 step
} PQuantCacheElement;

/// One kernel at every level. `functions[level]` is MLIR's C interface of the
/// kernel (pointers to memref descriptors, see docs/Layout.md for the shapes).
typedef struct PQuantKernel {
  const char *name;
  int32_t kind; ///< a PQuantKernelKind
  /// PQUANT_KERNEL_QUANTIZE: the rounding formula (#pquant.formula's number);
  /// PQUANT_KERNEL_FLOAT_LINEAR: 1 when weights are in layout bf16x16;
  /// other linear kernels: 1 when the result is added to the output;
  /// PQUANT_KERNEL_ATTENTION: D in bits 0 to 11, E in 12 to 23, a
  /// PQuantCacheElement in 24 and 25, bit 26 where there is a mask.
  int32_t variant;
  const void *const *functions; ///< one per level
} PQuantKernel;

/// An instruction-set level, weakest first; level 0 runs on every CPU of the
/// architecture and is the oracle of the self-test.
typedef struct PQuantLevel {
  const char *name;     ///< "generic", "avx2", "avx512", ...
  const char *features; ///< what the CPU must have, comma-separated LLVM names
} PQuantLevel;

/// One linear layer, for `--info` and reports.
typedef struct PQuantLinearInfo {
  const char *name;
  int64_t rows, columns;
  double bitsPerWeight;
} PQuantLinearInfo;

/// The kernels of a model whose tensors live on a GPU.
typedef struct PQuantGPU {
  const char *chip;  ///< "sm_80": what they were compiled for
  const char *ptx;   ///< their code, for the driver to compile
  const void *image; ///< machine code for this very chip, or null
  uint64_t imageBytes;
  const char *const *kernels; ///< their names, by number
  uint32_t numKernels;
  /// Not 0: each waits for those before it, and may be started before they end.
  uint32_t canOverlap;
  /// pquant_rt_gpu_driver: it is named here so that models with a GPU, and no
  /// others, are linked with what drives one.
  const void *(*driver)(void);
  /// Launches what finds the largest of a step's logits, as an entry point with
  /// one input, an int32 k, and two states, float32 logits [rows, vocabulary]
  /// and int32 [rows, words] for their rankings (pquant/Layout/Ranking.h). Null
  /// when there are no such logits.
  PQuantEntryFn rankLogits;
} PQuantGPU;

typedef struct PQuantModelDescriptor {
  uint32_t abiVersion;
  uint32_t numLevels;
  const char *modelName;
  const char *producer; ///< "pquant <version>" and the flags of the compile
  const char *triple;
  const PQuantLevel *levels;
  const PQuantEntry *entries;
  uint32_t numEntries;
  uint32_t numKernels;
  const PQuantKernel *kernels;
  const void *weights; ///< 64-byte aligned; null in a file of their own
  uint64_t weightBytes;
  const PQuantLinearInfo *linears;
  uint32_t numLinears;
  /// Whether a text starts with the tokenizer's begin-of-sequence token.
  uint32_t addsBegin;
  /// The file of the weights (pquant/Layout/WeightFile.h), relative to the
  /// artifact's folder unless absolute; null when the artifact holds them.
  const char *weightFile;
  uint64_t weightHash;   ///< of that file's blob
  const void *tokenizer; ///< a SentencePiece model file; null for none
  uint64_t tokenizerBytes;
  const char *chatTemplate; ///< see docs/TextGeneration.md; null for none
  /// Null for a model that runs on CPUs. With it, the weights and states that
  /// entry points are given are memory of the GPU, and so are the outputs of
  /// those that have states.
  const PQuantGPU *gpu;
} PQuantModelDescriptor;

/// The artifact's one exported symbol beside the C API of Runtime.h.
const PQuantModelDescriptor *pquant_model_descriptor(void);

//===----------------------------------------------------------------------===//
// What generated code calls
//===----------------------------------------------------------------------===//

/// Aligned memory (64 bytes) from the runtime's caching allocator.
void *_mlir_memref_to_llvm_alloc(uint64_t bytes);
void _mlir_memref_to_llvm_free(void *pointer);

/// Calls `body(args, begin, end)` on contiguous, disjoint ranges that cover
/// [0, count), each at least `grain` long where possible, on the threads of
/// the current call. Serial when count <= grain or inside a parallel region.
typedef void (*PQuantParallelBody)(void *args, int64_t begin, int64_t end);
void pquant_rt_parallel_for(PQuantParallelBody body, void *args, int64_t count,
                            int64_t grain);

/// A piece of work whose beginning and end generated code tells the runtime.
typedef struct PQuantProbe {
  const char *name; ///< of the model's nodes that it came from; may be ""
  const char *kind; ///< "binary_linear", "parallel", ...
  /// Bytes of one of `matrices` weight matrices: a call reads it for each row,
  /// `matrices` of them at most.
  int64_t weightBytes, matrices;
  int64_t rowBytes; ///< bytes of activations that a row moves
  int64_t rowOps;   ///< operations that a row takes
} PQuantProbe;

/// `probe` begins (end = 0) or ends (end = 1) on `rows` rows. Does nothing
/// unless a profile is being taken.
void pquant_rt_probe(const PQuantProbe *probe, int64_t rows, int32_t end);

/// Memory of the GPU, as a memref of bytes, by MLIR's C interface.
void _mlir_ciface_pquant_rt_gpu_alloc(PQuantMemRef *result, int64_t bytes);
void pquant_rt_gpu_free(void *pointer);
/// Copies between host and GPU, either way; done when it returns.
void pquant_rt_gpu_copy(void *to, const void *from, int64_t bytes);
/// Runs kernel number `kernel` on gridX x gridY blocks of `threads` threads,
/// after all launches before it. Its arguments are `count` words.
void pquant_rt_gpu_launch(int64_t kernel, int64_t gridX, int64_t gridY,
                          int64_t threads, int64_t sharedBytes,
                          const int64_t *words, int64_t count);

/// Stands for the part of the runtime that drives GPUs.
const void *pquant_rt_gpu_driver(void);

/// A failed run-time check of the model: ends the current run with an error of
/// that message. Does not return. Never called inside a parallel region.
void pquant_rt_fail(const char *message);

/// Memory allocated by generated code and not yet freed is released when a run
/// ends by pquant_rt_fail.

#ifdef __cplusplus
}
#endif

#endif // PQUANT_RUNTIME_MODELDESCRIPTOR_H
