// RUN: pquant-opt %s --pquant-pack-bits=layout=d16 --pquant-to-pqk -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-pack-bits=layout=d16 --pquant-to-pqk -split-input-file --remarks-filter=pquant-to-pqk 2>&1 | FileCheck %s --check-prefix=REMARK

// Row sums come from the packed bytes: 1 - 2 + 3 and 4 + 5 - 128.

// CHECK-LABEL: func.func @int8(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<{{.+}}> : tensor<1024xi8>
// CHECK:         %[[RS:.+]] = arith.constant dense<[2, -119]> : tensor<2xi32>
// CHECK:         pqk.int8_linear ins(%{{.+}}#0, %{{.+}}#1, %[[W]], %[[RS]], %{{.+}} : {{.*}}) outs(%{{.+}} : tensor<4x2xf32>) {columns = 3 : i64}
func.func @int8(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[1, -2, 3], [4, 5, -128]]> : tensor<2x3xi8>
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x3xf32> -> tensor<4x3xi8>, tensor<4xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x3xi8>, tensor<4xf32>, tensor<2x3xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A decoupled linear: the INT8 kernel writes, the 1-bit kernel accumulates;
// alpha and beta that are still there go into the scales.

// CHECK-LABEL: func.func @decoupled(
// CHECK:         %[[A:.+]] = arith.constant dense<6.000000e+00> : tensor<2xf32>
// CHECK:         %[[Y8:.+]] = pqk.int8_linear ins({{.*}}, %[[A]] : {{.*}}) outs(%{{.+}} : tensor<4x2xf32>) {columns = 3 : i64}
// CHECK:         %[[B:.+]] = arith.constant dense<5.000000e-01> : tensor<2xf32>
// CHECK:         pqk.binary_linear ins({{.*}}, %[[B]] : {{.*}}) outs(%[[Y8]] : tensor<4x2xf32>) accumulate {columns = 3 : i64}
func.func @decoupled(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<7> : tensor<2x3xi8>
  %w1 = arith.constant dense<true> : tensor<2x3xi1>
  %s8 = arith.constant dense<3.0> : tensor<1xf32>
  %s1 = arith.constant dense<1.0> : tensor<1x1xf32>
  %alpha = arith.constant dense<2.0> : tensor<f32>
  %beta = arith.constant dense<0.5> : tensor<f32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x3xf32> -> tensor<4x3xi8>, tensor<4xf32>
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q, %s, planes(%w1), scales(%s1))
      alpha(%alpha : tensor<f32>) beta(%beta : tensor<f32>)
      : (tensor<4x3xi8>, tensor<4xf32>, tensor<2x3xi8>, tensor<1xf32>),
        (tensor<4x3xi8>, tensor<4xf32>, (tensor<2x3xi1>), (tensor<1x1xf32>)) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Experts: E x N sums and scales; the row scale is not the quantiser's own.

// CHECK-LABEL: func.func @experts(
// CHECK-SAME:    %{{.+}}: tensor<1x4x3xf32>, %[[E:.+]]: tensor<1x4xi64>, %{{.+}}: tensor<1x4xf32>
// CHECK:         %[[Q:.+]]:3 = pqk.quantize
// CHECK:         %[[OWN:.+]] = tensor.expand_shape %[[Q]]#1
// CHECK:         %[[SP:.+]] = linalg.generic {{.*}} ins(%[[OWN]],
// CHECK:         %[[ROWS:.+]] = tensor.collapse_shape %[[SP]] {{\[\[}}0, 1]] : tensor<1x4xf32> into tensor<4xf32>
// CHECK:         %[[I:.+]] = tensor.collapse_shape %[[E]] {{\[\[}}0, 1]] : tensor<1x4xi64> into tensor<4xi64>
// CHECK:         %[[RS:.+]] = arith.constant dense<{{\[}}[6, 15], [3, 0]]> : tensor<2x2xi32>
// CHECK:         %[[WS:.+]] = arith.constant dense<{{\[}}[5.000000e-01, 5.000000e-01], [2.500000e-01, 2.500000e-01]]> : tensor<2x2xf32>
// CHECK:         pqk.expert_linear ins(%[[Q]]#0, %[[ROWS]], %[[I]], %{{.+}}, %[[RS]], %[[WS]] : {{.*}}, tensor<2048xi8>, {{.*}}) outs(%{{.+}} : tensor<4x2xf32>) {columns = 3 : i64}
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @experts(%x: tensor<1x4x3xf32>, %e: tensor<1x4xi64>, %p: tensor<1x4xf32>) -> tensor<1x4x2xf32> {
  %w = arith.constant dense<[[[1, 2, 3], [4, 5, 6]], [[1, 1, 1], [0, 0, 0]]]> : tensor<2x2x3xi8>
  %ws = arith.constant dense<[[0.5], [0.25]]> : tensor<2x1xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<1x4x3xf32> -> tensor<1x4x3xi8>, tensor<1x4xf32>
  %empty = tensor.empty() : tensor<1x4xf32>
  %sp = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]}
      ins(%s, %p : tensor<1x4xf32>, tensor<1x4xf32>) outs(%empty : tensor<1x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x4xf32>
  %y = pquant.expert_linear %q, %sp, %e, %w, %ws
      : tensor<1x4x3xi8>, tensor<1x4xf32>, tensor<1x4xi64>, tensor<2x2x3xi8>, tensor<2x1xf32> -> tensor<1x4x2xf32>
  return %y : tensor<1x4x2xf32>
}

