// RUN: pquant-opt %s --pquant-fuse-branches -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-fuse-branches -split-input-file --remarks-filter=pquant-fuse-branches 2>&1 | FileCheck %s --check-prefix=REMARK

// Two quantisers of one value become one, and their linears one with the rows
// below one another. Row 0 of %a is 1010 0 (bits 0 and 2), so the joined bits
// are those of %a and then those of %b, across byte borders.

// REMARK: SharedQuantizer
// REMARK: Joined {{.*}}joined 2 linears over one activation: 3 rows
// CHECK-LABEL: func.func @join_binary(
// CHECK-SAME:    %[[X:.+]]: tensor<2x?x5xf32>
// CHECK:         %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]]
// CHECK-NOT:     = pquant.quantize
// CHECK:         %[[W:.+]] = arith.constant dense<{{\[}}[true, false, true, false, false], [true, true, true, true, true], [false, false, true, true, true]]> : tensor<3x5xi1>
// CHECK:         %[[WS:.+]] = arith.constant dense<{{\[}}[5.000000e-01], [2.500000e-01], [2.500000e-01]]> : tensor<3x1xf32>
// CHECK:         %[[Y:.+]] = pquant.binary_linear %[[Q]], %[[S]] planes(%[[W]]) scales(%[[WS]])
// CHECK:         %[[A:.+]] = tensor.extract_slice %[[Y]][0, 0, 0] [2, %{{.+}}, 1] [1, 1, 1]
// CHECK:         %[[B:.+]] = tensor.extract_slice %[[Y]][0, 0, 1] [2, %{{.+}}, 2] [1, 1, 1]
// CHECK:         tensor.expand_shape %[[A]]
// CHECK:         tensor.expand_shape %[[B]]
func.func @join_binary(%x: tensor<2x?x5xf32>, %d: index) -> (tensor<2x?x1x1xf32>, tensor<2x?x1x2xf32>) {
  %wa = arith.constant dense<[[true, false, true, false, false]]> : tensor<1x5xi1>
  %wb = arith.constant dense<[[true, true, true, true, true], [false, false, true, true, true]]> : tensor<2x5xi1>
  %sa = arith.constant dense<0.5> : tensor<1x1xf32>
  %sb = arith.constant dense<0.25> : tensor<1x1xf32>
  %q0, %s0 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<2x?x5xf32> -> tensor<2x?x5xi8>, tensor<2x?xf32>
  %a = pquant.binary_linear %q0, %s0 planes(%wa) scales(%sa)
      : tensor<2x?x5xi8>, tensor<2x?xf32>, (tensor<1x5xi1>), (tensor<1x1xf32>) -> tensor<2x?x1xf32>
  %q1, %s1 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<2x?x5xf32> -> tensor<2x?x5xi8>, tensor<2x?xf32>
  %b = pquant.binary_linear %q1, %s1 planes(%wb) scales(%sb)
      : tensor<2x?x5xi8>, tensor<2x?xf32>, (tensor<2x5xi1>), (tensor<1x1xf32>) -> tensor<2x?x2xf32>
  %ha = tensor.expand_shape %a [[0], [1], [2, 3]] output_shape [2, %d, 1, 1] : tensor<2x?x1xf32> into tensor<2x?x1x1xf32>
  %hb = tensor.expand_shape %b [[0], [1], [2, 3]] output_shape [2, %d, 1, 2] : tensor<2x?x2xf32> into tensor<2x?x1x2xf32>
  return %ha, %hb : tensor<2x?x1x1xf32>, tensor<2x?x1x2xf32>
}

// -----

// Near misses: another formula, another value.

