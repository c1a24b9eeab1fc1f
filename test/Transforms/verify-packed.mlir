// RUN: pquant-opt %s --pquant-verify-packed -split-input-file -verify-diagnostics

// Packed weights, and grouped scales whose weight stays plain, are the form.

func.func @packed(%q: tensor<4x4xi8>, %s: tensor<4xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %p = arith.constant dense_resource<packed> : tensor<2x4xi1, #pquant.layout<d16>>
  %w = arith.constant dense<true> : tensor<2x4xi1>
  %s1 = arith.constant dense<0.5> : tensor<1x1xf32>
  %s2 = arith.constant dense<0.5> : tensor<1x2xf32>
  %y = pquant.binary_linear %q, %s planes(%p) scales(%s1)
      : tensor<4x4xi8>, tensor<4xf32>, (tensor<2x4xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %z = pquant.binary_linear %q, %s planes(%w) scales(%s2)
      : tensor<4x4xi8>, tensor<4xf32>, (tensor<2x4xi1>), (tensor<1x2xf32>) -> tensor<4x2xf32>
  return %y, %z : tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

func.func @plain_weight(%q: tensor<4x4xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<1> : tensor<2x4xi8>
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  // expected-error@+1 {{'pquant.int8_linear' op does not belong after packing: expected a packed constant weight, but got 'tensor<2x4xi8>'}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x4xi8>, tensor<4xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

func.func @ffn(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<1x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<1x8x4xi8>
  // expected-error@+1 {{'pquant.decoupled_ffn' op does not belong after packing: it must be lowered by --pquant-dispatch-experts or --pquant-fuse-branches}}
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s1, down %d8, %s1)
      {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>, activation = #pquant.activation<relu>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<1x4x8xi8>, tensor<1xf32>, tensor<1x8x4xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

func.func @memory(%x: memref<4xf32>) {
  // expected-error@+1 {{'memref.dealloc' op does not belong after packing: expected an op of a tensor-level dialect}}
  memref.dealloc %x : memref<4xf32>
  return
}
