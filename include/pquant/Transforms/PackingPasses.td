//===- PackingPasses.td - Passes from raised to packed ------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_PACKINGPASSES_TD
#define PQUANT_TRANSFORMS_PACKINGPASSES_TD

include "mlir/Pass/PassBase.td"

def CreateEntryPointsPass : Pass<"pquant-create-entry-points", "::mlir::ModuleOp"> {
  let summary = "a step function that takes and returns past keys and values gets in-place forms";
  let description = [{
    Precondition: packed; the module has one public function. When every attention of that function reads, causally,
    `concat(past, new)` along positions, or a `past` of a fixed capacity with the new rows written at the positions of
    their tokens, where `past` is an argument and what is read a result, and what is left is one argument of tokens, others
    known by name (positions, masks of padding) and one result of logits, two functions of the same weights are added:
    `@decode` for one token and `@prefill` for any number of them. Both take the tokens, the number of tokens before them
    (`position`), and one `memref` of a fixed capacity for each past tensor, which they write in place by
    `pquant.cached_attention`; both return the last token's logits. position + tokens <= capacity is the caller's duty.
    Otherwise one remark says what is in the way. `cache` chooses what the memory holds: f32, f16 or int8. With `batch`,
    `@decode_batch` is added too: `@decode` of any number of sequences that all have `position` tokens, with memory for each.

    ```
    func.func @main(%ids: tensor<?x?xi64>, %past_k: tensor<?x2x?x64xf32>, ...) -> (tensor<?x?x9xf32>, tensor<?x2x?x64xf32>, ...)
    // is joined by
    func.func @decode(%ids: tensor<1x1xi64>, %position: tensor<i64>, %k: memref<1x2x?x64xf32>, ...) -> tensor<1x9xf32>
    func.func @prefill(%ids: tensor<1x?xi64>, %position: tensor<i64>, %k: memref<1x2x?x64xf32>, ...) -> tensor<1x9xf32>
    ```
  }];
  let options = [
    Option<"cache", "cache", "::pquant::CacheType", "::pquant::CacheType::F32",
           "what the caches hold: f32 (default), f16 or int8, rows of integers with their step",
           [{::llvm::cl::values(clEnumValN(::pquant::CacheType::F32, "f32", "float32"),
                                clEnumValN(::pquant::CacheType::F16, "f16", "float16"),
                                clEnumValN(::pquant::CacheType::I8, "int8", "INT8 with a step for each row"))}]>,
    Option<"batch", "batch", "bool", "false", "several sequences at once: add @decode_batch">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"];
}

def DispatchExpertsPass : Pass<"pquant-dispatch-experts", "::mlir::ModuleOp"> {
  let summary = "evaluate only the chosen expert of routed feed-forward layers";
  let description = [{
    Replaces every routed `pquant.decoupled_ffn` by quantisers, linears and elementwise ops. Its INT8 linears become
    `pquant.expert_linear` on the stacked weights with the routed index, so that a row reads one expert's matrix only;
    with a stack of one they become `pquant.int8_linear`. The probability is multiplied into the activation scale of the
    INT8 down projection (one number a row), constant alpha and beta into the weight scales of the down projections; no
    factor costs a pass over memory. The folded product of scales is rounded once in float32, so results may differ from
    the unfolded ones by about 2^-23 relative; integer parts do not change.

    Precondition: raised IR. A layer without a routed index is left to `pquant-fuse-branches`, with a remark.

    ```
    %y = pquant.decoupled_ffn %x binary(up %u1, %us1, down %d1, %ds1) int8(up %u8, %us8, down %d8, %ds8)
        routed(%e, %p : tensor<4xi64>, tensor<4xf32>) {...}
    ```
    becomes
    ```
    %q, %s = pquant.quantize %x
    %b = pquant.binary_linear %q, %s planes(%u1) scales(%us1)
    %i = pquant.expert_linear %q, %s, %e, %u8, %us8
    %qb, %sb = pquant.quantize act(%b);  %qi, %si = pquant.quantize act(%i)
    %yi = pquant.expert_linear %qi, %si * %p, %e, %d8, %ds8
    %yb = pquant.binary_linear %qb, %sb planes(%d1) scales(%ds1)
    %y = %yi + %yb
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::tensor::TensorDialect"];
}

def FuseBranchesPass : Pass<"pquant-fuse-branches", "::mlir::ModuleOp"> {
  let summary = "share quantised activations and join linears that read them";
  let description = [{
    - `pquant.decoupled_ffn` without routing becomes quantisers, linears, elementwise ops and one
      `pquant.decoupled_linear` for both down projections.
    - Quantisers of the same value by the same formula become one.
    - A constant that multiplies the result of a linear, which nothing else reads, is multiplied into its weight scale.
    - An INT8 and a 1-bit linear whose results are added, and used for nothing else, become a `pquant.decoupled_linear`.
    - alpha and beta of decoupled linears are multiplied into the weight scales when constant, otherwise into the
      activation scales.
    - Linears of one kind over the same quantised rows (Q, K, V; gate, up) become one with their weights stacked by rows
      and their scales per row; the results are slices of its result.

    A linear is not joined when a weight or scale is no constant, or when a reader of its result needs dense rows (a
    quantiser, a collapse of rows, a return, ...): the slice would have to be copied, which costs more than the joining
    saves. Linalg ops, `tensor.expand_shape`, `tensor.extract_slice`, rotary embedding and attention read slices in
    place. Residual additions and act(gate) * up stay elementwise linalg ops.

    ```
    %q0, %s0 = pquant.quantize %x;  %a = pquant.binary_linear %q0, %s0 planes(%wa) scales(%sa)   // 128 rows
    %q1, %s1 = pquant.quantize %x;  %b = pquant.binary_linear %q1, %s1 planes(%wb) scales(%sb)   // 64 rows
    ```
    becomes
    ```
    %q, %s = pquant.quantize %x
    %ab = pquant.binary_linear %q, %s planes(%wab) scales(%sab)                                  // 192 rows
    %a = tensor.extract_slice %ab[0, 0] [4, 128] [1, 1]
    %b = tensor.extract_slice %ab[0, 128] [4, 64] [1, 1]
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::tensor::TensorDialect"];
}

def PackBitsPass : Pass<"pquant-pack-bits", "::mlir::ModuleOp"> {
  let summary = "store constant weights in the layout of the target";
  let description = [{
    Repacks the constant weights of linear layers into the layout that the module's `pquant.target` chooses
    (`LayoutChooserInterface`), as tensors with a `#pquant.layout` encoding whose blob holds the packed bytes
    (docs/Layout.md). Weights are packed one at a time; the plain bytes are freed as soon as nothing else refers to them.
    A constant that several ops share is packed once. A tied embedding keeps its plain copy for the gather. A float matrix
    whose every value is a bfloat16 takes two bytes a value (`bf16x16`).

    Left alone: 1-bit linears with several scales a row (no kernel takes groups; they are decomposed later), weights that
    are no constants. Both give a remark, and `pquant-verify-packed` names the latter.

    ```mlir
    %w = arith.constant dense_resource<w> : tensor<256x128xi1>
    ```
    becomes
    ```mlir
    %w = arith.constant dense_resource<packed_w> : tensor<256x128xi1, #pquant.layout<d16>>
    ```
  }];
  let options = [
    Option<"layout", "layout", "std::string", /*default=*/"\"target\"",
           "`target`: what the module's `pquant.target` chooses; `d16`: d16, i8x16x4 and f32x16 whatever the target">];
  let dependentDialects = ["::pquant::PQuantDialect", "::mlir::arith::ArithDialect"];
}

def QuantizeHeadPass : Pass<"pquant-quantize-head", "::mlir::ModuleOp"> {
  let summary = "float linears that make the model's outputs become INT8 or bfloat16";
  let description = [{
    A `pquant.float_linear` whose result an entry point returns, through reshapes, slices and elementwise operations at
    most, is a head (the LM head of a decoder). With format `int8` its rows are quantised, each with its own step
    `max|w| / 127`, its input by `mul_recip`, eps 1e-5; with `bf16` its weights are rounded to the nearest bfloat16 and
    the input stays. What that costs in accuracy is reported as the relative L2 error of the weights. Fails where the module has no head with constant weights.

    ```
    %y = pquant.float_linear %x, %w : tensor<4x128xf32>, tensor<1000x128xf32> -> tensor<4x1000xf32>
    // becomes
    %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
    %y = pquant.int8_linear %q, %s, %w8, %ws : .., tensor<1000x128xi8>, tensor<1000xf32> -> tensor<4x1000xf32>
    ```
  }];
  let options = [Option<"format", "format", "std::string", /*default=*/"\"int8\"", "`int8` or `bf16`">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::pquant::PQuantDialect"];
}

def RaiseFloatLinearsPass : Pass<"pquant-raise-float-linears", "::mlir::ModuleOp"> {
  let summary = "turn f32 contractions with a large constant matrix into float linears";
  let description = [{
    A contraction (`linalg.generic` of mulf and addf into zeros, or a named matmul) of f32 rows with a constant [K, N] or
    [N, K] matrix, or a transposed constant, becomes `pquant.float_linear` when the matrix has at least `min-elements`
    elements, so that its weight can be packed (LM head, projections left in float). Smaller ones gain nothing and stay.

    ```
    %y = linalg.generic {(m, k), (k, n) -> (m, n)} ins(%x, %w : tensor<4x128xf32>, tensor<128x1000xf32>) ...
    ```
    becomes
    ```
    %t = linalg.transpose ins(%w) permutation = [1, 0]       // read through by pquant-pack-bits
    %y = pquant.float_linear %x, %t : tensor<4x128xf32>, tensor<1000x128xf32> -> tensor<4x1000xf32>
    ```
  }];
  let options = [
    Option<"minElements", "min-elements", "int64_t", /*default=*/"16384", "smallest matrix taken, in elements">];
  let dependentDialects = [
    "::pquant::PQuantDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def VerifyPackedPass : Pass<"pquant-verify-packed", "::mlir::ModuleOp"> {
  let summary = "check that a module is in the form that packing leaves";
  let description = [{
    The contract at the end of the packed phase: weights of linear layers are packed constants (1-bit linears with several
    scales a row excepted), no `pquant.decoupled_ffn` is left, and every other op is of an upstream tensor-level dialect.
    The first op that does not belong is an error that says why.
  }];
}

#endif // PQUANT_TRANSFORMS_PACKINGPASSES_TD
