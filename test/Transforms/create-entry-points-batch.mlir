// Several sequences at once: a step whose tokens, memory and logits have one size more.

// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-create-entry-points=batch --canonicalize --cse -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @decode_batch(
// CHECK-SAME:    %[[IDS:[a-z0-9]+]]: tensor<?x1xi64> {bufferization.writable = false, pquant.dims = ["batch", 1], pquant.dtype = "int64", pquant.name = "ids"}
// CHECK-SAME:    %[[POS:[a-z0-9]+]]: tensor<i64> {{{.*}}pquant.name = "position"}
// CHECK-SAME:    %[[K:[a-z0-9]+]]: memref<?x2x?x4xf32> {pquant.dims = ["batch", 2, "capacity", 4], pquant.dtype = "float32", pquant.name = "past.key"}
// CHECK-SAME:    %[[V:[a-z0-9]+]]: memref<?x2x?x4xf32>
// CHECK-SAME:    -> (tensor<?x16xf32> {pquant.dims = ["batch", 16], pquant.name = "logits"})
// CHECK-DAG:     %[[B:.+]] = tensor.dim %[[IDS]], %c0
// CHECK-DAG:     %[[KT:.+]] = bufferization.to_tensor %[[K]] restrict writable
// CHECK-DAG:     %[[VT:.+]] = bufferization.to_tensor %[[V]] restrict writable
// CHECK-DAG:     %[[MASK:.+]] = tensor.empty(%[[B]], %{{.+}}) : tensor<?x?xi64>
// CHECK:         %[[H:.+]]:3 = "test.heads"
// CHECK:         %[[A:[a-z0-9_]+]], %[[NK:.+]], %[[NV:.+]] = pquant.cached_attention %[[H]]#0, %[[H]]#1, %[[H]]#2, %[[KT]], %[[VT]], %[[POS]]
// CHECK:         %[[J:.+]] = "test.join"(%[[A]], %[[B]])
// CHECK:         %[[X:.+]] = tensor.extract_slice %[[J]][0, 0, 0] [%[[B]], 1, 8] [1, 1, 1]
// CHECK:         %[[ROW:.+]] = tensor.extract_slice %[[X]][0, 0, 0] [%[[B]], 1, 8] [1, 1, 1]
// CHECK:         %[[Y:.+]] = pquant.float_linear %[[ROW]], {{.+}} -> tensor<?x1x16xf32>
// CHECK:         %[[L:.+]] = tensor.collapse_shape %[[Y]] {{\[\[}}0, 1], [2]]
// CHECK:         bufferization.materialize_in_destination %[[NK]] in restrict writable %[[K]]
// CHECK:         return %[[L]] : tensor<?x16xf32>
// CHECK-LABEL: func.func @prefill(%{{.+}}: tensor<1x?xi64>
// CHECK-LABEL: func.func @decode(%{{.+}}: tensor<1x1xi64>
// expected-remark @+1 {{2 caches are written in place by 'decode' and 'prefill', those of a batch by 'decode_batch'}}
func.func @main(%ids: tensor<?x?xi64> {pquant.name = "ids", pquant.dtype = "int64"},
                %mask: tensor<?x?xi64> {pquant.name = "attention_mask"},
                %pk: tensor<?x2x?x4xf32> {pquant.name = "past.key"},
                %pv: tensor<?x2x?x4xf32> {pquant.name = "past.value"})
    -> (tensor<?x?x16xf32> {pquant.name = "logits"}, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %w = arith.constant dense<1.0> : tensor<16x8xf32>
  %b = tensor.dim %pk, %c0 : tensor<?x2x?x4xf32>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %h:3 = "test.heads"(%ids, %mask) : (tensor<?x?xi64>, tensor<?x?xi64>) -> (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32> -> tensor<?x2x?x4xf32>
  %j = "test.join"(%a, %b) : (tensor<?x2x?x4xf32>, index) -> tensor<?x?x8xf32>
  %x = tensor.extract_slice %j[0, 0, 0] [%b, %s, 8] [1, 1, 1] : tensor<?x?x8xf32> to tensor<?x?x8xf32>
  %y = pquant.float_linear %x, %w : tensor<?x?x8xf32>, tensor<16x8xf32> -> tensor<?x?x16xf32>
  return %y, %k, %v : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// The number of sequences is fixed.

// expected-error @below {{no batch to decode: expected a model of any number of sequences with past keys and values that gets the entry point 'decode'}}
module {
// expected-remark @below {{no entry points 'prefill' and 'decode'}}
// expected-note @below {{the number of its sequences is fixed}}
func.func @main(%ids: tensor<1x1xi32>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x2x?x4xf32>, tensor<1x1x16xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x1xi32>) -> (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v {scale = 0.5 : f32}
      : tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x1x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x1x4xf32>) -> tensor<1x1x16xf32>
  return %k, %y, %v : tensor<1x2x?x4xf32>, tensor<1x1x16xf32>, tensor<1x2x?x4xf32>
}
}
