// RUN: pquant-opt %s --pquant-to-pqk -split-input-file | FileCheck %s

// Leading dimensions become rows, the quantiser's values are padded to 64
// columns and its sums reach the kernel; the packed constant is the same blob.

// CHECK-LABEL: func.func @binary(
// CHECK-SAME:    %[[X:.+]]: tensor<2x?x5xf32>
// CHECK:         %[[M:.+]] = tensor.collapse_shape %[[X]] {{\[\[}}0, 1], [2]] : tensor<2x?x5xf32> into tensor<?x5xf32>
// CHECK:         %[[Q:.+]]:3 = pqk.quantize ins(%[[M]] : tensor<?x5xf32>) outs(%{{.+}} : tensor<?x64xi8>, tensor<?xf32>, tensor<?xi32>)
// CHECK:         %[[W:.+]] = arith.constant dense_resource<bits> : tensor<128xi8>
// CHECK:         %[[WS:.+]] = arith.constant dense<5.000000e-01> : tensor<3xf32>
// CHECK:         %[[Y:.+]] = pqk.binary_linear ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %[[W]], %[[WS]] : {{.*}}) outs(%{{.+}} : tensor<?x3xf32>) {columns = 5 : i64}
// CHECK:         %[[D:.+]] = tensor.dim %[[X]], %{{.+}} : tensor<2x?x5xf32>
// CHECK:         %[[R:.+]] = tensor.expand_shape %[[Y]] {{\[\[}}0, 1], [2]] output_shape [2, %[[D]], 3] : tensor<?x3xf32> into tensor<2x?x3xf32>
// CHECK-NOT:     = pquant.
// CHECK:         return %[[R]]
func.func @binary(%x: tensor<2x?x5xf32>) -> tensor<2x?x3xf32> {
  %w = arith.constant dense_resource<bits> : tensor<3x5xi1, #pquant.layout<d16>>
  %ws = arith.constant dense<0.5> : tensor<1x1xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<2x?x5xf32> -> tensor<2x?x5xi8>, tensor<2x?xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
      : tensor<2x?x5xi8>, tensor<2x?xf32>, (tensor<3x5xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<2x?x3xf32>
  return %y : tensor<2x?x3xf32>
}

{-#
  dialect_resources: {
    builtin: {
      bits: "0x40000000010000001F000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    }
  }
#-}

// -----

// Two planes: the second accumulates. The offset is a sum over rows of the
// quantiser's sums, added elementwise.

// CHECK-LABEL: func.func @planes_and_offset(
// CHECK:         %[[Q:.+]]:3 = pqk.quantize
// CHECK:         %[[Y0:.+]] = pqk.binary_linear ins({{.*}}) outs(%{{.+}} : tensor<4x2xf32>) {columns = 8 : i64}
// CHECK:         %[[S1:.+]] = arith.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
// CHECK:         %[[Y1:.+]] = pqk.binary_linear ins({{.*}}, %[[S1]] : {{.*}}) outs(%[[Y0]] : tensor<4x2xf32>) accumulate {columns = 8 : i64}
// CHECK:         %[[Z:.+]] = arith.constant dense<2.500000e-01> : tensor<2xf32>
// CHECK:         linalg.generic {{.*}} ins(%[[Y1]], %[[Q]]#1, %[[Z]], %[[Q]]#2 : tensor<4x2xf32>, tensor<4xf32>, tensor<2xf32>, tensor<4xi32>)
// CHECK:           arith.sitofp
func.func @planes_and_offset(%x: tensor<4x8xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense_resource<bits> : tensor<2x8xi1, #pquant.layout<d16>>
  %s0 = arith.constant dense<0.5> : tensor<1x1xf32>
  %s1 = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %z = arith.constant dense<0.25> : tensor<1xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  %y = pquant.binary_linear %q, %s planes(%w, %w) scales(%s0, %s1) offset(%z : tensor<1xf32>)
      : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1, #pquant.layout<d16>>, tensor<2x8xi1, #pquant.layout<d16>>),
        (tensor<1x1xf32>, tensor<2x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

{-#
  dialect_resources: {
    builtin: {
      bits: "0x40000000010000001F000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    }
  }
#-}
