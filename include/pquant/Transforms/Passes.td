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
    - `alpha * FFN(x) + beta * FFN(x)`, one 1-bit and one INT8, becomes `pquant.decoupled_ffn`; experts that are all
      evaluated and then gathered become its stacked weights behind a `pquant.route`.

    ```mlir
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
    A sign that is zero is an error unless `sign-zero` says which bit it is.
  }];
  let options = [
    Option<"signZero", "sign-zero", "::pquant::SignZero", "::pquant::SignZero::Error",
           "what a zero sign of a 1-bit weight becomes", [{::llvm::cl::values(
             clEnumValN(::pquant::SignZero::Error, "error", "an error"),
             clEnumValN(::pquant::SignZero::Plus, "plus", "+1"),
             clEnumValN(::pquant::SignZero::Minus, "minus", "-1"))}]>,
    Option<"requireQuantized", "require-quantized", "bool", "false",
           "fail when a linear that the model quantises stays in float">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect", "::pquant::PQuantDialect"];
}

#endif // PQUANT_TRANSFORMS_PASSES_TD
