// RUN: pquant-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: @zero_plane
// CHECK-SAME: %[[Q:.+]]: tensor<4x8xi8>, %[[S:.+]]: tensor<4xf32>, %[[A:.+]]: tensor<2x8xi1>, %[[B:.+]]: tensor<2x8xi1>, %[[SA:.+]]: tensor<1x1xf32>
func.func @zero_plane(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %a: tensor<2x8xi1>, %b: tensor<2x8xi1>, %sa: tensor<1x1xf32>) -> tensor<4x2xf32> {
  %zero = arith.constant dense<0.0> : tensor<2x1xf32>
  // CHECK: pquant.binary_linear %[[Q]], %[[S]] planes(%[[A]]) scales(%[[SA]]) :
  %y = pquant.binary_linear %q, %s planes(%b, %a) scales(%zero, %sa)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>, tensor<2x8xi1>), (tensor<2x1xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// One plane must stay.
// CHECK-LABEL: @only_zero_planes
func.func @only_zero_planes(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %a: tensor<2x8xi1>, %b: tensor<2x8xi1>) -> tensor<4x2xf32> {
  %zero = arith.constant dense<0.0> : tensor<1x1xf32>
  // CHECK: planes(%{{[^,]+}}) scales(%{{[^,]+}}) :
  %y = pquant.binary_linear %q, %s planes(%a, %b) scales(%zero, %zero)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>, tensor<2x8xi1>), (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// CHECK-LABEL: @zero_offset
func.func @zero_offset(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %a: tensor<2x8xi1>, %sa: tensor<1x1xf32>) -> tensor<4x2xf32> {
  %zero = arith.constant dense<0.0> : tensor<1xf32>
  // CHECK-NOT: offset
  %y = pquant.binary_linear %q, %s planes(%a) scales(%sa) offset(%zero : tensor<1xf32>)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// Rows that repeat shrink, groups do not: their sums are rounded apart.
// CHECK-LABEL: @plane_scale_repeats
func.func @plane_scale_repeats(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %a: tensor<3x8xi1>) -> tensor<4x3xf32> {
  // CHECK: %[[SCALE:.+]] = arith.constant dense<{{\[\[}}1.000000e+00, 2.000000e+00]]> : tensor<1x2xf32>
  // CHECK: scales(%[[SCALE]])
  %ws = arith.constant dense<[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]> : tensor<3x2xf32>
  %y = pquant.binary_linear %q, %s planes(%a) scales(%ws)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<3x8xi1>), (tensor<3x2xf32>) -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @weight_scale_repeats
func.func @weight_scale_repeats(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<3x8xi8>) -> tensor<4x3xf32> {
  // CHECK: arith.constant dense<2.000000e+00> : tensor<1xf32>
  %ws = arith.constant dense<2.0> : tensor<3xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<3x8xi8>, tensor<3xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @weight_scale_differs
func.func @weight_scale_differs(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<3x8xi8>) -> tensor<4x3xf32> {
  // CHECK: pquant.int8_linear {{.+}} tensor<3x8xi8>, tensor<3xf32>
  %ws = arith.constant dense<[2.0, 2.0, 1.0]> : tensor<3xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<3x8xi8>, tensor<3xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @expert_scale_repeats
func.func @expert_scale_repeats(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2x3x8xi8>) -> tensor<4x3xf32> {
  // CHECK: arith.constant dense<{{\[\[}}1.000000e+00], [2.000000e+00]]> : tensor<2x1xf32>
  %ws = arith.constant dense<[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]> : tensor<2x3xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x3x8xi8>, tensor<2x3xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @one_expert
func.func @one_expert(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<1x3x8xi8>, %ws: tensor<1x3xf32>) -> tensor<4x3xf32> {
  // CHECK: %[[W:.+]] = tensor.collapse_shape %{{.+}} {{\[\[}}0, 1], [2]] : tensor<1x3x8xi8> into tensor<3x8xi8>
  // CHECK: %[[WS:.+]] = tensor.collapse_shape %{{.+}} {{\[\[}}0, 1]] : tensor<1x3xf32> into tensor<3xf32>
  // CHECK: pquant.int8_linear %{{.+}}, %{{.+}}, %[[W]], %[[WS]]
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<1x3x8xi8>, tensor<1x3xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// The bytes of a resource are not copied.
// CHECK-LABEL: @one_expert_in_resource
func.func @one_expert_in_resource(%q: tensor<4x2xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>) -> tensor<4x2xf32> {
  // CHECK-DAG: arith.constant dense_resource<weights> : tensor<2x2xi8>
  // CHECK-DAG: arith.constant dense<5.000000e-01> : tensor<1xf32>
  // CHECK: pquant.int8_linear
  %w = arith.constant dense_resource<weights> : tensor<1x2x2xi8>
  %ws = arith.constant dense<0.5> : tensor<1x1xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<4x2xi8>, tensor<4xf32>, tensor<4xi64>, tensor<1x2x2xi8>, tensor<1x1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// CHECK-LABEL: @one_packed_expert
func.func @one_packed_expert(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<1x3x8xi8, #pquant.layout<i8x16x4>>, %ws: tensor<1x3xf32>) -> tensor<4x3xf32> {
  // CHECK: pquant.expert_linear
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<1x3x8xi8, #pquant.layout<i8x16x4>>, tensor<1x3xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @unit_factors
func.func @unit_factors(%q8: tensor<4x8xi8>, %s: tensor<4xf32>, %w8: tensor<3x8xi8>, %s8: tensor<1xf32>, %w1: tensor<3x8xi1>, %s1: tensor<1x1xf32>, %b: tensor<f32>) -> tensor<4x3xf32> {
  // CHECK: pquant.decoupled_linear
  // CHECK-NOT: alpha
  // CHECK-SAME: beta
  %one = arith.constant dense<1.0> : tensor<f32>
  %y = pquant.decoupled_linear int8(%q8, %s, %w8, %s8) binary(%q8, %s, planes(%w1), scales(%s1))
    alpha(%one : tensor<f32>) beta(%b : tensor<f32>)
    : (tensor<4x8xi8>, tensor<4xf32>, tensor<3x8xi8>, tensor<1xf32>),
      (tensor<4x8xi8>, tensor<4xf32>, (tensor<3x8xi1>), (tensor<1x1xf32>)) -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @routing_of_one_expert
func.func @routing_of_one_expert(%x: tensor<1x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>, %e: tensor<1xi64>, %p: tensor<1xf32>) -> (tensor<1x8xf32>, tensor<1x8xf32>) {
  // CHECK: pquant.decoupled_ffn
  // CHECK-NOT: routed
  // CHECK: pquant.decoupled_ffn
  // CHECK-SAME: routed
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %y = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
    routed(%e, %one : tensor<1xi64>, tensor<1xf32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<1x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>),
      (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<1x8xf32>
  %z = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
    routed(%e, %p : tensor<1xi64>, tensor<1xf32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<1x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>),
      (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<1x8xf32>
  return %y, %z : tensor<1x8xf32>, tensor<1x8xf32>
}

// CHECK-LABEL: @zero_mask
func.func @zero_mask(%q: tensor<1x1x2x4xf32>) -> tensor<1x1x2x4xf32> {
  // CHECK-NOT: mask
  %zero = arith.constant dense<0.0> : tensor<2x2xf32>
  %y = pquant.attention %q, %q, %q mask(%zero : tensor<2x2xf32>) {scale = 1.0 : f32}
    : tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32> -> tensor<1x1x2x4xf32>
  return %y : tensor<1x1x2x4xf32>
}

{-#
  dialect_resources: { builtin: { weights: "0x0100000001020304" } }
#-}
