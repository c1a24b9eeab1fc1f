//===- Passes.td - Lowerings between dialects --------------*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_CONVERSION_PASSES_TD
#define PQUANT_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertPQuantToPQKernelPass : Pass<"convert-pquant-to-pqk", "::mlir::ModuleOp"> {
  let summary = "lower packed pquant ops to kernels on matrices";
  let description = [{
    Quantisers and linear layers with packed weights become destination-style `pqk` ops on two-dimensional tensors:
    leading dimensions are collapsed, packed constants become flat byte (or float) constants over the same blob, scales
    become one f32 for each row of the weight, row sums of INT8 weights are computed here. Further planes and the 1-bit
    half of a decoupled linear accumulate into the output of the first. Every other `pquant` op, and a linear that no
    kernel takes (several scales a row, weights that are no packed constants), is replaced by its definition, with a
    remark.

    Precondition: `pquant-verify-packed`. A packed weight that no kernel takes is an error.

    ```mlir
    %q, %s = pquant.quantize %x {quantizer = #q} : tensor<1x?x128xf32> -> tensor<1x?x128xi8>, tensor<1x?xf32>
    %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
        : ..., (tensor<256x128xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<1x?x256xf32>
    ```
    becomes
    ```mlir
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

#endif // PQUANT_CONVERSION_PASSES_TD
