//===- Passes.td - Lowerings between dialects --------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_PASSES_TD
#define PQUANT_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertPQKernelToLLVMPass : Pass<"pquant-convert-pqkernel-to-llvm", "::mlir::ModuleOp"> {
  let summary = "outline pqk.parallel into functions that the runtime calls, and call it at probes";
  let description = [{
    Precondition: memrefs only, before the conversion to the LLVM dialect with its default type converter (64-bit
    index), in one module. Each `pqk.parallel` becomes an `llvm.func` that takes its captured values through a struct on
    the caller's stack, and a call of `pquant_rt_parallel_for`; the function keeps the caller's `passthrough`
    attributes (CPU, features). Constants are copied into the function, not captured.

    ```
    pqk.parallel (%b, %e) in %n grain %g { use(%b, %e, %x) }
    // becomes
    llvm.call @pquant_rt_parallel_for(%body, %captures, %n, %g) : (!llvm.ptr, !llvm.ptr, i64, i64) -> ()
    llvm.func internal @f_parallel_0(%captures: !llvm.ptr, %b: i64, %e: i64) { ... }
    ```
    Each `pqk.probe` becomes a call of `pquant_rt_probe` with a constant `PQuantProbe` that equal probes share. Nothing
    is left alone: a `pqk.parallel` outside of a function is an error.
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

    ```
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

def ConvertPQuantToPQKernelPass : Pass<"pquant-to-pqk", "::mlir::ModuleOp"> {
  let summary = "lower packed pquant ops to kernels on matrices";
  let description = [{
    Quantisers and linear layers with packed weights become destination-style `pqk` ops on two-dimensional tensors:
    leading dimensions are collapsed, packed constants become flat byte (or float) constants over the same blob, scales
    become one f32 for each row of the weight, row sums of INT8 weights are computed here. Further planes and the 1-bit
    half of a decoupled linear accumulate into the output of the first. Every other `pquant` op, and a linear that no
    kernel takes (several scales a row, weights that are no packed constants), is replaced by its definition, with a
    remark.

    Precondition: `pquant-verify-packed`. A packed weight that no kernel takes is an error.

    ```
    %q, %s = pquant.quantize %x {quantizer = #q} : tensor<1x?x128xf32> -> tensor<1x?x128xi8>, tensor<1x?xf32>
    %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
        : ..., (tensor<256x128xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<1x?x256xf32>
    ```
    becomes
    ```
    %x2 = tensor.collapse_shape %x [[0, 1], [2]] : tensor<1x?x128xf32> into tensor<?x128xf32>
    %v, %s1, %sum = pqk.quantize ins(%x2) outs(...) {quantizer = #q}
    %y2 = pqk.binary_linear ins(%v, %s1, %sum, %w, %ws) outs(%empty) {columns = 128 : i64}
    %y = tensor.expand_shape %y2 [[0, 1], [2]] output_shape [1, %d, 256]
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::pquant::pqk::PQKernelDialect"];
}

def ExpandMathPass : Pass<"pquant-expand-math"> {
  let summary = "exp, tanh and erf become polynomials";
  let description = [{
    Replaces `math.exp`, `math.tanh` and `math.erf` on f32 by upstream's polynomial approximations (a few units in the
    last place), which LLVM vectorises. Other functions are left alone: they become calls of the C library.

    ```mlir
    %1 = math.exp %0 : f32
    // becomes a polynomial of arith ops
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def ExpandReshapesPass : Pass<"pquant-expand-reshapes"> {
  let summary = "memref.expand_shape to memref.reinterpret_cast";
  let description = [{
    Replaces every `memref.expand_shape` by a `memref.reinterpret_cast` with the sizes that the op states and the strides
    that follow, several dynamic sizes in one group included, which upstream's `expand-strided-metadata` does not take.

    ```
    %1 = memref.expand_shape %0 [[0, 1], [2]] output_shape [%b, %s, 128] : memref<?x128xf32> into memref<?x?x128xf32>
    // becomes
    %1 = memref.reinterpret_cast %base to offset: [0], sizes: [%b, %s, 128], strides: [%stride, 128, 1]
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def LinalgToLoopsPass : Pass<"pquant-linalg-to-loops"> {
  let summary = "linalg on memrefs to loops, shared out between threads";
  let description = [{
    Precondition: bufferised. Every `linalg` op becomes a loop nest; the outer parallel loops become one `pqk.parallel` whose
    ranges hold at least `grain-work` innermost iterations. A matrix product whose right operand is contiguous in n runs
    in the order m, k, n. Float additions of reductions may be reassociated and contracted, so that they vectorise.

    ```
    linalg.generic {parallel, reduction} ins(%a) outs(%b)
    // becomes
    pqk.parallel (%begin, %end) in %m grain %g { scf.for %i = %begin to %end { scf.for %k = 0 to %n { ... } } }
    ```
  }];
  let options = [Option<"grainWork", "grain-work", "int64_t", "16384", "innermost iterations worth a thread">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::pquant::pqk::PQKernelDialect"];
}

def ToLLVMPass : Pass<"pquant-to-llvm", "::mlir::ModuleOp"> {
  let summary = "everything that is left to the LLVM dialect";
  let description = [{
    Precondition: func, cf, arith, math, vector, memref and LLVM ops only. Memory comes from the runtime's allocator and a
    failed `cf.assert` calls `pquant_rt_fail` (pquant/Runtime/ModelDescriptor.h).

    ```
    cf.assert %ok, "message"
    // becomes
    llvm.cond_br %ok, ^rest, ^fail
    ^fail: llvm.call @pquant_rt_fail(%text); llvm.unreachable
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // PQUANT_CONVERSION_PASSES_TD
