// RUN: pquant-opt %s --pquant-quantize-head -split-input-file -verify-diagnostics | FileCheck %s
// RUN: not pquant-opt %s --pquant-quantize-head=format=f16 -split-input-file 2>&1 | FileCheck %s --check-prefix=FORMAT
// FORMAT: error: expected format to be 'int8' or 'bf16', but got 'f16'

// Through reshapes and elementwise operations; one warning and one constant for both entry points. Rows are 127 times
// 1/127, 0 and 2: a step of 1/127, 0 and 2/127.

// CHECK-LABEL: func.func @main(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<head> : tensor<3x2xi8>
// CHECK:         %[[Q:.+]], %[[QS:.+]] = pquant.quantize %{{.+}} {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
// CHECK:         %[[S:.+]] = arith.constant dense<[0.00787401571, 0.000000e+00, 0.0157480314]> : tensor<3xf32>
// CHECK:         pquant.int8_linear %[[Q]], %[[QS]], %[[W]], %[[S]]
// CHECK-NOT:     pquant.float_linear
func.func @main(%x: tensor<?x?x2xf32>) -> tensor<?x?x3xf32> {
  %w = arith.constant dense<[[1.0, 0.0], [0.0, 0.0], [-2.0, 1.0]]> : tensor<3x2xf32>
  // expected-warning @+1 {{head of 3 x 2 in INT8: relative L2 error of its weights 3.21e-03}}
  %y = pquant.float_linear %x, %w : tensor<?x?x2xf32>, tensor<3x2xf32> -> tensor<?x?x3xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%y : tensor<?x?x3xf32>) outs(%y : tensor<?x?x3xf32>) {
  ^bb0(%in: f32, %out: f32):
    %t = math.tanh %in : f32
    linalg.yield %t : f32
  } -> tensor<?x?x3xf32>
  return %z : tensor<?x?x3xf32>
}

// CHECK-LABEL: func.func @decode(
// CHECK:         pquant.int8_linear
func.func @decode(%x: tensor<1x1x2xf32>) -> tensor<1x3xf32> {
  %w = arith.constant dense<[[1.0, 0.0], [0.0, 0.0], [-2.0, 1.0]]> : tensor<3x2xf32>
  %y = pquant.float_linear %x, %w : tensor<1x1x2xf32>, tensor<3x2xf32> -> tensor<1x1x3xf32>
  %z = tensor.collapse_shape %y [[0, 1], [2]] : tensor<1x1x3xf32> into tensor<1x3xf32>
  return %z : tensor<1x3xf32>
}

// CHECK: head: "0x400000007F0000008140"

// -----

// A linear whose result only takes part in another sum is no head.
// expected-error @below {{no head to quantise: expected an output that is the result of a float linear with constant weights}}
module {
  func.func @sum(%x: tensor<4x2xf32>, %r: tensor<4x2xf32>) -> tensor<4x2xf32> {
    %w = arith.constant dense<[[1.0, 0.0], [0.0, 3.0]]> : tensor<2x2xf32>
    %y = pquant.float_linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
    %z = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
                         iterator_types = ["parallel", "parallel"]}
        ins(%y, %r : tensor<4x2xf32>, tensor<4x2xf32>) outs(%y : tensor<4x2xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %t = arith.addf %a, %b : f32
      linalg.yield %t : f32
    } -> tensor<4x2xf32>
    return %z : tensor<4x2xf32>
  }
}
