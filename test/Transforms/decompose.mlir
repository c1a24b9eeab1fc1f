// RUN: pquant-opt %s --pquant-decompose --split-input-file --verify-diagnostics | FileCheck %s

// The order of float operations is that of the formula; rounding is half to
// even, then the clamp, then the conversion.
// CHECK-LABEL: @quantize_mul_recip
// CHECK-SAME: %[[X:.+]]: tensor<?x8xf32>
func.func @quantize_mul_recip(%x: tensor<?x8xf32>) -> (tensor<?x8xi8>, tensor<?xf32>) {
  // CHECK: %[[MAX:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%[[X]]
  // CHECK: math.absf
  // CHECK-NEXT: arith.maximumf
  // CHECK: %[[GAIN:.+]]:2 = linalg.generic {{.*}} ins(%[[MAX]]
  // CHECK: %[[EPS:.+]] = arith.constant 9.99999974E-6
  // CHECK: %[[QMAX:.+]] = arith.constant 1.270000e+02
  // CHECK: %[[M:.+]] = arith.maximumf %{{.+}}, %[[EPS]]
  // CHECK: %[[ONE:.+]] = arith.constant 1.000000e+00
  // CHECK: %[[R:.+]] = arith.divf %[[ONE]], %[[M]]
  // CHECK: %[[G:.+]] = arith.mulf %[[R]], %[[QMAX]]
  // CHECK: %[[STEP:.+]] = arith.divf %[[ONE]], %[[G]]
  // CHECK: linalg.yield %[[G]], %[[STEP]]
  // CHECK: %[[Q:.+]] = linalg.generic {{.*}} ins(%[[X]], %[[GAIN]]#0
  // CHECK: arith.mulf
  // CHECK-NEXT: math.roundeven
  // CHECK: arith.maximumf
  // CHECK: arith.minimumf
  // CHECK-NEXT: arith.fptosi {{.*}} : f32 to i8
  // CHECK: return %[[Q]], %[[GAIN]]#1
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
    : tensor<?x8xf32> -> tensor<?x8xi8>, tensor<?xf32>
  return %q, %s : tensor<?x8xi8>, tensor<?xf32>
}

// -----

// CHECK-LABEL: @binary_linear
// CHECK-NOT: pquant.
// CHECK: linalg.generic
// CHECK: %[[Q:.+]] = arith.extsi %{{.+}} : i8 to i32
// CHECK: %[[MINUS:.+]] = arith.subi %{{.+}}, %[[Q]] : i32
// CHECK: %[[TERM:.+]] = arith.select %{{.+}}, %[[Q]], %[[MINUS]] : i32
// CHECK: arith.addi %{{.+}}, %[[TERM]] : i32
// CHECK: arith.sitofp {{.*}} : i32 to f32
func.func @binary_linear(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>) -> tensor<4x2xf32> {
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A definition made of pquant ops is decomposed in turn; gate and up share one
// quantisation of the input.
// CHECK-LABEL: @decoupled_ffn
// CHECK-NOT: pquant.
// CHECK-COUNT-3: math.roundeven
// CHECK-NOT: math.roundeven
// CHECK: return
func.func @decoupled_ffn(%x: tensor<?x8xf32>, %u1: tensor<4x8xi1>, %d1: tensor<8x4xi1>, %s: tensor<1xf32>, %u8: tensor<1x2x8xi8>, %d8: tensor<1x8x2xi8>) -> tensor<?x8xf32> {
  %y = pquant.decoupled_ffn %x
    binary(gate %u1, %s : tensor<4x8xi1>, tensor<1xf32>, up %u1, %s, down %d1, %s)
    int8(gate %u8, %s : tensor<1x2x8xi8>, tensor<1xf32>, up %u8, %s, down %d8, %s)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<silu>}
    : tensor<?x8xf32>, (tensor<4x8xi1>, tensor<1xf32>, tensor<8x4xi1>, tensor<1xf32>),
      (tensor<1x2x8xi8>, tensor<1xf32>, tensor<1x8x2xi8>, tensor<1xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: @attention_dynamic
// CHECK-NOT: pquant.
// CHECK: arith.cmpi sgt
// CHECK: arith.select
// CHECK: math.exp
// CHECK: arith.cmpf oeq
func.func @attention_dynamic(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x4x?x8xf32> {
  %y = pquant.attention %q, %k, %k mask(%m : tensor<?x1x?x?xf32>) causal {scale = 1.0 : f32}
    : tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> -> tensor<?x4x?x8xf32>
  return %y : tensor<?x4x?x8xf32>
}

// -----

func.func @packed_weights(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1, #pquant.layout<d16>>, %ws: tensor<1x1xf32>) -> tensor<4x2xf32> {
  // expected-error @+1 {{'pquant.binary_linear' op expected plain weights to decompose, but got 'tensor<2x8xi1, #pquant.layout<d16>>'}}
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

func.func @packed_experts(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2x3x8xi8, #pquant.layout<i8x16x4>>, %ws: tensor<2x1xf32>) -> tensor<4x3xf32> {
  // expected-error @+1 {{'pquant.expert_linear' op expected plain weights to decompose, but got 'tensor<2x3x8xi8, #pquant.layout<i8x16x4>>'}}
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<4x8xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x3x8xi8, #pquant.layout<i8x16x4>>, tensor<2x1xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}
