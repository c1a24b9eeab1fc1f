//===- Passes.td - Passes from pquant to pquant ------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_PASSES_TD
#define PQUANT_TRANSFORMS_PASSES_TD

include "pquant/Transforms/PackingPasses.td"

def CloneLevelsPass : Pass<"pquant-clone-levels", "::mlir::ModuleOp"> {
  let summary = "copies of every function for the instruction-set levels";
  let description = [{
    Precondition: the module has a `pquant.target`. Replaces every function that has a body by one clone for each run of
    levels that differ in their kernels only: `@f` by `@f_<first level>`, which carries `pquant.level` and, as
    `passthrough`, the CPU and features for LLVM, and calls the clones of its own run. Where a run has several levels,
    they are in `pquant.shared_by`, and a last argument of type index says which one of them runs. Globals and
    declarations are left alone.

    ```
    func.func @main() { return }
    // becomes, with levels "generic" and "avx2"
    func.func @main_generic() attributes {pquant.level = #pquant.level<"generic", ...>} { return }
    func.func @main_avx2() attributes {pquant.level = #pquant.level<"avx2", ...>} { return }
    // and with levels "avx512", "avx512vbmi" and "amx", all of CPU x86-64-v4,
    func.func @main_avx512(%level: index) attributes {pquant.level = #pquant.level<"avx512", ...>,
                                                      pquant.shared_by = [#pquant.level<"avx512", ...>, ...]} { return }
    ```
  }];
}

