//===- Passes.td - Passes of the Target rooms --------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TARGET_PASSES_TD
#define PQUANT_TARGET_PASSES_TD

include "mlir/Pass/PassBase.td"

def X86KernelsPass : Pass<"pquant-x86-kernels", "::mlir::ModuleOp"> {
  let summary = "replace pqk ops by calls of x86 kernels";
  let description = [{
    As `pquant-convert-pqkernel-to-vector`, with the kernels of the x86 table for levels that have their capability
    (look-up and AND kernels on AVX-512 VNNI, multiply-add on AVX2) and the generic ones otherwise.

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
