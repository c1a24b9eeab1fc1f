// Attention on float32 has a kernel; a cache is written, then read in place.

// RUN: pquant-opt %s --pquant-to-pqk --canonicalize --cse | FileCheck %s

// A mask of two dimensions gets those of batch and head.
// CHECK-LABEL: func.func @masked(
// CHECK-SAME:    %[[Q:.+]]: tensor<2x4x?x8xf32>, %[[K:.+]]: tensor<2x2x?x8xf32>, %[[V:.+]]: tensor<2x2x?x6xf32>, %[[M:.+]]: tensor<?x?xf32>)
// CHECK-DAG:     %[[O:.+]] = tensor.empty(%{{.+}}) : tensor<2x4x?x6xf32>
// CHECK-DAG:     %[[WIDE:.+]] = tensor.expand_shape %[[M]] {{\[\[0, 1, 2\], \[3\]\]}}
// CHECK:         pqk.attention ins(%[[Q]], %[[K]], %[[V]] : {{.*}}) mask(%[[WIDE]] : tensor<1x1x?x?xf32>) outs(%[[O]] : {{.*}}) {scale = 2.500000e-01 : f32}
func.func @masked(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x2x?x6xf32>, %m: tensor<?x?xf32>) -> tensor<2x4x?x6xf32> {
  %0 = pquant.attention %q, %k, %v mask(%m : tensor<?x?xf32>) {scale = 0.25 : f32}
    : tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x6xf32> -> tensor<2x4x?x6xf32>
  return %0 : tensor<2x4x?x6xf32>
}

// CHECK-LABEL: func.func @cached(
// CHECK:         %[[K:.+]] = tensor.insert_slice
// CHECK:         %[[V:.+]] = tensor.insert_slice
// CHECK:         %[[KEYS:.+]] = tensor.extract_slice %[[K]]
// CHECK:         %[[VALUES:.+]] = tensor.extract_slice %[[V]]
// CHECK:         pqk.attention ins(%{{.+}}, %[[KEYS]], %[[VALUES]] : {{.*}}) outs({{.*}}) causal
func.func @cached(%q: tensor<1x4x1x8xf32>, %k: tensor<1x2x1x8xf32>, %kc: tensor<1x2x?x8xf32>, %vc: tensor<1x2x?x8xf32>, %p: tensor<i64>)
    -> (tensor<1x4x1x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) {
  %0:3 = pquant.cached_attention %q, %k, %k, %kc, %vc, %p {scale = 1.0 : f32}
    : tensor<1x4x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<i64>
    -> tensor<1x4x1x8xf32>
  return %0#0, %0#1, %0#2 : tensor<1x4x1x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>
}

// An i8 cache gets a row's values and its step, and is read as it is.
// CHECK-LABEL: func.func @int8(
// CHECK:         %[[VALUES:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<1x2x1x8xi8>)
// CHECK:         %[[STEPS:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<1x2x1x4xi8>)
// CHECK:         %[[ROW:.+]] = tensor.insert_slice %[[VALUES]] into %{{.+}}[0, 0, %[[P:.+]], 0] [1, 2, 1, 8]
// CHECK:         tensor.insert_slice %[[STEPS]] into %[[ROW]][0, 0, %[[P]], 8] [1, 2, 1, 4]
// CHECK:         pqk.attention ins(%{{.+}} : tensor<1x4x1x8xf32>, tensor<1x2x?x12xi8>, tensor<1x2x?x12xi8>)
func.func @int8(%q: tensor<1x4x1x8xf32>, %k: tensor<1x2x1x8xf32>, %kc: tensor<1x2x?x12xi8>, %vc: tensor<1x2x?x12xi8>, %p: tensor<i64>)
    -> (tensor<1x4x1x8xf32>, tensor<1x2x?x12xi8>, tensor<1x2x?x12xi8>) {
  %0:3 = pquant.cached_attention %q, %k, %k, %kc, %vc, %p {scale = 1.0 : f32}
    : tensor<1x4x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x?x12xi8>, tensor<1x2x?x12xi8>, tensor<i64>
    -> tensor<1x4x1x8xf32>
  return %0#0, %0#1, %0#2 : tensor<1x4x1x8xf32>, tensor<1x2x?x12xi8>, tensor<1x2x?x12xi8>
}
