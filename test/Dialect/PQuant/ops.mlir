// RUN: pquant-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: @quantize
func.func @quantize(%x: tensor<1x?x128xf32>) -> (tensor<1x?x128xi8>, tensor<1x?xf32>) {
  // CHECK: pquant.quantize %{{[a-zA-Z0-9_]+}} {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  // CHECK-SAME: : tensor<1x?x128xf32> -> tensor<1x?x128xi8>, tensor<1x?xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
    : tensor<1x?x128xf32> -> tensor<1x?x128xi8>, tensor<1x?xf32>
  return %q, %s : tensor<1x?x128xi8>, tensor<1x?xf32>
}

// CHECK-LABEL: @quantize_one_row
func.func @quantize_one_row(%x: tensor<7xf32>) -> tensor<f32> {
  // CHECK: pquant.quantize
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 0.0>}
    : tensor<7xf32> -> tensor<7xi8>, tensor<f32>
  return %s : tensor<f32>
}

// CHECK-LABEL: @binary_linear
func.func @binary_linear(%q: tensor<4x100xi8>, %s: tensor<4xf32>, %w: tensor<3x100xi1>, %ws: tensor<1x1xf32>) -> tensor<4x3xf32> {
  // CHECK: pquant.binary_linear %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} planes(%{{[a-zA-Z0-9_]+}}) scales(%{{[a-zA-Z0-9_]+}}) : tensor<4x100xi8>, tensor<4xf32>,
  // CHECK-SAME: (tensor<3x100xi1>), (tensor<1x1xf32>) -> tensor<4x3xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
    : tensor<4x100xi8>, tensor<4xf32>, (tensor<3x100xi1>), (tensor<1x1xf32>) -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @binary_linear_planes_groups_offset_packed
func.func @binary_linear_planes_groups_offset_packed(
    %q: tensor<?x128xi8>, %s: tensor<?xf32>, %w: tensor<8x128xi1, #pquant.layout<d16>>, %ws0: tensor<1x1xf32>,
    %ws1: tensor<8x4xf32>, %z: tensor<8xf32>) -> tensor<?x8xf32> {
  // CHECK: planes(%{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}) scales(%{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}) offset(%{{[a-zA-Z0-9_]+}} : tensor<8xf32>) :
  // CHECK-SAME: (tensor<8x128xi1, #pquant.layout<d16>>, tensor<8x128xi1, #pquant.layout<d16>>), (tensor<1x1xf32>, tensor<8x4xf32>)
  %y = pquant.binary_linear %q, %s planes(%w, %w) scales(%ws0, %ws1) offset(%z : tensor<8xf32>)
    : tensor<?x128xi8>, tensor<?xf32>,
      (tensor<8x128xi1, #pquant.layout<d16>>, tensor<8x128xi1, #pquant.layout<d16>>),
      (tensor<1x1xf32>, tensor<8x4xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: @int8_linear
func.func @int8_linear(%q: tensor<128xi8>, %s: tensor<f32>, %w: tensor<256x128xi8>, %ws: tensor<256xf32>) -> tensor<256xf32> {
  // CHECK: pquant.int8_linear %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<128xi8>, tensor<f32>, tensor<256x128xi8>, tensor<256xf32> -> tensor<256xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws
    : tensor<128xi8>, tensor<f32>, tensor<256x128xi8>, tensor<256xf32> -> tensor<256xf32>
  return %y : tensor<256xf32>
}

// CHECK-LABEL: @decoupled_linear
func.func @decoupled_linear(
    %q8: tensor<4x64xi8>, %s8: tensor<4xf32>, %w8: tensor<96x64xi8>, %ws8: tensor<1xf32>, %q1: tensor<4x128xi8>,
    %s1: tensor<4xf32>, %w1: tensor<96x128xi1>, %ws1: tensor<1x1xf32>, %a: tensor<f32>) -> tensor<4x96xf32> {
  // CHECK: pquant.decoupled_linear int8(%{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}) binary(%{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, planes(%{{[a-zA-Z0-9_]+}}), scales(%{{[a-zA-Z0-9_]+}})) alpha(%{{[a-zA-Z0-9_]+}} : tensor<f32>) :
  %y = pquant.decoupled_linear int8(%q8, %s8, %w8, %ws8) binary(%q1, %s1, planes(%w1), scales(%ws1))
    alpha(%a : tensor<f32>)
    : (tensor<4x64xi8>, tensor<4xf32>, tensor<96x64xi8>, tensor<1xf32>),
      (tensor<4x128xi8>, tensor<4xf32>, (tensor<96x128xi1>), (tensor<1x1xf32>)) -> tensor<4x96xf32>
  return %y : tensor<4x96xf32>
}

// CHECK-LABEL: @experts
func.func @experts(%x: tensor<2x?x128xf32>, %r: tensor<8x128xf32>, %q: tensor<2x?x128xi8>, %s: tensor<2x?xf32>,
                   %w: tensor<8x256x128xi8>, %ws: tensor<8x1xf32>) -> tensor<2x?x256xf32> {
  // CHECK: pquant.route %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<2x?x128xf32>, tensor<8x128xf32> -> tensor<2x?xi64>, tensor<2x?xf32>
  %e, %p = pquant.route %x, %r : tensor<2x?x128xf32>, tensor<8x128xf32> -> tensor<2x?xi64>, tensor<2x?xf32>
  // CHECK: pquant.expert_linear %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<2x?x128xi8>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<2x?x128xi8>, tensor<2x?xf32>, tensor<2x?xi64>, tensor<8x256x128xi8>, tensor<8x1xf32>
    -> tensor<2x?x256xf32>
  return %y : tensor<2x?x256xf32>
}

// CHECK-LABEL: @decoupled_ffn
func.func @decoupled_ffn(
    %x: tensor<4x128xf32>, %u1: tensor<256x128xi1>, %d1: tensor<128x256xi1>, %s1: tensor<1xf32>,
    %u8: tensor<2x64x128xi8>, %d8: tensor<2x128x64xi8>, %s8: tensor<2xf32>, %e: tensor<4xi64>, %p: tensor<4xf32>,
    %a: tensor<f32>) -> tensor<4x128xf32> {
  // CHECK: pquant.decoupled_ffn
  // CHECK-SAME: binary(gate %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<256x128xi1>, tensor<1xf32>, up %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, down %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}})
  // CHECK-SAME: int8(gate %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<2x64x128xi8>, tensor<2xf32>, up
  // CHECK-SAME: routed(%{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} : tensor<4xi64>, tensor<4xf32>) alpha(%{{[a-zA-Z0-9_]+}} : tensor<f32>) beta(%{{[a-zA-Z0-9_]+}} : tensor<f32>)
  // CHECK-SAME: {activation = #pquant.activation<silu>, quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  %y = pquant.decoupled_ffn %x
    binary(gate %u1, %s1 : tensor<256x128xi1>, tensor<1xf32>, up %u1, %s1, down %d1, %s1)
    int8(gate %u8, %s8 : tensor<2x64x128xi8>, tensor<2xf32>, up %u8, %s8, down %d8, %s8)
    routed(%e, %p : tensor<4xi64>, tensor<4xf32>) alpha(%a : tensor<f32>) beta(%a : tensor<f32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<silu>}
    : tensor<4x128xf32>, (tensor<256x128xi1>, tensor<1xf32>, tensor<128x256xi1>, tensor<1xf32>),
      (tensor<2x64x128xi8>, tensor<2xf32>, tensor<2x128x64xi8>, tensor<2xf32>) -> tensor<4x128xf32>
  return %y : tensor<4x128xf32>
}

// CHECK-LABEL: @decoder_units
func.func @decoder_units(
    %x: tensor<1x?x128xf32>, %g: tensor<128xf32>, %h: tensor<1x4x?x32xf32>, %c: tensor<?x16xf32>,
    %k: tensor<1x2x?x32xf32>, %m: tensor<?x?xf32>, %m4: tensor<1x1x?x?xf32>) {
  // CHECK: pquant.rms_norm %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} {eps = {{.+}} : f32} : tensor<1x?x128xf32>, tensor<128xf32> -> tensor<1x?x128xf32>
  %0 = pquant.rms_norm %x, %g {eps = 1.0e-06 : f32} : tensor<1x?x128xf32>, tensor<128xf32> -> tensor<1x?x128xf32>
  // CHECK: pquant.rotary_embedding %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} :
  %1 = pquant.rotary_embedding %h, %c, %c
    : tensor<1x4x?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32> -> tensor<1x4x?x32xf32>
  // CHECK: pquant.rotary_embedding %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} interleaved :
  %2 = pquant.rotary_embedding %h, %c, %c interleaved
    : tensor<1x4x?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32> -> tensor<1x4x?x32xf32>
  // CHECK: pquant.attention %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} mask(%{{[a-zA-Z0-9_]+}} : tensor<?x?xf32>) causal
  %3 = pquant.attention %h, %k, %k mask(%m : tensor<?x?xf32>) causal {scale = 0.125 : f32}
    : tensor<1x4x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32> -> tensor<1x4x?x32xf32>
  // CHECK: pquant.attention %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} mask(%{{[a-zA-Z0-9_]+}} : tensor<1x1x?x?xf32>) {scale
  %4 = pquant.attention %h, %k, %k mask(%m4 : tensor<1x1x?x?xf32>) {scale = 0.125 : f32}
    : tensor<1x4x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32> -> tensor<1x4x?x32xf32>
  return
}

// CHECK-LABEL: @cached_attention
func.func @cached_attention(
    %q: tensor<1x4x1x32xf32>, %k: tensor<1x2x1x32xf32>, %c: tensor<1x2x512x32xf32>, %pos: tensor<i64>) -> tensor<1x2x512x32xf32> {
  // CHECK: %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}}, %{{[a-zA-Z0-9_]+}} = pquant.cached_attention
  %o, %kc, %vc = pquant.cached_attention %q, %k, %k, %c, %c, %pos {scale = 0.125 : f32}
    : tensor<1x4x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x512x32xf32>,
      tensor<1x2x512x32xf32>, tensor<i64> -> tensor<1x4x1x32xf32>
  return %kc : tensor<1x2x512x32xf32>
}
