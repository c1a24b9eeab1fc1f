//===- PQKernelOps.td - Operations of the pqk dialect ------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQKERNEL_OPS_TD
#define PQUANT_DIALECTS_PQKERNEL_OPS_TD

include "dialects/PQKernel/PQKernelBase.td"
include "dialects/PQuant/PQuantAttrs.td"

def PQKernel_QuantizeOp : PQKernel_Op<"quantize"> {
  let summary = "quantise rows to INT8";
  let description = [{
    For each of the M rows of `input` (M x K, f32): `values` (M x Kp, i8, Kp = K rounded up to a multiple of 64, padding
    0), `scale` (M, f32, the dequantisation step) and `sum` (M, i32, the sum of the row's values), by `quantizer` (its
    description gives the exact arithmetic).

    Constraints:
    (C1) `values` has K rounded up to a multiple of 64 columns.
    (C2) the row counts agree.

    Example:
    ```mlir
    %q, %s, %t = pqk.quantize ins(%x : tensor<4x100xf32>)
        outs(%q0, %s0, %t0 : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>)
        {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>} -> tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>
    ```
  }];
  let arguments = (ins PQKernel_Matrix<F32, 2>:$input, PQKernel_Matrix<I8, 2>:$values, PQKernel_Matrix<F32, 1>:$scale,
                       PQKernel_Matrix<I32, 1>:$sum, PQuant_QuantizerAttr:$quantizer);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $input `:` type($input) `)` `outs` `(` $values `,` $scale `,` $sum `:` type($values) `,` type($scale) `,`
    type($sum) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return ::mlir::MutableOperandRange(getOperation(), 1, 3); }
  }];
}

def PQKernel_BinaryLinearOp : PQKernel_Op<"binary_linear"> {
  let summary = "1-bit matrix times quantised rows";
  let description = [{
    With K = `columns`, acc the exact int32 sum over k of `input[m, k] * W[n, k]`, W in `layout` of `weight` (d16
    where it does not say):
    `y[m, n] = float(acc) * (scale[m] * weight_scale[n])`, added to `output[m, n]` when `accumulate`.
    `input`, `scale`, `sum` come from `pqk.quantize`; `input` has K rounded up to 64 columns, `weight` is flat bytes,
    `weight_scale` has N elements, `output` is M x N.

    Constraints:
    (C1) `columns` is at least 1 and `input` has that many columns, rounded up to a multiple of 64.
    (C2) `scale`, `sum` and `output` have the input's M rows.
    (C3) `weight_scale` has the output's N elements.
    (C4) `layout` is one of 1-bit matrices and `weight` has the bytes of an N x K matrix in it.

    Example:
    ```mlir
    pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x128xi8>, memref<?xf32>, memref<?xi32>, memref<256xi8>,
        memref<16xf32>) outs(%y : memref<?x16xf32>) accumulate {columns = 100 : i64}
    ```
  }];
  let arguments = (ins PQKernel_Matrix<I8, 2>:$input, PQKernel_Matrix<F32, 1>:$scale, PQKernel_Matrix<I32, 1>:$sum,
                       PQKernel_Matrix<I8, 1>:$weight, PQKernel_Matrix<F32, 1>:$weightScale,
                       PQKernel_Matrix<F32, 2>:$output, I64Attr:$columns, UnitAttr:$accumulate,
                       OptionalAttr<PQuant_LayoutAttr>:$layout);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale `,` $sum `,` $weight `,` $weightScale `:` type($input) `,` type($scale) `,` type($sum)
    `,` type($weight) `,` type($weightScale) `)` `outs` `(` $output `:` type($output) `)` (`accumulate` $accumulate^)?
    attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputMutable(); }
    /// What `weight` is stored in.
    ::pquant::LayoutKind getLayoutKind() {
      return getLayout() ? getLayout()->getKind() : ::pquant::LayoutKind::D16;
    }
  }];
}

