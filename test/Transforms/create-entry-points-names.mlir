// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-create-entry-points -split-input-file -verify-diagnostics | FileCheck %s

// Which inputs are known by their names, and as what.

// The number of tokens before these.
// CHECK-LABEL: func.func @main(
// CHECK:       func.func @prefill(%[[IDS:[a-z0-9]+]]: tensor<1x?xi64>
// CHECK-SAME:    %[[POS:[a-z0-9]+]]: tensor<i64>
// CHECK:         %[[P:.+]] = arith.index_cast %[[START:.+]] : index to i64
// CHECK:         %[[E:.+]] = tensor.from_elements %[[P]]
// CHECK:         %[[V:.+]] = linalg.generic {{.*}} ins(%[[E]] : tensor<i64>) outs(%{{.+}} : tensor<1x1xi64>)
// CHECK-NEXT:    ^bb0(%[[IN:.+]]: i64, %{{.+}}: i64):
// CHECK-NEXT:      linalg.yield %[[IN]] : i64
// CHECK:         "test.heads"(%{{.+}}, %[[V]])
// CHECK-LABEL: func.func @decode(
// expected-remark @+1 {{2 caches are written in place by 'decode' and 'prefill'}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %past: tensor<1x1xi64> {pquant.name = "past_seq_len"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %past) : (tensor<1x?xi64>, tensor<1x1xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  %c1 = arith.constant 1 : index
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %y = tensor.extract_slice %x[0, 0, 0] [1, %s, 16] [1, 1, 1] : tensor<1x?x16xf32> to tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// Any single number may be anything.
// CHECK-NOT: @decode
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{input 'num_logits_to_keep' is neither one sequence of tokens, nor a past, nor known by its name}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %n: tensor<i64> {pquant.name = "num_logits_to_keep"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %n) : (tensor<1x?xi64>, tensor<i64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  %c1 = arith.constant 1 : index
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %y = tensor.extract_slice %x[0, 0, 0] [1, %s, 16] [1, 1, 1] : tensor<1x?x16xf32> to tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// One less than the number of tokens, and lengths that may be of these tokens.
// CHECK-NOT: @decode
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{input 'seqlens_k' is neither one sequence of tokens, nor a past, nor known by its name}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %n: tensor<1xi32> {pquant.name = "seqlens_k"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %n) : (tensor<1x?xi64>, tensor<1xi32>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  %c1 = arith.constant 1 : index
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %y = tensor.extract_slice %x[0, 0, 0] [1, %s, 16] [1, 1, 1] : tensor<1x?x16xf32> to tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// As a matrix it is no sequence of tokens either.
// CHECK-NOT: @decode
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{input 'seq_len' is neither one sequence of tokens, nor a past, nor known by its name}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %n: tensor<1x1xi64> {pquant.name = "seq_len"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %n) : (tensor<1x?xi64>, tensor<1x1xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  %c1 = arith.constant 1 : index
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %y = tensor.extract_slice %x[0, 0, 0] [1, %s, 16] [1, 1, 1] : tensor<1x?x16xf32> to tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}
