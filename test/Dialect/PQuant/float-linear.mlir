// RUN: pquant-opt %s -verify-roundtrip -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @float_linear(
// CHECK:         pquant.float_linear %{{.+}}, %{{.+}} : tensor<2x?x8xf32>, tensor<3x8xf32> -> tensor<2x?x3xf32>
// CHECK:         pquant.float_linear %{{.+}}, %{{.+}} : tensor<8xf32>, tensor<3x8xf32, #pquant.layout<f32x16>> -> tensor<3xf32>
func.func @float_linear(%x: tensor<2x?x8xf32>, %v: tensor<8xf32>, %w: tensor<3x8xf32>, %p: tensor<3x8xf32, #pquant.layout<f32x16>>) {
  %y = pquant.float_linear %x, %w : tensor<2x?x8xf32>, tensor<3x8xf32> -> tensor<2x?x3xf32>
  %z = pquant.float_linear %v, %p : tensor<8xf32>, tensor<3x8xf32, #pquant.layout<f32x16>> -> tensor<3xf32>
  return
}

// -----

func.func @float_linear_c1(%x: tensor<4x?xf32>, %w: tensor<3x8xf32>) {
  // expected-error@+1 {{'pquant.float_linear' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %y = pquant.float_linear %x, %w : tensor<4x?xf32>, tensor<3x8xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @float_linear_c2_columns(%x: tensor<4x8xf32>, %w: tensor<3x9xf32>) {
  // expected-error@+1 {{'pquant.float_linear' op expected weight to have shape 3x8, but got 3x9}}
  %y = pquant.float_linear %x, %w : tensor<4x8xf32>, tensor<3x9xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @float_linear_c2_rows(%x: tensor<4x8xf32>, %w: tensor<?x8xf32>) {
  // expected-error@+1 {{'pquant.float_linear' op expected weight to have static dimensions of at least 1, but got ?x8}}
  %y = pquant.float_linear %x, %w : tensor<4x8xf32>, tensor<?x8xf32> -> tensor<4x?xf32>
  return
}