def PQKernel_Int8LinearOp : PQKernel_Op<"int8_linear"> {
  let summary = "INT8 matrix times quantised rows";
  let description = [{
    As `pqk.binary_linear` with W in layout i8x16x4; `row_sum[n]` (i32) is the sum over k of `W[n, k]`, which kernels
    need that bias the activations by 128.

    Constraints:
    (C1) `columns` is at least 1 and `input` has that many columns, rounded up to a multiple of 64.
    (C2) `scale` and `output` have the input's M rows.
    (C3) `row_sum` and `weight_scale` have the output's N elements.
    (C4) `weight` has the bytes of an N x K matrix in layout i8x16x4.

    Example:
    ```mlir
    pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<?x128xi8>, memref<?xf32>, memref<2048xi8>, memref<16xi32>,
        memref<16xf32>) outs(%y : memref<?x16xf32>) {columns = 100 : i64}
    ```
  }];
  let arguments = (ins PQKernel_Matrix<I8, 2>:$input, PQKernel_Matrix<F32, 1>:$scale, PQKernel_Matrix<I8, 1>:$weight,
                       PQKernel_Matrix<I32, 1>:$rowSum, PQKernel_Matrix<F32, 1>:$weightScale,
                       PQKernel_Matrix<F32, 2>:$output, I64Attr:$columns, UnitAttr:$accumulate);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale `,` $weight `,` $rowSum `,` $weightScale `:` type($input) `,` type($scale) `,`
    type($weight) `,` type($rowSum) `,` type($weightScale) `)` `outs` `(` $output `:` type($output) `)`
    (`accumulate` $accumulate^)? attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputMutable(); }
  }];
}

def PQKernel_ExpertLinearOp : PQKernel_Op<"expert_linear"> {
  let summary = "INT8 matrix chosen for each row, times quantised rows";
  let description = [{
    As `pqk.int8_linear`, row m with expert e = `index[m]`: `weight` holds E matrices of N x K in layout i8x16x4 one
    after another, `row_sum` and `weight_scale` are E x N.

    Constraints:
    (C1) `columns` is at least 1 and `input` has that many columns, rounded up to a multiple of 64.
    (C2) `scale`, `index` and `output` have the input's M rows.
    (C3) `row_sum` and `weight_scale` are E x N.
    (C4) `weight` has the bytes of E matrices of N x K in layout i8x16x4.

    Example:
    ```mlir
    pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<?x128xi8>, memref<?xf32>, memref<?xi64>, memref<8192xi8>,
        memref<4x16xi32>, memref<4x16xf32>) outs(%y : memref<?x16xf32>) {columns = 100 : i64}
    ```
  }];
  let arguments = (ins PQKernel_Matrix<I8, 2>:$input, PQKernel_Matrix<F32, 1>:$scale, PQKernel_Matrix<I64, 1>:$index,
                       PQKernel_Matrix<I8, 1>:$weight, PQKernel_Matrix<I32, 2>:$rowSum,
                       PQKernel_Matrix<F32, 2>:$weightScale, PQKernel_Matrix<F32, 2>:$output, I64Attr:$columns,
                       UnitAttr:$accumulate);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale `,` $index `,` $weight `,` $rowSum `,` $weightScale `:` type($input) `,` type($scale)
    `,` type($index) `,` type($weight) `,` type($rowSum) `,` type($weightScale) `)` `outs` `(` $output `:` type($output)
    `)` (`accumulate` $accumulate^)? attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputMutable(); }
  }];
}

def PQKernel_FloatLinearOp : PQKernel_Op<"float_linear"> {
  let summary = "float32 matrix times float32 rows";
  let description = [{
    `output[m, n] = sum_k input[m, k] * W[n, k]`, W in layout f32x16 of `weight` (flat floats) or bf16x16 (flat i16). The
    order of the sum is the level's own; levels agree to 1e-4 relative.

    Constraints:
    (C1) `output` has the input's M rows.
    (C2) `weight` has the elements of an N x K matrix in its layout.

    Example:
    ```mlir
    pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
    ```
  }];
  let arguments = (ins PQKernel_Matrix<F32, 2>:$input, PQKernel_Matrix<AnyTypeOf<[F32, I16]>, 1>:$weight,
    PQKernel_Matrix<F32, 2>:$output);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $input `,` $weight `:` type($input) `,` type($weight) `)` `outs` `(` $output `:` type($output) `)` attr-dict
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    /// Whether the weight is in layout bf16x16.
    bool isHalved() {
      return ::llvm::cast<::mlir::ShapedType>(getWeight().getType()).getElementType().isInteger(16);
    }
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputMutable(); }
  }];
}

def PQKernel_Cache : PQKernel_Matrix<AnyTypeOf<[F32, F16, I8]>, 4>;

