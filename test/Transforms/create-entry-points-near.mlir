// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-create-entry-points -split-input-file -verify-diagnostics | FileCheck %s --implicit-check-not=@prefill --implicit-check-not=@decode

// Functions that are no steps: they stay alone, and a remark says why.

// No attention: nothing to say.
// CHECK: func.func @main(%{{.+}}: tensor<4xf32> {bufferization.writable = false})
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// Keys of this call only.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x?xi64>) -> tensor<1x?x16xf32> {
  %h:3 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  // expected-note @+1 {{its keys and values are not past ones with new ones behind, both returned}}
  %a = pquant.attention %h#0, %h#1, %h#2 causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y : tensor<1x?x16xf32>
}

// -----

// A past that something else reads, so that its rows cannot stay where they are.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x?xi64>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %pk) : (tensor<1x?xi64>, tensor<1x2x?x4xf32>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its keys and values are not past ones with new ones behind, both returned}}
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// New keys before the past ones.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x?xi64>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %h#1, %pk : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its keys and values are not past ones with new ones behind, both returned}}
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// Several queries without a causal mask.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x?xi64>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its mask is not causal}}
  %a = pquant.attention %h#0, %k, %v {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// An input that a session cannot know.
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{input 'bias' is neither one sequence of tokens, nor a past, nor known by its name}}
func.func @main(%ids: tensor<1x?xi64>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>, %b: tensor<4xf32> {pquant.name = "bias"})
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids, %b) : (tensor<1x?xi64>, tensor<4xf32>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// A second output of one value for each token.
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{expected logits as the only output beside the caches}}
func.func @main(%ids: tensor<1x?xi64>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x?xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:4 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x?xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %y, %h#3, %k, %v : tensor<1x?x16xf32>, tensor<1x?xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// As many logits as another tensor has rows.
// expected-remark @+2 {{no entry points 'prefill' and 'decode'}}
// expected-note @+1 {{it may have more or fewer logits than tokens}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %a = pquant.attention %h#0, %k, %v causal {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  return %x, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// Queries that see all keys: one token may, but there is no decode alone.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids"}, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x?xi64>) -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %c1 = arith.constant 1 : index
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %q = tensor.extract_slice %h#0[0, 0, 0, 0] [1, 2, %s, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> to tensor<1x2x?x4xf32>
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its mask is not causal}}
  %a = pquant.attention %q, %k, %v {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %x = "test.join"(%a) : (tensor<1x2x?x4xf32>) -> tensor<1x?x16xf32>
  %y = tensor.extract_slice %x[0, 0, 0] [1, %s, 16] [1, 1, 1] : tensor<1x?x16xf32> to tensor<1x?x16xf32>
  return %y, %k, %v : tensor<1x?x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// A past whose heads are not static.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x1xi32>, %pk: tensor<?x?x?x?xf32>, %pv: tensor<?x?x?x?xf32>)
    -> (tensor<1x2x?x4xf32>, tensor<1x1x16xf32>, tensor<1x2x?x4xf32>) {
  %h:3 = "test.heads"(%ids) : (tensor<1x1xi32>) -> (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<?x?x?x?xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#2 : (tensor<?x?x?x?xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its keys and values are not past ones with new ones behind, both returned}}
  %a = pquant.attention %h#0, %k, %v {scale = 0.5 : f32}
      : tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x1x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x1x4xf32>) -> tensor<1x1x16xf32>
  return %k, %y, %v : tensor<1x2x?x4xf32>, tensor<1x1x16xf32>, tensor<1x2x?x4xf32>
}

// -----

// Keys that are values, too.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x1xi32>, %pk: tensor<1x2x?x4xf32>)
    -> (tensor<1x2x?x4xf32>, tensor<1x1x16xf32>) {
  %h:2 = "test.heads"(%ids) : (tensor<1x1xi32>) -> (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  // expected-note @+1 {{its keys and values are one cache}}
  %a = pquant.attention %h#0, %k, %k {scale = 0.5 : f32}
      : tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x1x4xf32>
  %y = "test.join"(%a) : (tensor<1x2x1x4xf32>) -> tensor<1x1x16xf32>
  return %k, %y : tensor<1x2x?x4xf32>, tensor<1x1x16xf32>
}

// -----

// A size that is asked for by a number.
// expected-remark @+1 {{no entry points 'prefill' and 'decode'}}
func.func @main(%ids: tensor<1x1xi32>, %pk: tensor<1x2x?x4xf32>, %pv: tensor<1x2x?x4xf32>)
    -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x16xf32>) {
  %n = "test.number"() : () -> index
  %h:2 = "test.heads"(%ids) : (tensor<1x1xi32>) -> (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>)
  %k = tensor.concat dim(2) %pk, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  %v = tensor.concat dim(2) %pv, %h#1 : (tensor<1x2x?x4xf32>, tensor<1x2x1x4xf32>) -> tensor<1x2x?x4xf32>
  %d = tensor.dim %pk, %n : tensor<1x2x?x4xf32>
  // expected-note @+1 {{its keys and values are not past ones with new ones behind, both returned}}
  %a = pquant.attention %h#0, %k, %v {scale = 0.5 : f32}
      : tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x1x4xf32>
  %y = "test.join"(%a, %d) : (tensor<1x2x1x4xf32>, index) -> tensor<1x1x16xf32>
  return %k, %v, %y : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x16xf32>
}
