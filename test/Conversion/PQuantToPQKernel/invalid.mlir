// RUN: pquant-opt %s --pquant-to-pqk -split-input-file -verify-diagnostics

// A packed weight that no kernel takes cannot be decomposed either.

func.func @packed_argument(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi8, #pquant.layout<i8x16x4>>) -> tensor<4x2xf32> {
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  // expected-error@+1 {{'pquant.int8_linear' op expected plain weights to decompose, but got 'tensor<2x8xi8, #pquant.layout<i8x16x4>>'}}
  %y = pquant.int8_linear %q, %s, %w, %ws
      : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8, #pquant.layout<i8x16x4>>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
