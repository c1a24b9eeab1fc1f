//===- PQuantDecoderOps.td - Units of a decoder ------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Normalisation, rotary embedding and attention: what upstream dialects lack
// and a fast decoder needs as one unit.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_DECODEROPS_TD
#define PQUANT_DIALECTS_PQUANT_DECODEROPS_TD

include "dialects/PQuant/PQuantAttrs.td"

def PQuant_RMSNormOp : PQuant_InferringOp<"rms_norm"> {
  let summary = "root-mean-square normalisation of rows";
  let description = [{
    `y[.., k] = (x[.., k] * (1 / sqrt(mean_k x[.., k]^2 + eps))) * weight[k]` in float32.

    Constraints:
    (C1) `input` has rank >= 1 and a static last dimension K.
    (C2) `weight` has shape K.

    Example:
    ```mlir
    %y = pquant.rms_norm %x, %w {eps = 1.000000e-06 : f32} : tensor<1x?x128xf32>, tensor<128xf32> -> tensor<1x?x128xf32>
    ```
    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
  }];
  let arguments = (ins PQuant_FloatTensor:$input, PQuant_FloatTensor:$weight, F32Attr:$eps);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
}

def PQuant_RotaryEmbeddingOp : PQuant_InferringOp<"rotary_embedding"> {
  let summary = "rotary position embedding of query or key heads";
  let description = [{
    `input` is B x H x S x D, `cos` and `sin` are S x D/2 tables of the angles. With c and s row `t` of the tables:

    ```
    half (default):     y[i] = x[i] * c[i] - x[i + D/2] * s[i];  y[i + D/2] = x[i + D/2] * c[i] + x[i] * s[i]
    interleaved:        y[2i] = x[2i] * c[i] - x[2i + 1] * s[i];  y[2i + 1] = x[2i + 1] * c[i] + x[2i] * s[i]
    ```
    for i in [0, D/2).

    Constraints:
    (C1) `input` has rank 4 and a static, even last dimension D.
    (C2) `cos` and `sin` have shape S x D/2.

    Example:
    ```mlir
    %y = pquant.rotary_embedding %x, %c, %s
        : tensor<1x4x?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32> -> tensor<1x4x?x32xf32>
    ```
    Source: Su et al., RoFormer, 2021.
  }];
  let arguments = (ins PQuant_FloatTensor:$input, PQuant_FloatTensor:$cos, PQuant_FloatTensor:$sin,
                       UnitAttr:$interleaved);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $cos `,` $sin (`interleaved` $interleaved^)? attr-dict `:` type($input) `,` type($cos) `,` type($sin)
    `->` type($result)
  }];
}

def PQuant_AttentionOp : PQuant_InferringOp<"attention"> {
  let summary = "scaled dot-product attention with grouped keys and values";
  let description = [{
    `query` is B x H x S x D, `key` B x G x T x D, `value` B x G x T x E; head h reads key and value head `h / (H / G)`.

    ```
    l[s, t] = scale * sum_d query[s, d] * key[t, d] + mask[.., s, t]
    l[s, t] = -inf where causal and t > s + (T - S)
    result[s] = sum_t softmax_t(l[s, t]) * value[t]        (a row that is -inf everywhere gives 0)
    ```

    `causal` aligns the last query with the last key, so a cache that precedes the new keys works. `mask` is added; its
    shape is S x T, or B x 1 x S x T, where B may be 1 for all.

    Constraints:
    (C1) `query`, `key` and `value` have rank 4, D and E static.
    (C2) G is static and divides H.
    (C3) B, T and D agree between the operands where static.
    (C4) `mask`, when present, has shape S x T, B x 1 x S x T or 1 x 1 x S x T.

    Example:
    ```mlir
    %o = pquant.attention %q, %k, %v causal {scale = 0.17677669 : f32}
        : tensor<1x4x?x32xf32>, tensor<1x4x?x32xf32>, tensor<1x4x?x32xf32> -> tensor<1x4x?x32xf32>
    ```
    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.1; Ainslie et al., GQA, 2023.
  }];
  let arguments = (ins PQuant_FloatTensor:$query, PQuant_FloatTensor:$key, PQuant_FloatTensor:$value,
                       Optional<PQuant_FloatTensor>:$mask, F32Attr:$scale, UnitAttr:$causal);
  let results = (outs PQuant_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` `(` $mask^ `:` type($mask) `)`)? (`causal` $causal^)? attr-dict `:`
    type($query) `,` type($key) `,` type($value) `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

def PQuant_CachedAttentionOp : PQuant_InferringOp<"cached_attention", [
    AllTypesMatch<["keyCache", "newKeyCache"]>, AllTypesMatch<["valueCache", "newValueCache"]>]> {
  let summary = "causal attention over a fixed-capacity key and value cache";
  let description = [{
    `key_cache` and `value_cache` are B x G x C x D and B x G x C x E with capacity C; `position` (0-D i64) is the number
    of rows already valid. Writes `key` and `value` (B x G x S x D, E) to rows [position, position + S) of the caches and
    attends causally from `query` (B x H x S x D) to rows [0, position + S):

    ```
    new_key_cache = key_cache with rows [position, position + S) replaced by key; new_value_cache likewise
    result = attention(query, new_key_cache[0 : position + S], new_value_cache[0 : position + S]) causal, `scale`
    ```

    Caches of f16 hold rounded rows. Caches of i8 have 4 more columns: a row is D values q and then the 4 bytes, least
    first, of the f32 `step = max |row| / 127`; it stands for `q * step` with `q = clamp(roundeven(row / step), -127, 127)`.

    position + S > C is undefined behaviour; callers check it. The caches are updated in place when their old values
    have no other use.

    Constraints:
    (C1) all tensor operands but `position` have rank 4; D and E are static.
    (C2) G is static and divides H; B, S, D, E agree where static.
    (C3) the new caches have the types of the old ones.
    (C4) both caches have one element type: f32, f16 or i8; those of i8 have D + 4 and E + 4 columns.

    Example:
    ```mlir
    %o, %kc1, %vc1 = pquant.cached_attention %q, %k, %v, %kc, %vc, %pos {scale = 0.17677669 : f32}
        : tensor<1x4x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x512x32xf32>,
          tensor<1x2x512x32xf32>, tensor<i64> -> tensor<1x4x1x32xf32>
    ```
    Source: as `pquant.attention`.
  }];
  let arguments = (ins PQuant_FloatTensor:$query, PQuant_FloatTensor:$key, PQuant_FloatTensor:$value,
                       PQuant_CacheTensor:$keyCache, PQuant_CacheTensor:$valueCache, TensorOf<[I64]>:$position,
                       F32Attr:$scale);
  let results = (outs PQuant_FloatTensor:$result, PQuant_CacheTensor:$newKeyCache, PQuant_CacheTensor:$newValueCache);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $keyCache `,` $valueCache `,` $position attr-dict `:` type($query) `,` type($key) `,`
    type($value) `,` type($keyCache) `,` type($valueCache) `,` type($position) `->` type($result)
  }];
  let extraClassDeclaration = [{
    /// Columns of an i8 cache behind a row's values: its step.
    static constexpr int64_t kStepColumns = 4;
    /// The caches with the new rows, and their rows up to these.
    struct WrittenCaches {
      ::mlir::Value keyCache, valueCache, keys, values;
    };
    /// Builds both, in the element type of the caches.
    WrittenCaches writeCaches(::mlir::OpBuilder &builder);
  }];
}

#endif // PQUANT_DIALECTS_PQUANT_DECODEROPS_TD
