//===- Passes.td - Passes from pquant to pquant ------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_PASSES_TD
#define PQUANT_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

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

#endif // PQUANT_TRANSFORMS_PASSES_TD
