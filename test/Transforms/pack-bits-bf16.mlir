// RUN: pquant-opt %s --pquant-pack-bits | FileCheck %s

// Of a matrix whose values are all bfloat16, the upper halves of the floats: 1, 2, 3 are 3F80, 4000, 4040, -2^-100 is 8D80.
// The first four bytes of a printed blob are its alignment, 64.

module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>]>} {
// CHECK-LABEL: func.func @halves(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<[[$KEY:.+]]> : tensor<3x2xf32, #pquant.layout<bf16x16>>
// CHECK:         pquant.float_linear %{{.+}}, %[[W]]
func.func @halves(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[1.0, 4.0], [2.0, 5.0], [3.0, -7.88860905e-31]]> : tensor<3x2xf32>
  %y = pquant.float_linear %x, %w : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// One value with a bit more keeps them all.
// CHECK-LABEL: func.func @one_bit_more(
// CHECK:         tensor<3x2xf32, #pquant.layout<f32x16>>
func.func @one_bit_more(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[1.0, 4.0], [2.0, 5.0], [3.0, 1.00390625]]> : tensor<3x2xf32>
  %y = pquant.float_linear %x, %w : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}
}
// CHECK: {{^ *}}[[$KEY]]: "0x40000000803F00404040{{(0{52})}}8040A040808D{{(0{52})}}"
