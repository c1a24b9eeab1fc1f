// RUN: pquant-opt %s --split-input-file --verify-diagnostics

func.func @quantize_c1(%x: tensor<f32>) {
  // expected-error @+1 {{'pquant.quantize' op expected input to have a static last dimension of at least 1, but got a scalar}}
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<f32> -> tensor<i8>, tensor<f32>
  return
}

// -----

func.func @quantize_c2(%x: tensor<4x?xf32>) {
  // expected-error @+1 {{'pquant.quantize' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<4x?xf32> -> tensor<4x?xi8>, tensor<4xf32>
  return
}

// -----

func.func @quantize_c2_layout(%x: tensor<4x8xf32, #pquant.layout<f32x16>>) {
  // expected-error @+1 {{'pquant.quantize' op expected input without a layout, but got 'tensor<4x8xf32, #pquant.layout<f32x16>>'}}
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<4x8xf32, #pquant.layout<f32x16>> -> tensor<4x8xi8>, tensor<4xf32>
  return
}

// -----

func.func @quantize_result_type(%x: tensor<4x8xf32>) {
  // expected-error @+2 {{'pquant.quantize' op inferred type(s) 'tensor<4x8xi8>', 'tensor<4xf32>' are incompatible with return type(s) of operation 'tensor<4x8xi8>', 'tensor<5xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<5xf32>
  return
}

// -----

func.func @binary_linear_c1(%q: tensor<4x?xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x?xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c2(%q: tensor<4x8xi8>, %s: tensor<5xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected input_scale to have shape 4, but got 5}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x8xi8>, tensor<5xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c3(%q: tensor<4x8xi8>, %s: tensor<4xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected at least one plane, but got none}}
  %y = "pquant.binary_linear"(%q, %s) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (tensor<4x8xi8>, tensor<4xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c3_scales(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected one scale for each of the 2 planes, but got 1}}
  %y = pquant.binary_linear %q, %s planes(%w, %w) scales(%ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>, tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c4(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x9xi1>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected plane 0 to have shape 2x8, but got 2x9}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x9xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c4_empty(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<0x8xi1>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected plane 0 to have static dimensions of at least 1, but got 0x8}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<0x8xi1>), (tensor<1x1xf32>) -> tensor<4x0xf32>
  return
}

// -----

func.func @binary_linear_c4_encoding(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %p: tensor<2x8xi1, #pquant.layout<d16>>, %ws: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected plane 1 to have type 'tensor<2x8xi1>' of plane 0, but got 'tensor<2x8xi1, #pquant.layout<d16>>'}}
  %y = pquant.binary_linear %q, %s planes(%w, %p) scales(%ws, %ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>, tensor<2x8xi1, #pquant.layout<d16>>), (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c5_rows(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<3x1xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected scale of plane 0 to have shape RxG with R 1 or 2 and G a divisor of 8, but got 3x1}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<3x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c5_groups(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x3xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected scale of plane 0 to have shape RxG with R 1 or 2 and G a divisor of 8, but got 1x3}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x3xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @binary_linear_c6(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>, %z: tensor<3xf32>) {
  // expected-error @+1 {{'pquant.binary_linear' op expected offset to have shape 1 or 2, but got 3}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) offset(%z : tensor<3xf32>) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @int8_linear_c1(%q: tensor<i8>, %s: tensor<f32>, %w: tensor<2x8xi8>, %ws: tensor<1xf32>) {
  // expected-error @+1 {{'pquant.int8_linear' op expected input to have a static last dimension of at least 1, but got a scalar}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<i8>, tensor<f32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<2xf32>
  return
}

// -----

func.func @int8_linear_c2(%q: tensor<4x8xi8>, %s: tensor<4x1xf32>, %w: tensor<2x8xi8>, %ws: tensor<1xf32>) {
  // expected-error @+1 {{'pquant.int8_linear' op expected input_scale to have shape 4, but got 4x1}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4x1xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @int8_linear_c3(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x16xi8>, %ws: tensor<1xf32>) {
  // expected-error @+1 {{'pquant.int8_linear' op expected weight to have shape 2x8, but got 2x16}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x16xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @int8_linear_c4(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi8>, %ws: tensor<f32>) {
  // expected-error @+1 {{'pquant.int8_linear' op expected weight_scale to have shape 1 or 2, but got a scalar}}
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<f32> -> tensor<4x2xf32>
  return
}

// -----

func.func @decoupled_linear_c1(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w8: tensor<2x9xi8>, %s8: tensor<1xf32>, %w1: tensor<2x8xi1>, %s1: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.decoupled_linear' op expected int8_weight to have shape 2x8, but got 2x9}}
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q, %s, planes(%w1), scales(%s1))
    : (tensor<4x8xi8>, tensor<4xf32>, tensor<2x9xi8>, tensor<1xf32>), (tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>)) -> tensor<4x2xf32>
  return
}

// -----

func.func @decoupled_linear_c2(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w8: tensor<2x8xi8>, %s8: tensor<1xf32>, %w1: tensor<2x8xi1>, %s1: tensor<2x2x2xf32>) {
  // expected-error @+1 {{'pquant.decoupled_linear' op expected scale of plane 0 to have shape RxG with R 1 or 2 and G a divisor of 8, but got 2x2x2}}
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q, %s, planes(%w1), scales(%s1))
    : (tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32>), (tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<2x2x2xf32>)) -> tensor<4x2xf32>
  return
}

// -----

func.func @decoupled_linear_c3(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w8: tensor<2x8xi8>, %s8: tensor<1xf32>, %w1: tensor<3x8xi1>, %s1: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.decoupled_linear' op expected both branches to have the same output width, but got 2 (INT8) and 3 (1-bit)}}
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q, %s, planes(%w1), scales(%s1))
    : (tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32>), (tensor<4x8xi8>, tensor<4xf32>, (tensor<3x8xi1>), (tensor<1x1xf32>)) -> tensor<4x2xf32>
  return
}

// -----

func.func @decoupled_linear_c3_rows(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %q1: tensor<5x8xi8>, %s5: tensor<5xf32>, %w8: tensor<2x8xi8>, %s8: tensor<1xf32>, %w1: tensor<2x8xi1>, %s1: tensor<1x1xf32>) {
  // expected-error @+1 {{'pquant.decoupled_linear' op expected both branches to have the same leading dimensions, but got 4 (INT8) and 5 (1-bit)}}
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q1, %s5, planes(%w1), scales(%s1))
    : (tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32>), (tensor<5x8xi8>, tensor<5xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>)) -> tensor<4x2xf32>
  return
}
