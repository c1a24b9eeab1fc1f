//===- PQuantOps.td - Operations of the pquant dialect -----*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_OPS_TD
#define PQUANT_DIALECTS_PQUANT_OPS_TD

include "dialects/PQuant/PQuantAttrs.td"
include "dialects/PQuant/PQuantDecoderOps.td"

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

def PQuant_QuantizeOp : PQuant_InferringOp<"quantize"> {
  let summary = "AbsMax quantisation of activation rows to INT8";
  let description = [{
    Quantises every row (the last dimension, of length K) of `input` by `quantizer`, whose description gives the exact
    arithmetic. `values` has the input's shape; `scale` has the input's shape without the last dimension and holds the
    dequantisation step, so that `input[.., k]` is about `values[.., k] * scale[..]`.

    Rounding is half to even, saturation to `[qmin, qmax]`. With `eps > 0` a row of zeros gives zeros. A row that holds a
    NaN or an infinity gives unspecified values.

    Constraints:
    (C1) `input` has rank >= 1.
    (C2) The last dimension is static and at least 1.

    Example:
    ```mlir
    %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
        : tensor<1x?x128xf32> -> tensor<1x?x128xi8>, tensor<1x?xf32>
    ```
    Source: pQuant, arXiv 2602.22592, AbsMax quantiser.
  }];
  let arguments = (ins PQuant_FloatTensor:$input, PQuant_QuantizerAttr:$quantizer);
  let results = (outs PQuant_Int8Tensor:$values, PQuant_FloatTensor:$scale);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($values) `,` type($scale)";
}

//===----------------------------------------------------------------------===//
// Linear layers
//===----------------------------------------------------------------------===//

def PQuant_BinaryLinearOp : PQuant_InferringOp<"binary_linear", [AttrSizedOperandSegments]> {
  let summary = "linear layer with P >= 1 planes of 1-bit weights";
  let description = [{
    With `W_p[n, k]` = +1 where bit 1, -1 where bit 0, of plane p:

    ```
    acc_p[.., n, g] = sum over k in group g of input[.., k] * W_p[n, k]            (exact int32)
    y[.., n] = input_scale[..] * (sum_p sum_g scale_p[n, g] * acc_p[.., n, g] + offset[n] * sum_k input[.., k])
    ```

    P = 1 is pQuant's 1-bit linear; ternary weights are two planes with equal scales; binary-coded weights have one scale
    a plane. `scale_p` has shape `R x G`: R is 1 (per tensor) or N (per row), G >= 1 groups divide K evenly.
    `offset` (z in W = sum_p s_p B_p + z) has shape `R`; absent means zero.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension K.
    (C2) `input_scale` has the input's shape without the last dimension.
    (C3) there is at least one plane, and one scale a plane.
    (C4) every plane has shape N x K, the same encoding, and N >= 1.
    (C5) every scale has shape R x G with R in {1, N} and K divisible by G.
    (C6) `offset`, when present, has shape 1 or N.

    Example:
    ```mlir
    %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
        : tensor<4x128xi8>, tensor<4xf32>, (tensor<256x128xi1>), (tensor<1x1xf32>) -> tensor<4x256xf32>
    ```
    Source: pQuant, arXiv 2602.22592, 1-bit linear.
  }];
  let arguments = (ins
    PQuant_Int8Tensor:$input,
    PQuant_FloatTensor:$inputScale,
    Variadic<PQuant_BitMatrix>:$planes,
    Variadic<PQuant_FloatTensor>:$scales,
    Optional<PQuant_FloatTensor>:$offset);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $inputScale `planes` `(` $planes `)` `scales` `(` $scales `)` (`offset` `(` $offset^ `:` type($offset) `)`)?
    attr-dict `:` type($input) `,` type($inputScale) `,` `(` type($planes) `)` `,` `(` type($scales) `)` `->` type($result)
  }];
  let extraClassDeclaration = [{
    int64_t getRows();    ///< N
    int64_t getColumns(); ///< K
  }];
  let hasCanonicalizer = 1;
}