def CollectWeightsPass : Pass<"pquant-collect-weights", "::mlir::ModuleOp"> {
  let summary = "large constants become views into one weight blob";
  let description = [{
    Precondition: bufferised; constants are read by `memref.get_global`. Every function with a body takes the base of the
    weight blob (`memref<?xi8>`) as its first argument and hands it on in calls. A constant of at least `min-bytes` gets a
    64-byte aligned place in the blob, which its `memref.global` carries as `pquant.offset` (the driver writes the blob
    and drops the global); reads of it become a `memref.view`. Smaller constants and those of type index stay. The
    module's `pquant.weight_bytes` is the size of the blob.

    ```
    %0 = memref.get_global @w : memref<64x64xf32>
    // becomes
    %0 = memref.view %weights[%c0][] : memref<?xi8> to memref<64x64xf32>
    ```
  }];
  let options = [Option<"minBytes", "min-bytes", "int64_t", "1024", "smallest constant that moves, in bytes">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def CountLinearsPass : Pass<"pquant-count-linears", "::mlir::func::FuncOp"> {
  let summary = "report the quantised linear layers of each function";
  let description = [{
    Precondition: raised IR, plain or packed. Emits one remark for each function that has quantised linear layers: the
    number of 1-bit and INT8 matrices (each expert counts) and the mean bits that store a weight, scales not counted. A
    matrix of P planes takes P bits a weight. Changes nothing.
  }];
}

def DecomposePass : Pass<"pquant-decompose"> {
  let summary = "replace pquant ops by their definitions in upstream ops";
  let description = [{
    Replaces every `pquant` op by what its description says, in `linalg`, `tensor`, `arith` and `math` ops, with exact
    integer accumulation in i32. The result is slow and meant for tests, for debugging and for machines without kernels.

    Precondition: weights are in their plain form. Packed weights (a tensor with a `#pquant.layout`) are an error, since
    their values are no longer addressable.

    ```mlir
    %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
        : tensor<4x128xf32> -> tensor<4x128xi8>, tensor<4xf32>
    ```
    becomes a maximum reduction, an elementwise step and an elementwise rounding.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::tensor::TensorDialect"];
}

def FoldConstantsPass : Pass<"pquant-fold-constants"> {
  let summary = "evaluate tensor subgraphs that depend on constants only";
  let description = [{
    Replaces the results of tensor ops that depend on constants only, and that something else reads, by constants: the
    cosines of rotary tables, a transposed or cast weight, masks. Evaluation is bit-exact in float32 (one rounding an
    operation; sums are rounded once). A transpose of a constant that a `linalg.generic` reads becomes a permuted indexing
    map instead, which moves no data.

    Precondition: raising is done, since folding a quantiser together with its straight-through residue would lose it.
    Left alone: `tensor.empty` and `linalg.fill`, element types other than f32 and integers, and results that would make
    the constants of the module grow by more than `max-growth` in all; such a result gets a remark.

    ```
    %0 = linalg.generic {...} ins(%angles : tensor<24x32xf32>) ... { math.cos ... }
    ```
    becomes
    ```mlir
    %0 = arith.constant dense_resource<cos> : tensor<24x32xf32>
    ```
  }];
  let options = [
    Option<"maxGrowth", "max-growth", "int64_t", "1048576",
           "bytes that all constants together may grow by">];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseElementwisePass : Pass<"pquant-fuse-elementwise"> {
  let summary = "decompose aggregate ops and fuse elementwise chains";
  let description = [{
    Turns `linalg.softmax` and `tensor.concat` into simpler ops, powers with small constant exponents into
    multiplications, and fuses an elementwise `linalg` op into its only user where that user reads each of its elements
    once, so that no arithmetic is repeated. An elementwise op that is broadcast by its user, or has several users, is
    left alone. Constant sizes of `tensor.expand_shape` become part of its type.

    ```
    %1 = linalg.generic {add} ins(%a, %b) ...
    %2 = linalg.generic {mul} ins(%1, %c) ...
    // becomes
    %2 = linalg.generic {add, mul} ins(%a, %b, %c) ...
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def PlanBuffersPass : Pass<"pquant-plan-buffers"> {
  let summary = "the buffers of a block share one allocation";
  let description = [{
    Precondition: bufferised, with deallocations. Buffers that a block allocates and frees and whose sizes are multiples
    of the same product of dimensions (or static) become views of one allocation. Each has a fixed place, in bytes for
    each unit of that product, that no other has while it lives: large buffers first, each at the lowest place that is
    free. Buffers that are returned, or freed under a condition, are left alone.

    ```
    %a = memref.alloc(%n) : memref<?x256xf32>     // 1024 n bytes
    %b = memref.alloc(%n) : memref<?x64xi8>       // 64 n bytes
    memref.dealloc %a
    %c = memref.alloc(%n) : memref<?x32xf32>      // 128 n bytes, where %a was
    memref.dealloc %b, %c
    // becomes
    %size = arith.muli %n, %c1088
    %arena = memref.alloc(%size) {alignment = 64} : memref<?xi8>
    %a = memref.view %arena[%c0][%n] : memref<?xi8> to memref<?x256xf32>
    ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def InsertProbesPass : Pass<"pquant-insert-probes"> {
  let summary = "mark where kernels and parallel loops begin and end";
  let description = [{
    Precondition: bufferised. Puts a `pqk.probe` before and after every `pqk` op that becomes a kernel call and every
    `pqk.parallel`, named after the node that the op came from; what is inside a `pqk.parallel` belongs to it. Bytes and
    operations follow from the operands' types: flat operands of static size are weights, the columns of matrices are
    what a row moves; a row of attention is a position of the keys and values.

    ```
    pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
    // becomes
    %m = memref.dim %y, %c0 : memref<?x16xf32>
    pqk.probe begin "/head/MatMul" kind "float_linear" rows %m {row_bytes = 464, row_ops = 3200, weight_bytes = 6400}
    pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
    pqk.probe end "/head/MatMul" kind "float_linear" rows %m {row_bytes = 464, row_ops = 3200, weight_bytes = 6400}
    ```
    Loops outside of `pqk.parallel` are left alone: they are too small to be shared out. So are launches of a GPU, which get
    theirs from `pquant-gpu-to-runtime`.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::pquant::pqk::PQKernelDialect"];
}

def OutlineLayersPass : Pass<"pquant-outline-layers", "::mlir::ModuleOp"> {
  let summary = "identical layers become calls of one function";
  let description = [{
    Finds, in the body of each public function of one block, the operations that repeat with a fixed period (the blocks of
    a decoder) and replaces every repetition by a call of one private function. Constants that differ and other values
    from outside, also those that only a region uses, become arguments, so that compile time and code size do not grow
    with depth. Repetitions shorter than `min-operations` are left alone.

    ```
    %1 = op1(%x, %w1); %2 = op2(%1); %3 = op1(%2, %w2); %4 = op2(%3)
    // becomes
    %2 = call @layer(%x, %w1); %4 = call @layer(%2, %w2)
    ```
  }];
  let options = [Option<"minOperations", "min-operations", "unsigned", "8", "shortest layer, in operations">];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def RaisePass : Pass<"pquant-raise", "::mlir::ModuleOp"> {
  let summary = "recognise quantiser arithmetic and quantised weights";
  let description = [{
    Replaces what a float graph says by arithmetic with the `pquant` op that it means. Precondition: tensor IR in the form
    that the frontends write (one `linalg.generic` per elementwise operator, reduction or matrix product; constants that
    were not folded together yet, so this pass runs before `--pquant-fold-constants`).

    - A linear layer whose activation is the AbsMax quantisation of its rows, dequantised, and whose weight is quantised,
      becomes `pquant.quantize` (one for all linears that read the same rows) and `pquant.binary_linear` or
      `pquant.int8_linear`. The arithmetic before the rounding must be one of the formulas of `#pquant.quantizer`; the
      straight-through residue `x + (q - x)` is dropped on both sides.
    - A weight is recognised by arithmetic, `Q * s` or `Q / s` with Q evaluated to integers, or by value: a constant that
      holds two values +-s, the three {-s, 0, s}, or integers times a scale, per tensor or per row, and that the form
      rebuilds bit for bit. Ternary weights become two planes with half the scale.
    - Weights that are sums of scaled signs become several planes: terms added up, planes stacked in one tensor, products
      with one plane each added up, or values that up to four planes and an offset rebuild to the rounding of their sum.
    - The integers of the activation may be multiplied first, and weights of -1, 0 and 1 as well: what follows the product
      then gives the step and the scale, when it is their product or quotient and the only use. Otherwise the steps are 1.
    - `alpha * FFN(x) + beta * FFN(x)`, one 1-bit and one INT8, becomes `pquant.decoupled_ffn`; experts that are all
      evaluated and then gathered become its stacked weights behind a `pquant.route`.

    ```
    %y = linalg.generic {...} ins(%fake_quantised_x, %fake_quantised_w : tensor<4x128xf32>, tensor<128x256xf32>) ...
    ```
    becomes
    ```mlir
    %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
        : tensor<4x128xf32> -> tensor<4x128xi8>, tensor<4xf32>
    %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
        : tensor<4x128xi8>, tensor<4xf32>, (tensor<256x128xi1>), (tensor<1x1xf32>) -> tensor<4x256xf32>
    ```

    Left alone: linears with a float activation or weight (embedding, router, LM head), and everything that is near to a
    pattern but not it, with the reason in the summary, which is one remark on the module.
    A sign that is zero is an error unless `sign-zero` says which bit it is. Values that are off a grid by last bits, as
    an exporter that folds `w + (q - w)` leaves them, are taken for the grid's with `snap-weights`, if they are within
    0.001 steps of it; a remark says how far off they were.
  }];
  let options = [
    Option<"signZero", "sign-zero", "::pquant::SignZero", "::pquant::SignZero::Error",
           "what a zero sign of a 1-bit weight becomes", [{::llvm::cl::values(
             clEnumValN(::pquant::SignZero::Error, "error", "an error"),
             clEnumValN(::pquant::SignZero::Plus, "plus", "+1"),
             clEnumValN(::pquant::SignZero::Minus, "minus", "-1"))}]>,
    Option<"snapWeights", "snap-weights", "bool", "false",
           "take weights within 0.001 steps of a quantiser's grid for the grid's">,
    Option<"requireQuantized", "require-quantized", "bool", "false",
           "fail when a linear that the model quantises stays in float">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
    "::pquant::PQuantDialect"];
}

def RaiseDecoderPass : Pass<"pquant-raise-decoder", "::mlir::ModuleOp"> {
  let summary = "recognise RMS norm, attention and rotary embedding";
  let description = [{
    Replaces `x * (1 / sqrt(mean(x^2) + eps)) * w`, written out, by `pquant.rms_norm`,
    `softmax(scale * Q K^T + mask) V` by `pquant.attention`, and `x * cos + concat(-x'', x') * sin` by
    `pquant.rotary_embedding`, x' and x'' being the halves of x. Precondition: tensor IR as the frontends write it.

    - The softmax is over the last dimension of float32 [batch, heads, queries, keys].
    - Q, K and V are the tensors behind all views (reshapes, transposes, heads repeated by expand or broadcast, batch and
      heads merged), transposed where their dimensions are in another order. Constant factors of Q, K and their product
      become one scale.
    - The mask is added or selected, and is 0 or a very negative number by a condition on positions. It falls away where
      the condition always holds and becomes `causal` where it is `t <= s + (T - S)`, which integer arithmetic on
      positions (ranges, offsets of a cache, differences of positions) is followed to find out.
    - Both elements of a rotated pair are sums of two products, whether as halves or as neighbours. cos and sin have a row
      for each row of x, and the same for both elements, by their arithmetic or as numbers of a constant.

    ```
    %l = linalg.generic {(b, h, s, d), (b, h, t, d) -> (b, h, s, t)} ins(%q, %k) ...
    %m = linalg.generic ins(%visible, %l) { select(%visible, %l, -inf) } ...
    %p = linalg.softmax dimension(3) ins(%m) ...
    %y = linalg.generic {(b, h, s, t), (b, h, t, e) -> (b, h, s, e)} ins(%p, %v) ...
    ```
    becomes
    ```mlir
    %y = pquant.attention %q, %k, %v causal {scale = 1.000000e+00 : f32}
        : tensor<1x4x?x32xf32>, tensor<1x4x?x32xf32>, tensor<1x4x?x32xf32> -> tensor<1x4x?x32xf32>
    ```

    Left alone: attention whose mask is data, whose probabilities have another use, or whose sizes are not known to be
    those of heads, with the reason in the summary, which is one remark on the module; rotations by angles that depend on
    the batch. Results agree up to the rounding of the scale, which is applied once, and the order of two products.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect", "::pquant::PQuantDialect"];
}

def VerifyKernelsPass : Pass<"pquant-verify-kernels", "::mlir::ModuleOp"> {
  let summary = "check that a module is in the form that lowering to kernels leaves";
  let description = [{
    The contract at the end of the kernels phase: no `pquant`, `linalg`, `tensor` or `bufferization` op is left, no op
    has a tensor as result, and of `pqk` there are only `pqk.parallel` and `pqk.probe`; every function with a body has
    its `pquant.level`. The first op that does not belong is an error that says why. Changes nothing.
  }];
}

def VerifyRaisedPass : Pass<"pquant-verify-raised"> {
  let summary = "check the form that raising leaves";
  let description = [{
    The contract at the end of phase `raised`: only `func`, `arith`, `math`, `tensor`, `linalg`, `affine`, `cf`, `scf` and
    `pquant` ops, values of tensor, index and scalar types, and no storage layout yet. The first op that does not belong
    is an error that names it and says why. Changes nothing.

    ```mlir
    %0 = memref.alloc() : memref<4xf32>   // error: ... does not belong in phase 'raised': expected a tensor-level dialect
    ```
  }];
}

#endif // PQUANT_TRANSFORMS_PASSES_TD