def PQKernel_AttentionOp : PQKernel_Op<"attention"> {
  let summary = "scaled dot-product attention";
  let description = [{
    `query` is B x H x S x D, `key` B x G x T x D, `value` B x G x T x E, `mask` (optional) B x 1 x S x T or
    1 x 1 x S x T, `output` B x H x S x E; head h reads key and value head `h / (H / G)`. The arithmetic is that of
    `pquant.attention`, in one pass over the keys: softmax keeps a running maximum. The order of the sums is the level's own;
    levels agree to 1e-5 of the largest value. `key` and `value` may be rows of an f16 cache, or of an i8 one as
    `pquant.cached_attention` describes it, with D + 4 and E + 4 columns.

    Constraints:
    (C1) D and E are static, and at least 1; `key` and `value` have one element type.
    (C2) B, H, S and E of `output`, B, G and T of `key` and `value`, and D of `query` and `key` agree where static; G
    divides H.
    (C3) `mask` has one head, and the output's S rows and the keys' T columns where static.

    Example:
    ```mlir
    pqk.attention ins(%q, %k, %v : memref<1x4x?x32xf32>, memref<1x2x?x32xf32>, memref<1x2x?x32xf32>)
        outs(%o : memref<1x4x?x32xf32>) causal {scale = 0.17677669 : f32}
    ```
  }];
  let arguments = (ins PQKernel_Matrix<F32, 4>:$query, PQKernel_Cache:$key, PQKernel_Cache:$value,
                       Optional<PQKernel_Matrix<F32, 4>>:$mask, PQKernel_Matrix<F32, 4>:$output, F32Attr:$scale,
                       UnitAttr:$causal);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $query `,` $key `,` $value `:` type($query) `,` type($key) `,` type($value) `)` (`mask` `(` $mask^ `:`
    type($mask) `)`)? `outs` `(` $output `:` type($output) `)` (`causal` $causal^)? attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputMutable(); }
  }];
}

//===----------------------------------------------------------------------===//
// Parallelism
//===----------------------------------------------------------------------===//

def PQKernel_ParallelOp : Op<PQKernel_Dialect, "parallel", [
    SingleBlock, RecursiveMemoryEffects, NoTerminator]> {
  let summary = "a range shared out between threads";
  let description = [{
    Runs the region on contiguous, disjoint ranges [begin, end) that cover [0, `count`), each at least `grain` long where
    possible, in any order and on any thread. `begin` and `end` are the region's arguments. Values from above may be
    used; memory written by one range must not be touched by another. Becomes one runtime call.

    Constraints:
    (C1) the region has two arguments of type index.
    (C2) no op of the region's block gives a tensor; the op exists after bufferization only.

    Example:
    ```mlir
    pqk.parallel (%begin, %end) in %count grain %grain {
      scf.for %i = %begin to %end step %step {
        memref.store %value, %memory[%i] : memref<?xf32>
      }
    }
    ```
  }];
  let arguments = (ins Index:$count, Index:$grain);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [
    OpBuilder<(ins "::mlir::Value":$count, "::mlir::Value":$grain,
      CArg<"::llvm::function_ref<void(::mlir::OpBuilder &, ::mlir::Location, ::mlir::Value, ::mlir::Value)>">:$bodyBuilder)>
  ];
}

//===----------------------------------------------------------------------===//
// Profiles
//===----------------------------------------------------------------------===//

def PQKernel_ProbeOp : Op<PQKernel_Dialect, "probe"> {
  let summary = "where a piece of work begins or ends";
  let description = [{
    Tells the runtime that the piece of work called `name` begins here, or with `end` ends here; nothing happens unless
    a profile is being taken. `kind` says what is done, `rows` on how many rows. One call reads `weight_bytes`, the bytes
    of one matrix, as often as there are rows but at most `matrices` times when each row chooses one of several
    `matrices`, else once; each row moves `row_bytes` of activations and takes `row_ops` operations (a multiplication
    and an addition are two). A begin and its end follow each other in one block with equal attributes, and do not nest.
    Becomes one runtime call.

    Example:
    ```mlir
    pqk.probe begin "/head/MatMul" kind "float_linear" rows %m {row_ops = 3200, weight_bytes = 6400}
    ```
  }];
  let arguments = (ins StrAttr:$name, StrAttr:$kind, Index:$rows, DefaultValuedAttr<I64Attr, "0">:$weight_bytes,
                       DefaultValuedAttr<I64Attr, "1">:$matrices, DefaultValuedAttr<I64Attr, "0">:$row_bytes,
                       DefaultValuedAttr<I64Attr, "0">:$row_ops, UnitAttr:$end);
  let assemblyFormat = "(`end` $end^) : (`begin`)? $name `kind` $kind `rows` $rows attr-dict";
}

#endif // PQUANT_DIALECTS_PQKERNEL_OPS_TD