def PQuant_Int8LinearOp : PQuant_InferringOp<"int8_linear"> {
  let summary = "linear layer with INT8 weights";
  let description = [{
    `y[.., n] = input_scale[..] * weight_scale[n] * sum_k input[.., k] * weight[n, k]`, the sum an exact int32.
    `weight_scale` has shape 1 (per tensor) or N (per row) and is the dequantisation step of the weights.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension K.
    (C2) `input_scale` has the input's shape without the last dimension.
    (C3) `weight` has shape N x K with N >= 1.
    (C4) `weight_scale` has shape 1 or N.

    Example:
    ```mlir
    %y = pquant.int8_linear %q, %s, %w, %ws
        : tensor<4x128xi8>, tensor<4xf32>, tensor<256x128xi8>, tensor<1xf32> -> tensor<4x256xf32>
    ```
    Source: pQuant, arXiv 2602.22592, INT8 branch.
  }];
  let arguments = (ins PQuant_Int8Tensor:$input, PQuant_FloatTensor:$inputScale, PQuant_Int8Matrix:$weight,
                       PQuant_FloatTensor:$weightScale);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $inputScale `,` $weight `,` $weightScale attr-dict `:` type($input) `,` type($inputScale) `,`
    type($weight) `,` type($weightScale) `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

def PQuant_FloatLinearOp : PQuant_InferringOp<"float_linear"> {
  let summary = "linear layer with float32 weights";
  let description = [{
    `y[.., n] = sum_k input[.., k] * weight[n, k]` in float32; the order of the sum is not specified, implementations
    agree to about 1e-4 relative. For large matrices that stay in float (the LM head), so that they can be packed.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension K.
    (C2) `weight` has shape N x K with N >= 1.

    Example:
    ```mlir
    %y = pquant.float_linear %x, %w : tensor<4x128xf32>, tensor<1000x128xf32> -> tensor<4x1000xf32>
    ```
    Source: y = x W^T.
  }];
  let arguments = (ins PQuant_FloatTensor:$input, PQuant_FloatTensor:$weight);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
}

def PQuant_DecoupledLinearOp : PQuant_InferringOp<"decoupled_linear", [AttrSizedOperandSegments]> {
  let summary = "sum of a 1-bit and an INT8 linear layer of the same output width";
  let description = [{
    `y = alpha * int8_linear(int8_input, int8_scale, int8_weight, int8_weight_scale)
       + beta * binary_linear(binary_input, binary_scale, planes, scales)`

    The two branches read their own quantised activations (the down projection of a decoupled feed-forward layer) or the
    same ones. `alpha` and `beta` are 0-D; absent means 1. Scale folding multiplies them into the weight scales.

    Constraints:
    (C1) the INT8 branch satisfies (C1)-(C4) of `pquant.int8_linear`.
    (C2) the 1-bit branch satisfies (C1)-(C5) of `pquant.binary_linear`.
    (C3) both branches have the same N and the same leading dimensions.

    Example:
    ```mlir
    %y = pquant.decoupled_linear int8(%q8, %s8, %w8, %ws8) binary(%q1, %s1, planes(%w1), scales(%ws1))
        : (tensor<4x64xi8>, tensor<4xf32>, tensor<96x64xi8>, tensor<1xf32>),
          (tensor<4x128xi8>, tensor<4xf32>, (tensor<96x128xi1>), (tensor<1x1xf32>)) -> tensor<4x96xf32>
    ```
    Source: pQuant, arXiv 2602.22592, decoupled linear layer and feature scaling.
  }];
  let arguments = (ins
    PQuant_Int8Tensor:$int8Input, PQuant_FloatTensor:$int8Scale, PQuant_Int8Matrix:$int8Weight,
    PQuant_FloatTensor:$int8WeightScale,
    PQuant_Int8Tensor:$binaryInput, PQuant_FloatTensor:$binaryScale,
    Variadic<PQuant_BitMatrix>:$planes, Variadic<PQuant_FloatTensor>:$scales,
    Optional<PQuant_FloatScalar>:$alpha, Optional<PQuant_FloatScalar>:$beta);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    `int8` `(` $int8Input `,` $int8Scale `,` $int8Weight `,` $int8WeightScale `)`
    `binary` `(` $binaryInput `,` $binaryScale `,` `planes` `(` $planes `)` `,` `scales` `(` $scales `)` `)`
    (`alpha` `(` $alpha^ `:` type($alpha) `)`)? (`beta` `(` $beta^ `:` type($beta) `)`)? attr-dict `:`
    `(` type($int8Input) `,` type($int8Scale) `,` type($int8Weight) `,` type($int8WeightScale) `)` `,`
    `(` type($binaryInput) `,` type($binaryScale) `,` `(` type($planes) `)` `,` `(` type($scales) `)` `)`
    `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

//===----------------------------------------------------------------------===//
// Routing and experts
//===----------------------------------------------------------------------===//

def PQuant_RouteOp : PQuant_InferringOp<"route"> {
  let summary = "top-1 router: the most probable expert of each row and its probability";
  let description = [{
    ```
    logits[.., e] = sum_h input[.., h] * weight[e, h]
    p = softmax(logits) over e
    probability[..] = max_e p[.., e];  index[..] = the smallest e where p is that maximum
    ```
    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension H.
    (C2) `weight` has shape E x H with E >= 1.

    Example:
    ```mlir
    %e, %p = pquant.route %x, %w : tensor<2x16x128xf32>, tensor<4x128xf32> -> tensor<2x16xi64>, tensor<2x16xf32>
    ```
    Source: pQuant, arXiv 2602.22592, routed INT8 experts.
  }];
  let arguments = (ins PQuant_FloatTensor:$input, PQuant_FloatTensor:$weight);
  let results = (outs PQuant_IndexTensor:$index, PQuant_FloatTensor:$probability);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($index) `,` type($probability)
  }];
}

