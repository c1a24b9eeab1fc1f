// RUN: pquant-opt %s --pquant-quantize-head=format=bf16 -verify-diagnostics | FileCheck %s

// To nearest, ties to even, through a transpose: [N, K] is [[1 + 2^-8, 1 + 3 * 2^-8], [-1, 2^-100]], a tie that falls and
// one that rises. An error of 2^-8 twice among weights of about 1.

// CHECK-LABEL: func.func @main(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<head> : tensor<2x2xf32>
// CHECK:         pquant.float_linear %{{.+}}, %[[W]]
// CHECK:         head: "0x400000000000803F0000823F000080BF0000800D"
func.func @main(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[1.00390625, -1.0], [1.01171875, 7.88860905e-31]]> : tensor<2x2xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %t = linalg.transpose ins(%w : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
  // expected-warning @+1 {{head of 2 x 2 in bfloat16: relative L2 error of its weights 3.17e-03}}
  %y = pquant.float_linear %x, %t : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