// CHECK-LABEL: func.func @different_quantizers(
// CHECK-COUNT-3: = pquant.quantize
func.func @different_quantizers(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xi8>, tensor<4x8xi8>, tensor<4x8xi8>) {
  %a, %sa = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  %b, %sb = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  %c, %sc = pquant.quantize %y {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  return %a, %b, %c : tensor<4x8xi8>, tensor<4x8xi8>, tensor<4x8xi8>
}

// -----

// Near miss: a return needs dense rows; one linear alone is not joined.

// REMARK: NotJoined {{.*}}'func.return' reads its result and needs dense rows
// CHECK-LABEL: func.func @dense_reader(
// CHECK-COUNT-2: pquant.int8_linear
func.func @dense_reader(%q: tensor<4x8xi8>, %s: tensor<4xf32>) -> (tensor<4x2xf32>, tensor<4x2x1xf32>) {
  %w = arith.constant dense<1> : tensor<2x8xi8>
  %ws = arith.constant dense<1.0> : tensor<1xf32>
  %a = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %b = pquant.int8_linear %q, %s, %w, %ws : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %hb = tensor.expand_shape %b [[0], [1, 2]] output_shape [4, 2, 1] : tensor<4x2xf32> into tensor<4x2x1xf32>
  return %a, %hb : tensor<4x2xf32>, tensor<4x2x1xf32>
}

// -----

// INT8 and expert linears; equal scales a tensor stay one number.

// CHECK-LABEL: func.func @join_int8_and_experts(
// CHECK:         %[[W:.+]] = arith.constant dense<{{\[}}[1, 1], [2, 3], [4, 5]]> : tensor<3x2xi8>
// CHECK:         %[[S:.+]] = arith.constant dense<5.000000e-01> : tensor<1xf32>
// CHECK:         pquant.int8_linear %{{.+}}, %{{.+}}, %[[W]], %[[S]]
// CHECK:         %[[EW:.+]] = arith.constant dense<{{\[\[}}[1, 2], [5, 6]], {{\[}}[3, 4], [7, 8]]]> : tensor<2x2x2xi8>
// CHECK:         %[[ES:.+]] = arith.constant dense<{{\[}}[1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]> : tensor<2x2xf32>
// CHECK:         pquant.expert_linear %{{.+}}, %{{.+}}, %{{.+}}, %[[EW]], %[[ES]]
func.func @join_int8_and_experts(%q: tensor<4x2xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>)
    -> (tensor<4x1x1xf32>, tensor<4x2x1xf32>, tensor<4x1x1xf32>, tensor<4x1x1xf32>) {
  %wa = arith.constant dense<1> : tensor<1x2xi8>
  %wb = arith.constant dense<[[2, 3], [4, 5]]> : tensor<2x2xi8>
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  %ea = arith.constant dense<[[[1, 2]], [[3, 4]]]> : tensor<2x1x2xi8>
  %eb = arith.constant dense<[[[5, 6]], [[7, 8]]]> : tensor<2x1x2xi8>
  %esa = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %esb = arith.constant dense<[[3.0], [4.0]]> : tensor<2x1xf32>
  %a = pquant.int8_linear %q, %s, %wa, %ws : tensor<4x2xi8>, tensor<4xf32>, tensor<1x2xi8>, tensor<1xf32> -> tensor<4x1xf32>
  %b = pquant.int8_linear %q, %s, %wb, %ws : tensor<4x2xi8>, tensor<4xf32>, tensor<2x2xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %c = pquant.expert_linear %q, %s, %e, %ea, %esa
      : tensor<4x2xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x1x2xi8>, tensor<2x1xf32> -> tensor<4x1xf32>
  %d = pquant.expert_linear %q, %s, %e, %eb, %esb
      : tensor<4x2xi8>, tensor<4xf32>, tensor<4xi64>, tensor<2x1x2xi8>, tensor<2x1xf32> -> tensor<4x1xf32>
  %ha = tensor.expand_shape %a [[0], [1, 2]] output_shape [4, 1, 1] : tensor<4x1xf32> into tensor<4x1x1xf32>
  %hb = tensor.expand_shape %b [[0], [1, 2]] output_shape [4, 2, 1] : tensor<4x2xf32> into tensor<4x2x1xf32>
  %hc = tensor.expand_shape %c [[0], [1, 2]] output_shape [4, 1, 1] : tensor<4x1xf32> into tensor<4x1x1xf32>
  %hd = tensor.expand_shape %d [[0], [1, 2]] output_shape [4, 1, 1] : tensor<4x1xf32> into tensor<4x1x1xf32>
  return %ha, %hb, %hc, %hd : tensor<4x1x1xf32>, tensor<4x2x1xf32>, tensor<4x1x1xf32>, tensor<4x1x1xf32>
}

// -----

// Added branches become one decoupled linear, in either order of the addends.

#id = affine_map<(d0, d1) -> (d0, d1)>
// REMARK: Decoupled {{.*}}became one decoupled linear
// CHECK-LABEL: func.func @added_branches(
// CHECK-SAME:    %[[Q8:.+]]: tensor<4x8xi8>, %[[S8:.+]]: tensor<4xf32>, %[[Q1:.+]]: tensor<4x16xi8>, %[[S1:.+]]: tensor<4xf32>
// CHECK-NOT:     linalg.generic
// CHECK:         %[[Y:.+]] = pquant.decoupled_linear int8(%[[Q8]], %[[S8]], %{{.+}}) binary(%[[Q1]], %[[S1]],
// CHECK:         return %[[Y]]
func.func @added_branches(%q8: tensor<4x8xi8>, %s8: tensor<4xf32>, %q1: tensor<4x16xi8>, %s1: tensor<4xf32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<1> : tensor<2x8xi8>
  %w1 = arith.constant dense<true> : tensor<2x16xi1>
  %ws8 = arith.constant dense<1.0> : tensor<1xf32>
  %ws1 = arith.constant dense<1.0> : tensor<1x1xf32>
  %a = pquant.int8_linear %q8, %s8, %w8, %ws8 : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %b = pquant.binary_linear %q1, %s1 planes(%w1) scales(%ws1) : tensor<4x16xi8>, tensor<4xf32>, (tensor<2x16xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %e = tensor.empty() : tensor<4x2xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%b, %a : tensor<4x2xf32>, tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %sum = arith.addf %l, %r : f32
    linalg.yield %sum : f32
  } -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Near miss: the 1-bit branch has another reader, so it must exist anyway.

// REMARK: NotDecoupled {{.*}}a branch has another reader
// CHECK-LABEL: func.func @branch_with_two_readers(
// CHECK-NOT:     pquant.decoupled_linear
func.func @branch_with_two_readers(%q8: tensor<4x8xi8>, %s8: tensor<4xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %w8 = arith.constant dense<1> : tensor<2x8xi8>
  %w1 = arith.constant dense<true> : tensor<2x8xi1>
  %ws8 = arith.constant dense<1.0> : tensor<1xf32>
  %ws1 = arith.constant dense<1.0> : tensor<1x1xf32>
  %a = pquant.int8_linear %q8, %s8, %w8, %ws8 : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %b = pquant.binary_linear %q8, %s8 planes(%w1) scales(%ws1) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %y = arith.addf %a, %b : tensor<4x2xf32>
  return %y, %b : tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

// alpha and beta are multiplied into the weight scales.

// REMARK: FoldedFactors {{.*}}alpha and beta folded into weight scales
// CHECK-LABEL: func.func @fold_factors(
// CHECK-DAG:     %[[A:.+]] = arith.constant dense<6.000000e+00> : tensor<1xf32>
// CHECK-DAG:     %[[B:.+]] = arith.constant dense<{{\[}}[5.000000e-01], [1.000000e+00]]> : tensor<2x1xf32>
// CHECK:         pquant.decoupled_linear int8(%{{.+}}, %{{.+}}, %{{.+}}, %[[A]]) binary(%{{.+}}, %{{.+}}, planes(%{{.+}}), scales(%[[B]]))
// CHECK-NOT:     alpha
func.func @fold_factors(%q: tensor<4x8xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<1> : tensor<2x8xi8>
  %w1 = arith.constant dense<true> : tensor<2x8xi1>
  %ws8 = arith.constant dense<3.0> : tensor<1xf32>
  %ws1 = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %alpha = arith.constant dense<2.0> : tensor<f32>
  %beta = arith.constant dense<0.5> : tensor<f32>
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %ws8) binary(%q, %s, planes(%w1), scales(%ws1))
      alpha(%alpha : tensor<f32>) beta(%beta : tensor<f32>)
      : (tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32>),
        (tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<2x1xf32>)) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// alpha * int8 + beta * 1-bit, written out: the factors go into the scales and
// the sum becomes a decoupled linear.

#id = affine_map<(d0, d1) -> (d0, d1)>
#scalar = affine_map<(d0, d1) -> ()>
// REMARK: FoldedConstant {{.*}}a constant factor folded into the scale of a linear
// REMARK: Decoupled {{.*}}became one decoupled linear
// CHECK-LABEL: func.func @scaled_and_added(
// CHECK-DAG:     %[[A:.+]] = arith.constant dense<6.000000e+00> : tensor<1xf32>
// CHECK-DAG:     %[[B:.+]] = arith.constant dense<5.000000e-01> : tensor<1x1xf32>
// CHECK-NOT:     linalg.generic
// CHECK:         pquant.decoupled_linear int8(%{{.+}}, %{{.+}}, %{{.+}}, %[[A]]) binary(%{{.+}}, %{{.+}}, planes(%{{.+}}), scales(%[[B]]))
func.func @scaled_and_added(%q: tensor<4x8xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<1> : tensor<2x8xi8>
  %w1 = arith.constant dense<true> : tensor<2x8xi1>
  %s8 = arith.constant dense<3.0> : tensor<1xf32>
  %s1 = arith.constant dense<1.0> : tensor<1x1xf32>
  %alpha = arith.constant dense<2.0> : tensor<f32>
  %beta = arith.constant dense<0.5> : tensor<f32>
  %a = pquant.int8_linear %q, %s, %w8, %s8 : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %b = pquant.binary_linear %q, %s planes(%w1) scales(%s1) : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %e = tensor.empty() : tensor<4x2xf32>
  %sa = linalg.generic {indexing_maps = [#scalar, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%alpha, %a : tensor<f32>, tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    linalg.yield %m : f32
  } -> tensor<4x2xf32>
  %sb = linalg.generic {indexing_maps = [#id, #scalar, #id], iterator_types = ["parallel", "parallel"]}
      ins(%b, %beta : tensor<4x2xf32>, tensor<f32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    linalg.yield %m : f32
  } -> tensor<4x2xf32>
  %y = arith.addf %sa, %sb : tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Near misses: a factor that is no constant, and a product with another tensor.

#id = affine_map<(d0, d1) -> (d0, d1)>
#scalar = affine_map<(d0, d1) -> ()>
// CHECK-LABEL: func.func @other_products(
// CHECK-COUNT-2: arith.mulf
func.func @other_products(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %f: tensor<f32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<1> : tensor<2x8xi8>
  %s8 = arith.constant dense<3.0> : tensor<1xf32>
  %c = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]> : tensor<4x2xf32>
  %a = pquant.int8_linear %q, %s, %w8, %s8 : tensor<4x8xi8>, tensor<4xf32>, tensor<2x8xi8>, tensor<1xf32> -> tensor<4x2xf32>
  %e = tensor.empty() : tensor<4x2xf32>
  %sa = linalg.generic {indexing_maps = [#scalar, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%f, %a : tensor<f32>, tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    linalg.yield %m : f32
  } -> tensor<4x2xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%sa, %c : tensor<4x2xf32>, tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    linalg.yield %m : f32
  } -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
