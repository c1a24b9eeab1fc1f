// RUN: pquant-opt %s --split-input-file --verify-diagnostics

func.func @route_c1(%x: tensor<4x?xf32>, %w: tensor<2x8xf32>) {
  // expected-error @+1 {{'pquant.route' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %e, %p = pquant.route %x, %w : tensor<4x?xf32>, tensor<2x8xf32> -> tensor<4xi64>, tensor<4xf32>
  return
}

// -----

func.func @route_c2(%x: tensor<4x8xf32>, %w: tensor<2x9xf32>) {
  // expected-error @+1 {{'pquant.route' op expected weight to have shape 2x8, but got 2x9}}
  %e, %p = pquant.route %x, %w : tensor<4x8xf32>, tensor<2x9xf32> -> tensor<4xi64>, tensor<4xf32>
  return
}

// -----

func.func @route_c2_rank(%x: tensor<4x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{'pquant.route' op expected weight to be a matrix of 8 columns, but got shape 8}}
  %e, %p = pquant.route %x, %w : tensor<4x8xf32>, tensor<8xf32> -> tensor<4xi64>, tensor<4xf32>
  return
}

// -----

func.func @route_c2_no_expert(%x: tensor<4x8xf32>, %w: tensor<0x8xf32>) {
  // expected-error @+1 {{'pquant.route' op expected weight to have static dimensions of at least 1, but got 0x8}}
  %e, %p = pquant.route %x, %w : tensor<4x8xf32>, tensor<0x8xf32> -> tensor<4xi64>, tensor<4xf32>
  return
}

// -----

func.func @expert_linear_c1(%q: tensor<4x?xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2x3x8xi8>, %ws: tensor<2x1xf32>) {
  // expected-error @+1 {{'pquant.expert_linear' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws : tensor<4x?xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x3x8xi8>, tensor<2x1xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @expert_linear_c2_scale(%q: tensor<4x8xi8>, %s: tensor<3xf32>, %e: tensor<4xi64>, %w: tensor<2x3x8xi8>, %ws: tensor<2x1xf32>) {
  // expected-error @+1 {{'pquant.expert_linear' op expected input_scale to have shape 4, but got 3}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws : tensor<4x8xi8>, tensor<3xf32>, tensor<4xi64>, tensor<2x3x8xi8>, tensor<2x1xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @expert_linear_c2_index(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<i64>, %w: tensor<2x3x8xi8>, %ws: tensor<2x1xf32>) {
  // expected-error @+1 {{'pquant.expert_linear' op expected index to have shape 4, but got a scalar}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<i64>, tensor<2x3x8xi8>, tensor<2x1xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @expert_linear_c3(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2x3x7xi8>, %ws: tensor<2x1xf32>) {
  // expected-error @+1 {{'pquant.expert_linear' op expected weight to have shape 2x3x8, but got 2x3x7}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x3x7xi8>, tensor<2x1xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @expert_linear_c4(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2x3x8xi8>, %ws: tensor<1x3xf32>) {
  // expected-error @+1 {{'pquant.expert_linear' op expected weight_scale to have shape 2x1 or 2x3, but got 1x3}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x3x8xi8>, tensor<1x3xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @decoupled_ffn_c1(%x: tensor<4x?xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x?xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>), (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<4x?xf32>
  return
}

// -----

func.func @decoupled_ffn_c2(%x: tensor<4x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x5xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected binary down to have shape 8x4, but got 8x5}}
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x5xi1>, tensor<1xf32>), (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @decoupled_ffn_c2_scale(%x: tensor<4x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %s2: tensor<2xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected int8 down scale to have shape 1, but got 2}}
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s2)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>), (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<2xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @decoupled_ffn_c3(%x: tensor<4x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected a gate in both branches or in none, but got one in the 1-bit branch only}}
  %y = pquant.decoupled_ffn %x binary(gate %u1, %s : tensor<4x8xi1>, tensor<1xf32>, up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>), (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @decoupled_ffn_c4(%x: tensor<4x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %s2: tensor<2xf32>, %u8: tensor<2x2x8xi8>, %d8: tensor<2x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected index and probability with 2 experts, but got none}}
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s2, down %d8, %s2)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>), (tensor<2x2x8xi8>, tensor<2xf32>, tensor<2x8x2xi8>, tensor<2xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @decoupled_ffn_c4_rows(%x: tensor<4x8xf32>, %e: tensor<4xi64>, %p: tensor<3xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) {
  // expected-error @+1 {{'pquant.decoupled_ffn' op expected probability to have shape 4, but got 3}}
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s) routed(%e, %p : tensor<4xi64>, tensor<3xf32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<4x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>), (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return
}
