// RUN: pquant-opt %s --pquant-outline-layers=min-operations=2 --canonicalize -split-input-file -verify-diagnostics | FileCheck %s
// RUN: pquant-opt %s --pquant-outline-layers --canonicalize -split-input-file 2>&1 | FileCheck %s --check-prefix=DEFAULT --implicit-check-not=remark:

// All layers but those of one case are shorter than 8 operations, which is the
// default.

// DEFAULT: remark: 2 layers of 8 operations share @layer

// The weights differ, so they become arguments; the factor is the same constant
// in both layers and moves into the function.

// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<4x8xf32>, %[[W:[a-z0-9]+]]: tensor<8x8xf32>) -> tensor<4x8xf32>
// CHECK-DAG:     %[[F:.+]] = arith.constant 5.000000e-01 : f32
// CHECK-DAG:     %[[E:.+]] = tensor.empty() : tensor<4x8xf32>
// CHECK:         %[[I:.+]] = linalg.fill ins(%[[F]] : f32) outs(%[[E]]
// CHECK:         %[[Y:.+]] = linalg.matmul ins(%[[X]], %[[W]] : {{.+}}) outs(%[[I]]
// CHECK:         %[[Z:.+]] = math.tanh %[[Y]]
// CHECK:         return %[[Z]] : tensor<4x8xf32>
// CHECK-LABEL: func.func @weights_differ(
// CHECK-SAME:    %[[X0:.+]]: tensor<4x8xf32>
// CHECK-DAG:     %[[W1:.+]] = arith.constant dense<1.000000e+00> : tensor<8x8xf32>
// CHECK-DAG:     %[[W2:.+]] = arith.constant dense<2.000000e+00> : tensor<8x8xf32>
// CHECK-NOT:     linalg
// CHECK:         %[[X1:.+]] = call @layer(%[[X0]], %[[W1]])
// CHECK-NEXT:    %[[X2:.+]] = call @layer(%[[X1]], %[[W2]])
// CHECK-NEXT:    return %[[X2]]
// expected-remark @+1 {{2 layers of 4 operations share @layer}}
func.func @weights_differ(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<1.0> : tensor<8x8xf32>
  %w2 = arith.constant dense<2.0> : tensor<8x8xf32>
  %f = arith.constant 0.5 : f32
  // One destination for both layers, as CSE leaves it.
  %e = tensor.empty() : tensor<4x8xf32>
  %i = linalg.fill ins(%f : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %y1 = linalg.matmul ins(%x, %w1 : tensor<4x8xf32>, tensor<8x8xf32>) outs(%i : tensor<4x8xf32>) -> tensor<4x8xf32>
  %x1 = math.tanh %y1 : tensor<4x8xf32>
  %y2 = linalg.matmul ins(%x1, %w2 : tensor<4x8xf32>, tensor<8x8xf32>) outs(%i : tensor<4x8xf32>) -> tensor<4x8xf32>
  %x2 = math.tanh %y2 : tensor<4x8xf32>
  return %x2 : tensor<4x8xf32>
}

// -----

// A fill whose value is no constant cannot be made by the layer: it stays one
// and is passed in.

// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:    tensor<4x8xf32>, %{{.+}}: tensor<8x8xf32>, %[[I:[a-z0-9]+]]: tensor<4x8xf32>)
// CHECK-NOT:     linalg.fill
// CHECK:         linalg.matmul {{.*}} outs(%[[I]]
// CHECK-LABEL: func.func @fill_of_a_value(
// CHECK:         %[[I:.+]] = linalg.fill
// CHECK:         call @layer(%{{.+}}, %{{.+}}, %[[I]])
// CHECK:         call @layer(%{{.+}}, %{{.+}}, %[[I]])
// expected-remark @+1 {{2 layers of 2 operations share @layer}}
func.func @fill_of_a_value(%x: tensor<4x8xf32>, %f: f32) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<1.0> : tensor<8x8xf32>
  %w2 = arith.constant dense<2.0> : tensor<8x8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %i = linalg.fill ins(%f : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %y1 = linalg.matmul ins(%x, %w1 : tensor<4x8xf32>, tensor<8x8xf32>) outs(%i : tensor<4x8xf32>) -> tensor<4x8xf32>
  %x1 = math.tanh %y1 : tensor<4x8xf32>
  %y2 = linalg.matmul ins(%x1, %w2 : tensor<4x8xf32>, tensor<8x8xf32>) outs(%i : tensor<4x8xf32>) -> tensor<4x8xf32>
  %x2 = math.tanh %y2 : tensor<4x8xf32>
  return %x2 : tensor<4x8xf32>
}

// -----

// The mask stands where the first layer uses it. It comes before any linear and
// layers of several depths read it: it moves out of the first layer.

// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:    tensor<4x16xf32>, %{{[a-z0-9]+}}: tensor<256xf32>, %[[MASK:[a-z0-9]+]]: tensor<4x16xf32>)
// CHECK:         pqk.float_linear
// CHECK-NOT:     math.sqrt
// CHECK:         arith.mulf %{{.+}}, %[[MASK]]
// CHECK:         math.tanh
// CHECK-LABEL: func.func @shared_mask(
// CHECK-SAME:    %[[X0:[a-z0-9]+]]: tensor<4x16xf32>, %[[M:[a-z0-9]+]]: tensor<4x16xf32>)
// CHECK:         %[[MASK:.+]] = math.sqrt %[[M]]
// CHECK:         %[[X1:.+]] = call @layer(%[[X0]], %{{.+}}, %[[MASK]])
// CHECK-NEXT:    %[[X2:.+]] = call @layer(%[[X1]], %{{.+}}, %[[MASK]])
// CHECK-NEXT:    return %[[X2]]
// expected-remark @+1 {{2 layers of 4 operations share @layer}}
func.func @shared_mask(%x: tensor<4x16xf32>, %m: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %w1 = arith.constant dense<1.0> : tensor<256xf32>
  %w2 = arith.constant dense<2.0> : tensor<256xf32>
  %e = tensor.empty() : tensor<4x16xf32>
  %y1 = pqk.float_linear ins(%x, %w1 : tensor<4x16xf32>, tensor<256xf32>) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %mask = math.sqrt %m : tensor<4x16xf32>
  %z1 = arith.mulf %y1, %mask : tensor<4x16xf32>
  %x1 = math.tanh %z1 : tensor<4x16xf32>
  %y2 = pqk.float_linear ins(%x1, %w2 : tensor<4x16xf32>, tensor<256xf32>) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %z2 = arith.mulf %y2, %mask : tensor<4x16xf32>
  %x2 = math.tanh %z2 : tensor<4x16xf32>
  return %x2 : tensor<4x16xf32>
}

// -----

// Two values leave a layer, one of them for the caller only.

// CHECK-LABEL: func.func private @layer({{.*}}) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK:         %[[A:.+]] = math.exp
// CHECK:         %[[B:.+]] = math.tanh %[[A]]
// CHECK:         return %[[A]], %[[B]]
// CHECK-LABEL: func.func @caches(
// CHECK:         %[[L1:.+]]:2 = call @layer(%{{.+}})
// CHECK-NEXT:    %[[L2:.+]]:2 = call @layer(%[[L1]]#1)
// CHECK-NEXT:    return %[[L1]]#0, %[[L2]]#0, %[[L2]]#1
// expected-remark @+1 {{2 layers of 2 operations share @layer}}
func.func @caches(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %a1 = math.exp %x : tensor<4xf32>
  %b1 = math.tanh %a1 : tensor<4xf32>
  %a2 = math.exp %b1 : tensor<4xf32>
  %b2 = math.tanh %a2 : tensor<4xf32>
  return %a1, %a2, %b2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// Near misses: an attribute, a type or the place of an operand differs; the
// function is private already; a layer of one operation is shorter than 2.

// CHECK-NOT:   @layer
// CHECK-LABEL: func.func @attribute_differs(
// CHECK-NOT:     @layer
func.func @attribute_differs(%a: f32, %b: f32) -> f32 {
  %p1 = arith.mulf %a, %b : f32
  %x1 = math.tanh %p1 fastmath<fast> : f32
  %p2 = arith.mulf %x1, %b : f32
  %x2 = math.tanh %p2 : f32
  return %x2 : f32
}

// CHECK-LABEL: func.func @type_differs(
// CHECK-NOT:     @layer
func.func @type_differs(%x: tensor<4xf32>, %y: tensor<8xf32>) -> (tensor<4xf32>, tensor<8xf32>) {
  %a1 = math.exp %x : tensor<4xf32>
  %b1 = math.tanh %a1 : tensor<4xf32>
  %a2 = math.exp %y : tensor<8xf32>
  %b2 = math.tanh %a2 : tensor<8xf32>
  return %b1, %b2 : tensor<4xf32>, tensor<8xf32>
}

// CHECK-LABEL: func.func @operand_elsewhere(
// CHECK-NOT:     @layer
func.func @operand_elsewhere(%x: f32) -> f32 {
  %a1 = math.exp %x : f32
  %b1 = math.tanh %a1 : f32
  %a2 = math.exp %b1 : f32
  %b2 = math.tanh %b1 : f32
  %c = arith.addf %a2, %b2 : f32
  return %c : f32
}

// CHECK-LABEL: func.func private @is_private(
// CHECK-NOT:     @layer
func.func private @is_private(%x: f32) -> f32 {
  %a1 = math.exp %x : f32
  %b1 = math.tanh %a1 : f32
  %a2 = math.exp %b1 : f32
  %b2 = math.tanh %a2 : f32
  return %b2 : f32
}

// CHECK-LABEL: func.func @one_operation(
// CHECK-COUNT-3: math.exp
func.func @one_operation(%x: f32) -> f32 {
  %a1 = math.exp %x : f32
  %a2 = math.exp %a1 : f32
  %a3 = math.exp %a2 : f32
  return %a3 : f32
}

// -----

// Two layers of eight operations are outlined by default; what comes before and
// after them stays.

// CHECK-LABEL: func.func private @layer(
// CHECK-LABEL: func.func @eight_operations(
// CHECK:         math.sqrt
// CHECK-NEXT:    call @layer
// CHECK-NEXT:    call @layer
// CHECK-NEXT:    math.sqrt
// expected-remark @+1 {{2 layers of 8 operations share @layer}}
func.func @eight_operations(%x: f32) -> f32 {
  %x0 = math.sqrt %x : f32
  %a1 = math.exp %x0 : f32
  %b1 = math.tanh %a1 : f32
  %c1 = math.sin %b1 : f32
  %d1 = math.cos %c1 : f32
  %e1 = math.erf %d1 : f32
  %f1 = math.absf %e1 : f32
  %g1 = math.log %f1 : f32
  %x1 = math.floor %g1 : f32
  %a2 = math.exp %x1 : f32
  %b2 = math.tanh %a2 : f32
  %c2 = math.sin %b2 : f32
  %d2 = math.cos %c2 : f32
  %e2 = math.erf %d2 : f32
  %f2 = math.absf %e2 : f32
  %g2 = math.log %f2 : f32
  %x2 = math.floor %g2 : f32
  %x3 = math.sqrt %x2 : f32
  return %x3 : f32
}

// -----

// An operation behind the layers that takes values from several of them.

// expected-remark @+1 {{2 layers of 2 operations share @layer}}
func.func @beside_a_capture(%x: f32, %p: i1) -> (f32, f32) {
  // CHECK-LABEL: func.func @beside_a_capture(
  // CHECK:         %[[A:.+]] = call @layer(%arg0)
  // CHECK-NEXT:    %[[B:.+]] = call @layer(%[[A]])
  // CHECK-NEXT:    arith.select
  %a1 = math.exp %x : f32
  %b1 = math.tanh %a1 : f32
  %a2 = math.exp %b1 : f32
  %b2 = math.tanh %a2 : f32
  %r = scf.if %p -> f32 {
    scf.yield %x : f32
  } else {
    scf.yield %b2 : f32
  }
  return %b2, %r : f32, f32
}
