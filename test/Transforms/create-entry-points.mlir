// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-create-entry-points --canonicalize --cse -split-input-file -verify-diagnostics | FileCheck %s
// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-create-entry-points=cache=int8 -split-input-file 2>/dev/null | FileCheck %s --check-prefix=INT8

// One layer of one head: keys and values behind past ones. The head and the last
// norm are computed for the last token only.

// expected-remark @+1 {{2 caches are written in place by 'decode' and 'prefill'}}
func.func @main(%ids: tensor<?x?xi64> {pquant.name = "ids", pquant.dtype = "int64"},
                %pk: tensor<?x2x?x4xf32> {pquant.name = "past.key"},
                %pv: tensor<?x2x?x4xf32> {pquant.name = "past.value"})
    -> (tensor<1x?x16xf32> {pquant.name = "logits"}, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %w = arith.constant dense<1.0> : tensor<16x8xf32>
  %g = arith.constant dense<2.0> : tensor<8xf32>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %pk, %c2 : tensor<?x2x?x4xf32>
  %h:3 = "test.heads"(%ids, %past) : (tensor<?x?xi64>, index) -> (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %total = tensor.dim %k, %c2 : tensor<?x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32> -> tensor<?x2x?x4xf32>
  %j = "test.join"(%a, %total) : (tensor<?x2x?x4xf32>, index) -> tensor<1x?x8xf32>
  %x = tensor.extract_slice %j[0, 0, 0] [1, %s, 8] [1, 1, 1] : tensor<1x?x8xf32> to tensor<1x?x8xf32>
  %n = pquant.rms_norm %x, %g {eps = 1.0e-6 : f32} : tensor<1x?x8xf32>, tensor<8xf32> -> tensor<1x?x8xf32>
  %y = pquant.float_linear %n, %w : tensor<1x?x8xf32>, tensor<16x8xf32> -> tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// Rows of integers with their step.
// INT8-LABEL: func.func @decode(
// INT8-SAME:    memref<1x2x?x8xi8> {pquant.dims = [1, 2, "capacity", 8], pquant.dtype = "int8", pquant.name = "past.key"}
// INT8:         pquant.cached_attention {{.*}} tensor<1x2x?x8xi8>, tensor<1x2x?x8xi8>, tensor<i64>

// The function itself stays; nothing that it is given is written.
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    tensor<?x?xi64> {bufferization.writable = false
// CHECK-SAME:    tensor<?x2x?x4xf32> {bufferization.writable = false, pquant.name = "past.key"}
// CHECK:         pquant.attention

// CHECK-LABEL: func.func @prefill(
// CHECK-SAME:    %[[IDS:[a-z0-9]+]]: tensor<1x?xi64> {bufferization.writable = false, pquant.dims = [1, "tokens"], pquant.dtype = "int64", pquant.name = "ids"}
// CHECK-SAME:    %[[POS:[a-z0-9]+]]: tensor<i64> {{{.*}}pquant.name = "position"}
// CHECK-SAME:    %[[K:[a-z0-9]+]]: memref<1x2x?x4xf32> {pquant.dims = [1, 2, "capacity", 4], pquant.dtype = "float32", pquant.name = "past.key"}
// CHECK-SAME:    %[[V:[a-z0-9]+]]: memref<1x2x?x4xf32> {{{.*}}pquant.name = "past.value"}
// CHECK-SAME:    -> (tensor<1x16xf32> {pquant.name = "logits"})
// CHECK-DAG:     %[[S:.+]] = tensor.dim %[[IDS]], %c1
// CHECK-DAG:     %[[P:.+]] = tensor.extract %[[POS]][]
// CHECK-DAG:     %[[PAST:.+]] = arith.index_cast %[[P]] : i64 to index
// CHECK-DAG:     %[[KT:.+]] = bufferization.to_tensor %[[K]] restrict writable
// CHECK-DAG:     %[[VT:.+]] = bufferization.to_tensor %[[V]] restrict writable
// CHECK-DAG:     %[[TOTAL:.+]] = arith.addi %[[PAST]], %[[S]]
// CHECK:         %[[H:.+]]:3 = "test.heads"(%{{.+}}, %[[PAST]])
// CHECK-NOT:     tensor.concat
// CHECK:         %[[A:[a-z0-9_]+]], %[[NK:.+]], %[[NV:.+]] = pquant.cached_attention %[[H]]#0, %[[H]]#1, %[[H]]#2, %[[KT]], %[[VT]], %[[POS]] {scale = 5.000000e-01 : f32}
// CHECK:         %[[J:.+]] = "test.join"(%[[A]], %[[TOTAL]])
// CHECK:         %[[X:.+]] = tensor.extract_slice %[[J]]
// CHECK:         %[[LAST:.+]] = arith.subi %[[S]], %c1
// CHECK:         %[[ROW:.+]] = tensor.extract_slice %[[X]][0, %[[LAST]], 0] [1, 1, 8] [1, 1, 1]
// CHECK:         %[[N:.+]] = pquant.rms_norm %[[ROW]], {{.+}} : tensor<1x1x8xf32>
// CHECK:         %[[Y:.+]] = pquant.float_linear %[[N]], {{.+}} -> tensor<1x1x16xf32>
// CHECK:         %[[L:.+]] = tensor.collapse_shape %[[Y]] {{\[\[}}0, 1], [2]]
// CHECK:         bufferization.materialize_in_destination %[[NK]] in restrict writable %[[K]]
// CHECK:         bufferization.materialize_in_destination %[[NV]] in restrict writable %[[V]]
// CHECK:         return %[[L]] : tensor<1x16xf32>

// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    tensor<1x1xi64> {bufferization.writable = false, pquant.dims = [1, 1]
// CHECK:         pquant.cached_attention
// CHECK:         tensor.extract_slice {{.+}}[0, 0, 0] [1, 1, 8]

// -----

// One token a call, as exported: it sees all keys without a mask. There is no
// prefill.

// CHECK-LABEL: func.func @main(
// CHECK-NOT:   @prefill
// CHECK:       func.func @decode(%{{.+}}: tensor<1x1xi32> {{{.*}}pquant.dtype = "int32"
// CHECK:       pquant.cached_attention
// expected-remark @+1 {{2 caches are written in place by 'decode'}}
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
