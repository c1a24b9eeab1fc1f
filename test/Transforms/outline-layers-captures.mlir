// RUN: pquant-opt %s --pquant-outline-layers=min-operations=2 --canonicalize -split-input-file -verify-diagnostics | FileCheck %s

// Operations with regions that use values from outside.

// A region reads a constant from outside: it gets one of its own.

#id = affine_map<(d0) -> (d0)>
// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<4xf32>) -> tensor<4xf32>
// CHECK:         linalg.generic
// CHECK:         math.tanh
// CHECK-LABEL: func.func @region_reads_constant(
// CHECK:         call @layer
// CHECK:         call @layer
// expected-remark @+1 {{2 layers of 3 operations share @layer}}
func.func @region_reads_constant(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = arith.constant 3.0 : f32
  %e = tensor.empty() : tensor<4xf32>
  %y1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %c : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  %x1 = math.tanh %y1 : tensor<4xf32>
  %y2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x1 : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %c : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  %x2 = math.tanh %y2 : tensor<4xf32>
  return %x2 : tensor<4xf32>
}

// -----

// What a region takes from outside is an operand as well: a value from outside
// the layer becomes an argument, one made by the layer stays inside.

#id = affine_map<(d0) -> (d0)>
// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:    %[[C:[a-z0-9]+]]: f32, %[[X:[a-z0-9]+]]: tensor<4xf32>) -> tensor<4xf32>
// CHECK:         %[[D:.+]] = math.exp %[[C]]
// CHECK:         linalg.generic {{.*}} ins(%[[X]]
// CHECK:         ^bb0(%[[A:.+]]: f32, %{{.+}}: f32):
// CHECK:         %[[P:.+]] = arith.mulf %[[A]], %[[C]]
// CHECK:         arith.addf %[[P]], %[[D]]
// CHECK-LABEL: func.func @region_captures_value(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<4xf32>, %[[C1:[a-z0-9]+]]: f32, %[[C2:[a-z0-9]+]]: f32)
// CHECK:         %[[Y:.+]] = call @layer(%[[C1]], %[[X]])
// CHECK-NEXT:    call @layer(%[[C2]], %[[Y]])
// expected-remark @+1 {{2 layers of 3 operations share @layer}}
func.func @region_captures_value(%x: tensor<4xf32>, %c1: f32, %c2: f32) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %d1 = math.exp %c1 : f32
  %y1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %c1 : f32
    %q = arith.addf %p, %d1 : f32
    linalg.yield %q : f32
  } -> tensor<4xf32>
  %d2 = math.exp %c2 : f32
  %y2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%y1 : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %c2 : f32
    %q = arith.addf %p, %d2 : f32
    linalg.yield %q : f32
  } -> tensor<4xf32>
  return %y2 : tensor<4xf32>
}

// -----

// Near miss: the second region uses the first layer's value, not its own.

#id = affine_map<(d0) -> (d0)>
// CHECK-LABEL: func.func @region_captures_another_layers_value(
// CHECK-NOT:     call
// CHECK-COUNT-2: linalg.generic
func.func @region_captures_another_layers_value(%x: tensor<4xf32>, %c1: f32, %c2: f32) -> (tensor<4xf32>, f32) {
  %e = tensor.empty() : tensor<4xf32>
  %d1 = math.exp %c1 : f32
  %y1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %d1 : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  %d2 = math.exp %c2 : f32
  %y2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%y1 : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %d1 : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  return %y2, %d2 : tensor<4xf32>, f32
}

// -----

// The destinations of a branch are made in the branch: they are no layer.

// CHECK-NOT:   @layer
// CHECK-LABEL: func.func @branch_fills(
// CHECK-NOT:     linalg.fill
// CHECK:         scf.if
// CHECK-COUNT-4: linalg.fill
func.func @branch_fills(%c: i1) -> (tensor<f32>, tensor<f32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %r:2 = scf.if %c -> (tensor<f32>, tensor<f32>) {
    %y = math.exp %f : tensor<f32>
    %z = math.tanh %f : tensor<f32>
    scf.yield %y, %z : tensor<f32>, tensor<f32>
  } else {
    %y = math.sin %f : tensor<f32>
    %z = math.cos %f : tensor<f32>
    scf.yield %y, %z : tensor<f32>, tensor<f32>
  }
  return %r#0, %r#1 : tensor<f32>, tensor<f32>
}