def PQuant_ExpertLinearOp : PQuant_InferringOp<"expert_linear"> {
  let summary = "INT8 linear layer whose matrix is chosen for each row";
  let description = [{
    With e = index[..]: `y[.., n] = input_scale[..] * weight_scale[e, n] * sum_k input[.., k] * weight[e, n, k]`, the sum
    an exact int32. `weight_scale` has shape E x 1 or E x N. Only the chosen expert's weights are read. An index outside
    [0, E) is undefined behaviour; `pquant.route` never gives one.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension K.
    (C2) `input_scale` and `index` have the input's shape without the last dimension.
    (C3) `weight` has shape E x N x K with E, N >= 1.
    (C4) `weight_scale` has shape E x 1 or E x N.

    Example:
    ```mlir
    %y = pquant.expert_linear %q, %s, %e, %w, %ws
        : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi64>, tensor<8x256x128xi8>, tensor<8x1xf32> -> tensor<4x256xf32>
    ```
    Source: pQuant, arXiv 2602.22592, routed INT8 experts.
  }];
  let arguments = (ins PQuant_Int8Tensor:$input, PQuant_FloatTensor:$inputScale, PQuant_IndexTensor:$index,
                       PQuant_Int8Stack:$weight, PQuant_FloatTensor:$weightScale);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $inputScale `,` $index `,` $weight `,` $weightScale attr-dict `:` type($input) `,` type($inputScale) `,`
    type($index) `,` type($weight) `,` type($weightScale) `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

def PQuant_Activation : I32Enum<"Activation", "activation function of a feed-forward layer", [
    I32EnumCase<"SiLU", 0, "silu">,
    I32EnumCase<"GELU", 1, "gelu">,
    I32EnumCase<"ReLU", 2, "relu">,
    I32EnumCase<"ReLU2", 3, "relu2">]> {
  let cppNamespace = "::pquant";
}
def PQuant_ActivationAttr : EnumAttr<PQuant_Dialect, PQuant_Activation, "activation"> {
  let assemblyFormat = "`<` $value `>`";
}

def PQuant_DecoupledFFNOp : PQuant_InferringOp<"decoupled_ffn", [AttrSizedOperandSegments]> {
  let summary = "feed-forward layer with a 1-bit branch and routed INT8 branches";
  let description = [{
    `y = alpha * p * FFN_int8[e](x) + beta * FFN_1bit(x)`, where

    ```
    FFN(x) = down(act(gate(q(x))) * up(q(x)))     with a gate
    FFN(x) = down(act(up(q(x))))                  without
    ```

    Each linear reads its input through `quantizer` (q); gate and up share one quantisation of `input`, each branch
    quantises its own hidden vector. `act` is `activation`: silu v * sigmoid(v); gelu v * (1 + erf(v / sqrt 2)) / 2;
    relu max(v, 0); relu2 max(v, 0)^2. The INT8 weights are stacks over E experts; `index` and `probability` choose and
    weigh one for each row (`pquant.route`); without them E is 1 and p is 1. `alpha` and `beta` are 0-D; absent means 1.

    Shapes: H the model width, h the 1-bit hidden width, r the INT8 hidden width. binary gate and up h x H, down H x h, each
    with a scale of shape 1; INT8 gate and up E x r x H, down E x H x r, each with a scale of shape E.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension H.
    (C2) the weights have the shapes above, with their scales.
    (C3) the binary gate, its scale, the INT8 gate and its scale are all present or all absent.
    (C4) `index` and `probability` are both present, with the input's shape without the last dimension, or both absent;
         absent requires E = 1.

    Example:
    ```mlir
    %y = pquant.decoupled_ffn %x binary(up %u1, %us1, down %d1, %ds1) int8(up %u8, %us8, down %d8, %ds8)
        {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<gelu>}
        : tensor<4x128xf32>, (tensor<256x128xi1>, tensor<1xf32>, tensor<128x256xi1>, tensor<1xf32>),
          (tensor<1x64x128xi8>, tensor<1xf32>, tensor<1x128x64xi8>, tensor<1xf32>) -> tensor<4x128xf32>
    ```
    Source: pQuant, arXiv 2602.22592, decoupled feed-forward layer, routed experts, feature scaling.
  }];
  let arguments = (ins
    PQuant_FloatTensor:$input,
    Optional<PQuant_BitMatrix>:$binaryGate, Optional<PQuant_FloatTensor>:$binaryGateScale,
    PQuant_BitMatrix:$binaryUp, PQuant_FloatTensor:$binaryUpScale,
    PQuant_BitMatrix:$binaryDown, PQuant_FloatTensor:$binaryDownScale,
    Optional<PQuant_Int8Stack>:$int8Gate, Optional<PQuant_FloatTensor>:$int8GateScale,
    PQuant_Int8Stack:$int8Up, PQuant_FloatTensor:$int8UpScale,
    PQuant_Int8Stack:$int8Down, PQuant_FloatTensor:$int8DownScale,
    Optional<PQuant_IndexTensor>:$index, Optional<PQuant_FloatTensor>:$probability,
    Optional<PQuant_FloatScalar>:$alpha, Optional<PQuant_FloatScalar>:$beta,
    PQuant_QuantizerAttr:$quantizer, PQuant_ActivationAttr:$activation);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $input
    `binary` `(` (`gate` $binaryGate^ `,` $binaryGateScale `:` type($binaryGate) `,` type($binaryGateScale) `,`)?
      `up` $binaryUp `,` $binaryUpScale `,` `down` $binaryDown `,` $binaryDownScale `)`
    `int8` `(` (`gate` $int8Gate^ `,` $int8GateScale `:` type($int8Gate) `,` type($int8GateScale) `,`)?
      `up` $int8Up `,` $int8UpScale `,` `down` $int8Down `,` $int8DownScale `)`
    (`routed` `(` $index^ `,` $probability `:` type($index) `,` type($probability) `)`)?
    (`alpha` `(` $alpha^ `:` type($alpha) `)`)? (`beta` `(` $beta^ `:` type($beta) `)`)?
    attr-dict `:` type($input) `,`
    `(` type($binaryUp) `,` type($binaryUpScale) `,` type($binaryDown) `,` type($binaryDownScale) `)` `,`
    `(` type($int8Up) `,` type($int8UpScale) `,` type($int8Down) `,` type($int8DownScale) `)` `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

#endif // PQUANT_DIALECTS_PQUANT_OPS_TD
