// RUN: pquant-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: @tensors
func.func @tensors(%x: tensor<4x100xf32>, %q0: tensor<4x128xi8>, %s0: tensor<4xf32>, %t0: tensor<4xi32>, %w: tensor<256xi8>, %ws: tensor<3xf32>, %y0: tensor<4x3xf32>) -> tensor<4x3xf32> {
  // CHECK: %[[Q:.+]]:3 = pqk.quantize ins(%{{.+}} : tensor<4x100xf32>) outs(%{{.+}}, %{{.+}}, %{{.+}} : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>)
  // CHECK-SAME: {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>} -> tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>
  %q:3 = pqk.quantize ins(%x : tensor<4x100xf32>) outs(%q0, %s0, %t0 : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>)
    {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>} -> tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>
  // CHECK: pqk.binary_linear ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %{{.+}}, %{{.+}} : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>, tensor<256xi8>, tensor<3xf32>)
  // CHECK-SAME: outs(%{{.+}} : tensor<4x3xf32>) accumulate {columns = 100 : i64} -> tensor<4x3xf32>
  %y = pqk.binary_linear ins(%q#0, %q#1, %q#2, %w, %ws : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi32>, tensor<256xi8>, tensor<3xf32>)
    outs(%y0 : tensor<4x3xf32>) accumulate {columns = 100 : i64} -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// CHECK-LABEL: @memrefs
func.func @memrefs(%q: memref<?x128xi8>, %s: memref<?xf32>, %e: memref<?xi64>, %w: memref<?xi8>, %r: memref<16xi32>, %r2: memref<4x16xi32>, %ws: memref<16xf32>, %ws2: memref<4x16xf32>, %x: memref<?x100xf32>, %f: memref<1600xf32>, %y: memref<?x16xf32>) {
  // CHECK: pqk.int8_linear ins({{.+}}) outs(%{{.+}} : memref<?x16xf32>) {columns = 128 : i64}
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<?x128xi8>, memref<?xf32>, memref<?xi8>, memref<16xi32>, memref<16xf32>)
    outs(%y : memref<?x16xf32>) {columns = 128 : i64}
  // CHECK: pqk.expert_linear ins({{.+}}) outs(%{{.+}} : memref<?x16xf32>) accumulate {columns = 65 : i64}
  pqk.expert_linear ins(%q, %s, %e, %w, %r2, %ws2 : memref<?x128xi8>, memref<?xf32>, memref<?xi64>, memref<?xi8>, memref<4x16xi32>, memref<4x16xf32>)
    outs(%y : memref<?x16xf32>) accumulate {columns = 65 : i64}
  // CHECK: pqk.float_linear ins(%{{.+}}, %{{.+}} : memref<?x100xf32>, memref<1600xf32>) outs(%{{.+}} : memref<?x16xf32>)
  pqk.float_linear ins(%x, %f : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
  return
}

// CHECK-LABEL: @attention
func.func @attention(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x2x?x6xf32>, %o: tensor<2x4x?x6xf32>,
                     %m: tensor<1x1x?x?xf32>) -> tensor<2x4x?x6xf32> {
  // CHECK: pqk.attention ins({{.+}}) outs(%{{.+}} : tensor<2x4x?x6xf32>) causal {scale = 5.000000e-01 : f32} -> tensor<2x4x?x6xf32>
  %0 = pqk.attention ins(%q, %k, %v : tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x6xf32>)
    outs(%o : tensor<2x4x?x6xf32>) causal {scale = 0.5 : f32} -> tensor<2x4x?x6xf32>
  // CHECK: pqk.attention ins({{.+}}) mask(%{{.+}} : tensor<1x1x?x?xf32>) outs(%{{.+}}) {scale = 1.000000e+00 : f32}
  %1 = pqk.attention ins(%q, %k, %v : tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x6xf32>)
    mask(%m : tensor<1x1x?x?xf32>) outs(%0 : tensor<2x4x?x6xf32>) {scale = 1.0 : f32} -> tensor<2x4x?x6xf32>
  return %1 : tensor<2x4x?x6xf32>
}

// CHECK-LABEL: @parallel
func.func @parallel(%n: index, %g: index, %m: memref<?xf32>, %v: f32, %c1: index) {
  // CHECK: pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %{{.+}} grain %{{.+}} attributes {a} {
  // CHECK-NEXT: scf.for %{{.+}} = %[[BEGIN]] to %[[END]]
  pqk.parallel (%begin, %end) in %n grain %g attributes {a} {
    scf.for %i = %begin to %end step %c1 {
      memref.store %v, %m[%i] : memref<?xf32>
    }
  }
  return
}

// CHECK-LABEL: @probe
func.func @probe(%n: index) {
  // CHECK: pqk.probe begin "/head" kind "float_linear" rows %{{.+}} {matrices = 2 : i64, row_bytes = 464 : i64, row_ops = 3200 : i64, weight_bytes = 6400 : i64}
  pqk.probe begin "/head" kind "float_linear" rows %n {matrices = 2, row_bytes = 464, row_ops = 3200, weight_bytes = 6400}
  // CHECK: pqk.probe end "" kind "parallel" rows %{{[a-z0-9]+$}}
  pqk.probe end "" kind "parallel" rows %n
  return
}
