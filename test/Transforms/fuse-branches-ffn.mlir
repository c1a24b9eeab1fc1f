// RUN: pquant-opt %s --pquant-fuse-branches -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-fuse-branches -split-input-file --remarks-filter=pquant-fuse-branches 2>&1 | FileCheck %s --check-prefix=REMARK

// A feed-forward layer in four matrix products: gate and up of each branch
// joined, both down projections in one op.

// REMARK: LoweredFFN
// REMARK: Joined {{.*}}joined 2 linears over one activation: 24 rows
// REMARK: Joined {{.*}}joined 2 linears over one activation: 8 rows
// CHECK-LABEL: func.func @gated(
// CHECK-SAME:    %[[X:.+]]: tensor<4x8xf32>
// CHECK:         %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]]
// CHECK:         %[[B:.+]] = pquant.binary_linear %[[Q]], %[[S]] {{.*}} -> tensor<4x24xf32>
// CHECK:         %[[BG:.+]] = tensor.extract_slice %[[B]][0, 0] [4, 12] [1, 1]
// CHECK:         %[[BU:.+]] = tensor.extract_slice %[[B]][0, 12] [4, 12] [1, 1]
// CHECK:         %[[BH:.+]] = linalg.generic {{.*}} ins(%[[BG]], %[[BU]]
// CHECK:         %[[I:.+]] = pquant.int8_linear %[[Q]], %[[S]], {{.*}} -> tensor<4x8xf32>
// CHECK:         %[[IG:.+]] = tensor.extract_slice %[[I]][0, 0] [4, 4] [1, 1]
// CHECK:         %[[IU:.+]] = tensor.extract_slice %[[I]][0, 4] [4, 4] [1, 1]
// CHECK:         %[[IH:.+]] = linalg.generic {{.*}} ins(%[[IG]], %[[IU]]
// CHECK-DAG:     %[[BQ:.+]], %[[BS:.+]] = pquant.quantize %[[BH]]
// CHECK-DAG:     %[[IQ:.+]], %[[IS:.+]] = pquant.quantize %[[IH]]
// CHECK:         %[[Y:.+]] = pquant.decoupled_linear int8(%[[IQ]], %[[IS]], {{.*}} binary(%[[BQ]], %[[BS]],
// CHECK:         return %[[Y]]
func.func @gated(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %v1 = arith.constant dense<false> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<1x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<1x8x4xi8>
  %y = pquant.decoupled_ffn %x
      binary(gate %w1, %s1 : tensor<12x8xi1>, tensor<1xf32>, up %v1, %s1, down %d1, %s1)
      int8(gate %w8, %s1 : tensor<1x4x8xi8>, tensor<1xf32>, up %w8, %s1, down %d8, %s1)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<silu>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<1x4x8xi8>, tensor<1xf32>, tensor<1x8x4xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Near miss: a routed layer is for --pquant-dispatch-experts.

// REMARK: Routed {{.*}}left to --pquant-dispatch-experts
// CHECK-LABEL: func.func @routed(
// CHECK:         pquant.decoupled_ffn
func.func @routed(%x: tensor<4x8xf32>, %e: tensor<4xi64>, %p: tensor<4xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<2x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<2x8x4xi8>
  %s8 = arith.constant dense<0.25> : tensor<2xf32>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s8, down %d8, %s8)
      routed(%e, %p : tensor<4xi64>, tensor<4xf32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<relu2>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<2x4x8xi8>, tensor<2xf32>, tensor<2x8x4xi8>, tensor<2xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
