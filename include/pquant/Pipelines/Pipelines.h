//===- Pipelines.h - The order of passes, by named phases -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model passes through named phases; each has one function here that appends
// its passes and ends in the check of what the phase promises.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_PIPELINES_PIPELINES_H
#define PQUANT_PIPELINES_PIPELINES_H

#include "pquant/Support/LLVM.h"

#include "mlir/Pass/PassOptions.h"
#include <optional>

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace pquant {

/// The phases of a compile, in order.
enum class Phase {
  Import,  ///< upstream ops on tensors, as the file says
  Raised,  ///< quantised layers are pquant ops
  Packed,  ///< branches fused, experts dispatched, weights in their layout
  Kernels, ///< memrefs, one copy of the code per level, calls of kernels
  LLVM,    ///< the LLVM dialect
  Object,  ///< machine code
};

/// The name of a phase as `--compile-to` takes it.
StringRef getPhaseName(Phase phase);
/// The phase of a name; nullopt when there is none.
std::optional<Phase> parsePhase(StringRef name);

/// Options of the raising phase.
struct RaisingOptions : mlir::PassPipelineOptions<RaisingOptions> {
  Option<std::string> signZero{
      *this, "sign-zero",
      llvm::cl::desc("What a zero in a sign-quantised weight becomes: error, "
                     "plus or minus"),
      llvm::cl::init("error")};
  Option<bool> snapWeights{
      *this, "snap-weights",
      llvm::cl::desc(
          "Take weights within 0.001 steps of a quantiser's grid for "
          "the grid's"),
      llvm::cl::init(false)};
  Option<bool> requireQuantized{
      *this, "require-quantized",
      llvm::cl::desc(
          "Fail when a linear with quantiser arithmetic stays float"),
      llvm::cl::init(false)};
};

/// Options of the packing phase.
struct PackingOptions : mlir::PassPipelineOptions<PackingOptions> {
  Option<std::string> quantizeHead{
      *this, "quantize-head",
      llvm::cl::desc("What the float linears of the outputs become: none, "
                     "int8 or bf16"),
      llvm::cl::init("none")};
  Option<std::string> cache{
      *this, "cache",
      llvm::cl::desc("What the caches of prefill and decode hold: f32, f16 or "
                     "int8"),
      llvm::cl::init("f32")};
  Option<bool> batch{
      *this, "batch",
      llvm::cl::desc("An entry point for several sequences at once"),
      llvm::cl::init(false)};
};

/// Import -> Raised.
void buildRaisingPipeline(mlir::OpPassManager &pm,
                          const RaisingOptions &options);
/// Raised -> Packed. Needs `pquant.target` on the module.
void buildPackingPipeline(mlir::OpPassManager &pm,
                          const PackingOptions &options);
/// Packed -> Kernels.
void buildKernelsPipeline(mlir::OpPassManager &pm);
/// Packed -> Kernels, for a target with a GPU.
void buildGPUKernelsPipeline(mlir::OpPassManager &pm);
/// Kernels -> LLVM.
void buildLLVMPipeline(mlir::OpPassManager &pm);

/// Registers `pquant-raising-pipeline` and the others for pquant-opt.
void registerPipelines();

} // namespace pquant

#endif // PQUANT_PIPELINES_PIPELINES_H
