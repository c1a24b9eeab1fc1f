// RUN: pquant-opt %s --split-input-file \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   | FileCheck %s

// Outputs are written where the caller wants them; no copy in between.
// CHECK-LABEL: @linear
// CHECK-SAME: %[[X:.+]]: memref<4x100xf32>, %[[W:.+]]: memref<256xi8>, %[[WS:.+]]: memref<3xf32>
func.func @linear(%x: tensor<4x100xf32>, %w: tensor<256xi8>, %ws: tensor<3xf32>) -> tensor<4x3xf32> {
  // CHECK-DAG: %[[Q:.+]] = memref.alloc() {{.*}}: memref<4x128xi8>
  // CHECK-DAG: %[[S:.+]] = memref.alloc() {{.*}}: memref<4xf32>
  // CHECK-DAG: %[[T:.+]] = memref.alloc() {{.*}}: memref<4xi32>
  // CHECK-DAG: %[[Y:.+]] = memref.alloc() {{.*}}: memref<4x3xf32>
  // CHECK: pqk.quantize ins(%[[X]] : memref<4x100xf32>) outs(%[[Q]], %[[S]], %[[T]] :
  // CHECK-SAME: {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  // CHECK-NOT: memref.copy
  // CHECK: pqk.binary_linear ins(%[[Q]], %[[S]], %[[T]], %[[W]], %[[WS]] : {{.*}}) outs(%[[Y]] : memref<4x3xf32>) {columns = 100 : i64}
  // CHECK-NEXT: return %[[Y]]
  %q0 = tensor.empty() : tensor<4x128xi8>
  %s0 = tensor.empty() : tensor<4xf32>
  %t0 = tensor.empty() : tensor<4xi32>
  %y0 = tensor.empty() : tensor<4x3xf32>
  %q:3 = pqk.quantize ins(%x : tensor<4x100xf32>) outs(%q0, %s0, %t0 : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} -> tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>
  %y = pqk.binary_linear ins(%q#0, %q#1, %q#2, %w, %ws : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>, tensor<256xi8>, tensor<3xf32>)
    outs(%y0 : tensor<4x3xf32>) {columns = 100 : i64} -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// -----

// Adding to a value that is still needed copies it first; overwriting it takes
// new memory without a copy.
// CHECK-LABEL: @needed_later
func.func @needed_later(%q: tensor<4x64xi8>, %s: tensor<4xf32>, %w: tensor<1024xi8>, %r: tensor<16xi32>, %ws: tensor<16xf32>, %y: tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>) {
  // CHECK: %[[SUM:.+]] = memref.alloc()
  // CHECK: memref.copy %{{.+}}, %[[SUM]]
  // CHECK: pqk.int8_linear {{.*}} outs(%[[SUM]] : memref<4x16xf32>) accumulate
  // CHECK-NOT: memref.copy
  // CHECK: pqk.int8_linear
  %0 = pqk.int8_linear ins(%q, %s, %w, %r, %ws : tensor<4x64xi8>, tensor<4xf32>, tensor<1024xi8>, tensor<16xi32>, tensor<16xf32>)
    outs(%y : tensor<4x16xf32>) accumulate {columns = 64 : i64} -> tensor<4x16xf32>
  %1 = pqk.int8_linear ins(%q, %s, %w, %r, %ws : tensor<4x64xi8>, tensor<4xf32>, tensor<1024xi8>, tensor<16xi32>, tensor<16xf32>)
    outs(%y : tensor<4x16xf32>) {columns = 64 : i64} -> tensor<4x16xf32>
  return %0, %1, %y : tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>
}

// -----

// CHECK-LABEL: @experts_and_floats
func.func @experts_and_floats(%q: tensor<4x64xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<2048xi8>, %r: tensor<2x16xi32>, %ws: tensor<2x16xf32>, %x: tensor<4x10xf32>, %f: tensor<160xf32>) -> tensor<4x16xf32> {
  // CHECK: %[[Y:.+]] = memref.alloc()
  // CHECK: pqk.float_linear ins({{.*}} : memref<4x10xf32>, memref<160xf32>) outs(%[[Y]] : memref<4x16xf32>)
  // CHECK: pqk.expert_linear {{.*}} outs(%[[Y]] : memref<4x16xf32>) accumulate
  %y0 = tensor.empty() : tensor<4x16xf32>
  %0 = pqk.float_linear ins(%x, %f : tensor<4x10xf32>, tensor<160xf32>) outs(%y0 : tensor<4x16xf32>) -> tensor<4x16xf32>
  %1 = pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : tensor<4x64xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2048xi8>, tensor<2x16xi32>, tensor<2x16xf32>)
    outs(%0 : tensor<4x16xf32>) accumulate {columns = 64 : i64} -> tensor<4x16xf32>
  return %1 : tensor<4x16xf32>
}

// -----

// The keys are read where they lie in the cache.
// CHECK-LABEL: @attention
// CHECK-SAME:    %[[CACHE:[^:]+]]: memref<1x2x16x8xf32
func.func @attention(%cache: tensor<1x2x16x8xf32>, %q: tensor<1x4x3x8xf32>, %n: index) -> tensor<1x4x3x8xf32> {
  // CHECK-NOT: memref.copy
  // CHECK: %[[K:.+]] = memref.subview %[[CACHE]]
  // CHECK: pqk.attention ins(%{{.+}}, %[[K]], %[[K]] : {{.*}}) outs(%{{.+}} : memref<1x4x3x8xf32>) causal
  %k = tensor.extract_slice %cache[0, 0, 0, 0] [1, 2, %n, 8] [1, 1, 1, 1] : tensor<1x2x16x8xf32> to tensor<1x2x?x8xf32>
  %o = tensor.empty() : tensor<1x4x3x8xf32>
  %0 = pqk.attention ins(%q, %k, %k : tensor<1x4x3x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>)
    outs(%o : tensor<1x4x3x8xf32>) causal {scale = 1.0 : f32} -> tensor<1x4x3x8xf32>
  return %0 : tensor<1x4x3x8xf32>
}
