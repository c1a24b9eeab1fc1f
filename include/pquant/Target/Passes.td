//===- Passes.td - Passes of the Target rooms --------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_PASSES_TD
#define PQUANT_TARGET_PASSES_TD

include "mlir/Pass/PassBase.td"

def ARMKernelsPass : Pass<"pquant-arm-kernels", "::mlir::ModuleOp"> {
  let summary = "replace pqk ops by calls of AArch64 kernels";
  let description = [{
    As `pquant-convert-pqkernel-to-vector`, with the kernels of the AArch64 table for levels that have their capability
    (smmla on i8mm; table look-up, sdot or widening products on neon) and generic ones otherwise. Weights are in layouts
    `i1x16x8` and `i8x16x4`. A module whose `pquant.target` is not AArch64 is left alone.

    ```
    pqk.binary_linear ins(%q, %s, %t, %w, %ws : ...) outs(%y : ...) {columns = 64 : i64}  // in a function of level neon
    // becomes
    call @pqk_binary_linear_neon(%q, %s, %t, %w, %ws, %y)
    ```
  }];
  let dependentDialects = [
    "::pquant::pqk::PQKernelDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def NVVMKernelsPass : Pass<"pquant-nvvm-kernels", "::mlir::ModuleOp"> {
  let summary = "replace pqk ops by launches of GPU kernels";
  let description = [{
    Precondition: memory is placed (`pquant-place-buffers`) and the module's `pquant.target` has a GPU. Every pqk op becomes
    a `gpu.launch` whose body is written for the op's static sizes, by the first row of the kernel table whose
    capability the GPU has. Rows that are not contiguous are an error.

    ```
    pqk.binary_linear ins(%q, %s, %t, %w, %ws : ...) outs(%y : ...) {columns = 4096 : i64, layout = #pquant.layout<b16x256>}
    // becomes, with b1-mma
    gpu.launch blocks(...) in (%tiles, %rows, 1) threads(...) in (256, 1, 1) { ... nvvm.mma.sync ... }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def NVVMOverlapLaunchesPass : Pass<"pquant-nvvm-overlap-launches", "::mlir::ModuleOp"> {
  let summary = "let kernels start before those before them end";
  let description = [{
    Where the GPU has the capability `dependent-launch`, every `gpu.launch` begins by letting the next one start, and waits
    for the end of those before it: where its emitter has put the wait, behind loads of weights, else at once.
    The runtime may then launch kernels with programmatic edges; without them both instructions do nothing.

    ```
    gpu.launch blocks(...) threads(...) { A }
    // becomes
    gpu.launch blocks(...) threads(...) {
      llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;", "~{memory}"
      llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}"
      A
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def NVVMRankLogitsPass : Pass<"pquant-nvvm-rank-logits", "::mlir::ModuleOp"> {
  let summary = "add the function that finds the largest logits";
  let description = [{
    Precondition: memory is placed (`pquant-place-buffers`). A module with an entry point that continues a sequence and gives
    float32 logits of a static size gets `@pquant_rank_logits`, which launches a block for each row of logits: it writes
    the tokens among which the `k` largest are (`pquant/Layout/Ranking.h`). The runtime calls it behind the entry point, where
    the sampler needs no more. Other modules are left alone.

    ```
    func.func @decode(..., %k: memref<1x2x?x64xf32> {pquant.state}) -> memref<1x32000xf32>
    // is joined by
    func.func @pquant_rank_logits(%weights: memref<?xi8>, %k: memref<i32>, %logits: memref<?x32000xf32>, %found: memref<?x769xi32>) {
      gpu.launch blocks(...) in (%rows, 1, 1) threads(...) in (1024, 1, 1) { ... nvvm.barrier #nvvm.reduction<popc> ... }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect"];
}

def X86KernelsPass : Pass<"pquant-x86-kernels", "::mlir::ModuleOp"> {
  let summary = "replace pqk ops by calls of x86 kernels";
  let description = [{
    As `pquant-convert-pqkernel-to-vector`, with the kernels of the x86 table for levels that have their capability
    (look-up and AND kernels on AVX-512 VNNI, multiply-add on AVX2) and the generic ones otherwise. A module whose
    `pquant.target` is not x86 is left alone.

    ```
    pqk.binary_linear ins(%q, %s, %t, %w, %ws : ...) outs(%y : ...) {columns = 64 : i64}  // in a function of level avx512
    // becomes
    call @pqk_binary_linear_avx512(%q, %s, %t, %w, %ws, %y)
    ```
  }];
  let dependentDialects = [
    "::pquant::pqk::PQKernelDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif // PQUANT_TARGET_PASSES_TD
