//===- Passes.td - Passes from pquant to pquant ------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_PASSES_TD
#define PQUANT_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def CloneLevelsPass : Pass<"pquant-clone-levels", "::mlir::ModuleOp"> {
  let summary = "one copy of every function for each instruction-set level";
  let description = [{
    Precondition: the module has a `pquant.target`. Replaces every function that has a body by one clone for each level,
    `@f` by `@f_<level>`, which carries `pquant.level` and, as `passthrough`, the CPU and features for LLVM, and calls
    the clones of its own level. Globals and declarations are left alone.

    ```mlir
    func.func @main() { return }
    // becomes, with levels "generic" and "avx2"
    func.func @main_generic() attributes {pquant.level = #pquant.level<"generic", ...>} { return }
    func.func @main_avx2() attributes {pquant.level = #pquant.level<"avx2", ...>} { return }
    ```
  }];
}

def CollectWeightsPass : Pass<"pquant-collect-weights", "::mlir::ModuleOp"> {
  let summary = "large constants become views into one weight blob";
  let description = [{
    Precondition: bufferised; constants are read by `memref.get_global`. Every function with a body takes the base of the
    weight blob (`memref<?xi8>`) as its first argument and hands it on in calls. A constant of at least `min-bytes` gets a
    64-byte aligned place in the blob, which its `memref.global` carries as `pquant.offset` (the driver writes the blob
    and drops the global); reads of it become a `memref.view`. Smaller constants and those of type i1 or index stay. The
    module's `pquant.weight_bytes` is the size of the blob.

    ```mlir
    %0 = memref.get_global @w : memref<64x64xf32>
    // becomes
    %0 = memref.view %weights[%c0][] : memref<?xi8> to memref<64x64xf32>
    ```
  }];
  let options = [Option<"minBytes", "min-bytes", "int64_t", "1024", "smallest constant that moves, in bytes">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
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

def FuseElementwisePass : Pass<"pquant-fuse-elementwise"> {
  let summary = "decompose aggregate ops and fuse elementwise chains";
  let description = [{
    Turns `linalg.softmax` and `tensor.concat` into simpler ops, powers with small constant exponents into
    multiplications, and fuses an elementwise `linalg` op into its only user where that user reads each of its elements
    once, so that no arithmetic is repeated. An elementwise op that is broadcast by its user, or has several users, is
    left alone.

    ```mlir
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

def OutlineLayersPass : Pass<"pquant-outline-layers", "::mlir::ModuleOp"> {
  let summary = "identical layers become calls of one function";
  let description = [{
    Finds, in the body of each public function of one block, the operations that repeat with a fixed period (the blocks of
    a decoder) and replaces every repetition by a call of one private function. Constants that differ and other values
    from outside become arguments, so that compile time and code size do not grow with depth. Repetitions shorter than
    `min-operations`, and operations whose regions use outside values other than constants, are left alone.

    ```mlir
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