// -----

// Rank 1 is one row; a float linear keeps its K.

// CHECK-LABEL: func.func @one_row(
// CHECK-SAME:    %[[X:.+]]: tensor<3xf32>
// CHECK:         %[[M:.+]] = tensor.expand_shape %[[X]] {{\[\[}}0, 1]] output_shape [1, 3] : tensor<3xf32> into tensor<1x3xf32>
// CHECK:         %[[Y:.+]] = pqk.float_linear ins(%[[M]], %{{.+}} : tensor<1x3xf32>, tensor<48xf32>) outs(%{{.+}} : tensor<1x2xf32>) -> tensor<1x2xf32>
// CHECK:         tensor.collapse_shape %[[Y]] {{\[\[}}0, 1]] : tensor<1x2xf32> into tensor<2xf32>
func.func @one_row(%x: tensor<3xf32>) -> tensor<2xf32> {
  %w = arith.constant dense<1.0> : tensor<2x3xf32>
  %y = pquant.float_linear %x, %w : tensor<3xf32>, tensor<2x3xf32> -> tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----

// Rows that were quantised elsewhere are padded and summed; a weight scale
// that is no constant is spread over the rows.

// CHECK-LABEL: func.func @quantized_elsewhere(
// CHECK-SAME:    %[[Q:.+]]: tensor<?x70xi8>, %[[S:.+]]: tensor<?xf32>, %[[WS:.+]]: tensor<1x1xf32>
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}} ins(%[[Q]] : tensor<?x70xi8>)
// CHECK:         %[[P:.+]] = tensor.pad %[[Q]] low[0, 0] high[0, 58]
// CHECK:         tensor<?x70xi8> to tensor<?x128xi8>
// CHECK:         %[[V:.+]] = linalg.fill
// CHECK:         pqk.binary_linear ins(%[[P]], %[[S]], %[[SUM]], %{{.+}}, %[[V]] : {{.*}}) outs(%{{.+}} : tensor<?x2xf32>) {columns = 70 : i64}
func.func @quantized_elsewhere(%q: tensor<?x70xi8>, %s: tensor<?xf32>, %ws: tensor<1x1xf32>) -> tensor<?x2xf32> {
  %w = arith.constant dense<true> : tensor<2x70xi1>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
      : tensor<?x70xi8>, tensor<?xf32>, (tensor<2x70xi1>), (tensor<1x1xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// Other readers of a quantiser get slices of its padded values.

// CHECK-LABEL: func.func @values_returned(
// CHECK:         %[[Q:.+]]:3 = pqk.quantize
// CHECK:         tensor.extract_slice %[[Q]]#0[0, 0] [%{{.+}}, 3] [1, 1] : tensor<?x64xi8> to tensor<?x3xi8>
// CHECK-NOT:     = pquant.
func.func @values_returned(%x: tensor<2x?x3xf32>) -> (tensor<2x?x3xi8>, tensor<2x?xf32>) {
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<2x?x3xf32> -> tensor<2x?x3xi8>, tensor<2x?xf32>
  return %q, %s : tensor<2x?x3xi8>, tensor<2x?xf32>
}

// -----

// Without a kernel an op is replaced by its definition: two scales a row, and
// units of the decoder.

// REMARK: Decomposed {{.*}}'pquant.binary_linear' replaced by its definition
// REMARK: Decomposed {{.*}}'pquant.rms_norm' replaced by its definition
// CHECK-LABEL: func.func @decomposed(
// CHECK:         pqk.quantize
// CHECK-NOT:     pqk.binary_linear
// CHECK-NOT:     = pquant.
// CHECK:         linalg.generic
func.func @decomposed(%x: tensor<4x4xf32>, %n: tensor<2xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<true> : tensor<2x4xi1>
  %ws = arith.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x4xf32> -> tensor<4x4xi8>, tensor<4xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
      : tensor<4x4xi8>, tensor<4xf32>, (tensor<2x4xi1>), (tensor<1x2xf32>) -> tensor<4x2xf32>
  %r = pquant.rms_norm %y, %n {eps = 1.000000e-06 : f32} : tensor<4x2xf32>, tensor<2xf32> -> tensor<4x2xf32>
  return %r : tensor<4x2xf32>
}
