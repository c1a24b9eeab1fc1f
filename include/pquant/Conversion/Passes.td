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

def ExpandTrigonometryPass : Pass<"pquant-expand-trigonometry"> {
  let summary = "sine and cosine of f32 in f64 arithmetic";
  let description = [{
    `math.sin` and `math.cos` of f32 scalars become a reduction to a quarter turn and a polynomial, both in f64, for targets
    without a mathematical library. The f32 result is rounded once up to arguments of 2^30. Other types are left alone.

    ```mlir
    %1 = math.sin %0 : f32
    // becomes arith ops, math.roundeven, math.floor and math.fma of f64
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def GPUToRuntimePass : Pass<"pquant-gpu-to-runtime", "::mlir::ModuleOp"> {
  let summary = "launches and GPU memory to runtime calls";
  let description = [{
    Precondition: kernels are outlined and take index, i64 and memrefs. `gpu.alloc`, `gpu.dealloc`, `gpu.memcpy` and
    `gpu.launch_func` become calls of the functions of pquant/Runtime/ModelDescriptor.h; the kernels move to one
    `gpu.module` whose attribute `pquant.kernels` lists them by number. A launch that is not between two `pqk.probe` gets
    some of kind `elementwise`, named after the nodes of its location.

    ```
    gpu.launch_func @k::@k blocks in (%g, %c1, %c1) threads in (%c256, %c1, %c1) args(%x : memref<?xf32>)
    // becomes
    memref.store %address, %words[%c0] : memref<5xindex> // and so on: address, offset, size, stride
    call @pquant_rt_gpu_launch(%number, %g, %c1, %c256, %shared, %words_address, %c5)
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::gpu::GPUDialect",
    "::mlir::memref::MemRefDialect", "::pquant::pqk::PQKernelDialect"];
}

def KernelsToNVVMPass : Pass<"pquant-kernels-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "bodies of kernels to the NVVM dialect";
  let description = [{
    Precondition: a module of kernels of gpu, arith, cf, math, memref, vector, LLVM and NVVM ops. Nothing but LLVM and NVVM ops
    is left. Square roots, rounding and fused multiplications become intrinsics; a mathematical function without an
    exact instruction is an error, as no library is linked. A block of up to 512 threads gets at most half of a multiprocessor's
    registers, so that a block of the kernel behind it can begin beside it.

    ```
    %1 = math.sqrt %0 : f32
    // becomes
    %1 = llvm.intr.sqrt(%0) : (f32) -> f32
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

def LinalgToGPUPass : Pass<"pquant-linalg-to-gpu"> {
  let summary = "linalg on GPU memory to launches";
  let description = [{
    Precondition: memory is placed (`pquant-place-buffers`). Every `linalg` op and copy that is not the host's becomes a
    `gpu.launch`: a thread for each point of the parallel dimensions, or a block where a reduction is long and
    associative. Ops of static size on a few thousand elements that follow one another, `pqk.quantize` of one row among
    them, share a launch of one block: what a thread has computed stays in its registers, loads are of four elements
    where they stand side by side, and barriers stand only where a thread reads what another one wrote. So do several ops
    on the rows of one open dimension, where row r of what each writes follows from row r of what it reads, in a block for
    each row. Other tensor work may stand between the ops when it has no memory in common with those before it. GPU memory
    that is then only written is erased.

    ```
    linalg.generic {parallel, reduction} ins(%a : memref<?x4096xf32>) outs(%b : memref<?xf32>) { ... addf ... }
    // becomes
    gpu.launch blocks(...) in (%m, 1, 1) threads(...) in (512, 1, 1) { scf.for ..., gpu.shuffle ... }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
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

def MarkStatesPass : Pass<"pquant-mark-states", "::mlir::ModuleOp"> {
  let summary = "mark the states among the arguments of entry points";
  let description = [{
    Precondition: before bufferisation. Arguments of public functions that are memrefs get `pquant.state`.
  }];
}

def MergeLaunchesPass : Pass<"pquant-merge-launches"> {
  let summary = "launches of one block become one";
  let description = [{
    Launches of one block of 1024 threads that follow one another, with nothing but allocations, views, arithmetic and probes
    between them, become one launch with a barrier between their bodies. Memory that was freed between them is freed after
    it; its time is that of the probes around the last one.

    ```
    gpu.launch blocks(...) in (1, 1, 1) threads(...) in (1024, 1, 1) { A }
    gpu.launch blocks(...) in (1, 1, 1) threads(...) in (1024, 1, 1) { B }
    // becomes
    gpu.launch blocks(...) in (1, 1, 1) threads(...) in (1024, 1, 1) { A; gpu.barrier; B }
    ```
  }];
  let dependentDialects = ["::mlir::gpu::GPUDialect"];
}

def PlaceBuffersPass : Pass<"pquant-place-buffers", "::mlir::ModuleOp"> {
  let summary = "tensors in GPU memory, and copies to and from it";
  let description = [{
    Precondition: bufferised, with the weights as the first argument and `pquant.state` on states. Allocations become
    `gpu.alloc`; inputs of public functions are copied in, results out, but those of functions with states stay on the GPU.
    What host code loads is computed by the host where it depends on inputs only (such ops get `pquant.host`), and read
    back otherwise.

    ```
    func.func @main(%w: memref<?xi8>, %x: memref<?xf32>) -> memref<?xf32> {
      %y = memref.alloc(%n) : memref<?xf32>
      linalg.generic ... ins(%x) outs(%y)
      return %y
    }
    // becomes
      %in = gpu.alloc(%n) : memref<?xf32>
      gpu.memcpy %in, %x
      %y = gpu.alloc(%n) : memref<?xf32>
      linalg.generic ... ins(%in) outs(%y)
      %out = memref.alloc(%n) : memref<?xf32>
      gpu.memcpy %out, %y
      return %out
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect"];
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

def WidenArgumentsPass : Pass<"pquant-widen-arguments"> {
  let summary = "scalars that kernels take are of eight bytes";
  let description = [{
    Scalars narrower than 64 bits that a `gpu.launch` uses from outside, constants apart, are carried in as i64.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect"];
}

#endif // PQUANT_CONVERSION_PASSES_TD
