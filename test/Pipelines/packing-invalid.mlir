// RUN: pquant-opt %s --pquant-packing-pipeline -split-input-file -verify-diagnostics

// The phase ends in its contract: a weight that is no constant cannot be packed.

module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>]>} {
func.func @weight_is_a_value(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi8>) -> tensor<4x2xf32> {
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  // expected-error @+1 {{'pquant.int8_linear' op does not belong after packing: expected a packed constant weight}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
}

// -----

// Only a target knows layouts.

// expected-error @+1 {{module has no pquant.target}}
module {
func.func @no_target(%q: tensor<4x8xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<3> : tensor<2x8xi8>
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
}
