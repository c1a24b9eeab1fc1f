//===- Passes.td - Passes of the Conversion room -----------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_PASSES_TD
#define PQUANT_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertPQKernelToLLVMPass : Pass<"pquant-convert-pqkernel-to-llvm", "::mlir::ModuleOp"> {
  let summary = "outline pqk.parallel into functions that the runtime calls";
  let description = [{
    Precondition: memrefs only, before the conversion to the LLVM dialect with its default type converter (64-bit
    index), in one module. Each `pqk.parallel` becomes an `llvm.func` that takes its captured values through a struct on
    the caller's stack, and a call of `pquant_rt_parallel_for`; the function keeps the caller's `passthrough`
    attributes (CPU, features). Constants are copied into the function, not captured.

    ```mlir
    pqk.parallel (%b, %e) in %n grain %g { use(%b, %e, %x) }
    // becomes
    llvm.call @pquant_rt_parallel_for(%body, %captures, %n, %g) : (!llvm.ptr, !llvm.ptr, i64, i64) -> ()
    llvm.func internal @f_parallel_0(%captures: !llvm.ptr, %b: i64, %e: i64) { ... }
    ```
    Nothing is left alone: a `pqk.parallel` outside of a function is an error.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}

def ConvertPQKernelToVectorPass : Pass<"pquant-convert-pqkernel-to-vector", "::mlir::ModuleOp"> {
  let summary = "replace pqk ops by calls of generic kernels";
  let description = [{
    Precondition: bufferized functions that carry `pquant.level`. Replaces every pqk op but `pqk.parallel` by a call of a
    kernel function of that level, which it generates on first use from vector and arith ops only, without
    intrinsics. Targets with kernels of their own have a pass of their own (`pquant-x86-kernels`) that falls back to
    these.

    ```mlir
    pqk.float_linear ins(%x, %w : ...) outs(%y : ...)
    // becomes
    call @pqk_float_linear_generic(%x, %w, %y)
    ```
    Operands whose rows are not contiguous are an error.
  }];
  let dependentDialects = [
    "::pquant::pqk::PQKernelDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif // PQUANT_CONVERSION_PASSES_TD
