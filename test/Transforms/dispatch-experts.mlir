// RUN: pquant-opt %s --pquant-dispatch-experts -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-dispatch-experts -split-input-file --remarks-filter=pquant-dispatch-experts 2>&1 | FileCheck %s --check-prefix=REMARK

// Only the chosen expert is read: the stacks stay whole and the index chooses.
// alpha = 2 and beta = 0.5 are in the scales of the down projections, the
// probability is in the scale of the rows.

// REMARK: Dispatched {{.*}}one of 2 experts is evaluated for each row
// CHECK-LABEL: func.func @two_experts(
// CHECK-SAME:    %[[X:.+]]: tensor<?x8xf32>, %[[E:.+]]: tensor<?xi64>, %[[P:.+]]: tensor<?xf32>
// CHECK-NOT:     pquant.decoupled_ffn
// CHECK:         %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]]
// CHECK:         %[[BG:.+]] = pquant.binary_linear %[[Q]], %[[S]]
// CHECK:         %[[BU:.+]] = pquant.binary_linear %[[Q]], %[[S]]
// CHECK:         %[[BH:.+]] = linalg.generic {{.*}} ins(%[[BG]], %[[BU]]
// CHECK:         %[[IG:.+]] = pquant.expert_linear %[[Q]], %[[S]], %[[E]]
// CHECK:         %[[IU:.+]] = pquant.expert_linear %[[Q]], %[[S]], %[[E]]
// CHECK:         %[[IH:.+]] = linalg.generic {{.*}} ins(%[[IG]], %[[IU]]
// CHECK:           %[[N:.+]] = arith.negf
// CHECK:           math.exp %[[N]]
// CHECK:         %[[BQ:.+]], %[[BS:.+]] = pquant.quantize %[[BH]]
// CHECK:         %[[IQ:.+]], %[[IS:.+]] = pquant.quantize %[[IH]]
// CHECK:         %[[BETA:.+]] = arith.constant dense<1.250000e-01> : tensor<1x1xf32>
// CHECK:         %[[PS:.+]] = linalg.generic {{.*}} ins(%[[IS]], %[[P]]
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      arith.mulf
// CHECK:         %[[ALPHA:.+]] = arith.constant dense<{{\[\[}}1.000000e+00], [2.000000e+00]]> : tensor<2x1xf32>
// CHECK:         %[[IY:.+]] = pquant.expert_linear %[[IQ]], %[[PS]], %[[E]], %{{.+}}, %[[ALPHA]]
// CHECK:         %[[BY:.+]] = pquant.binary_linear %[[BQ]], %[[BS]] planes(%{{.+}}) scales(%[[BETA]])
// CHECK:         linalg.generic {{.*}} ins(%[[IY]], %[[BY]]
// CHECK:           arith.addf
func.func @two_experts(%x: tensor<?x8xf32>, %e: tensor<?xi64>, %p: tensor<?xf32>) -> tensor<?x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<2x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<2x8x4xi8>
  %s8 = arith.constant dense<[0.5, 1.0]> : tensor<2xf32>
  %alpha = arith.constant dense<2.0> : tensor<f32>
  %beta = arith.constant dense<0.5> : tensor<f32>
  %y = pquant.decoupled_ffn %x
      binary(gate %w1, %s1 : tensor<12x8xi1>, tensor<1xf32>, up %w1, %s1, down %d1, %s1)
      int8(gate %w8, %s8 : tensor<2x4x8xi8>, tensor<2xf32>, up %w8, %s8, down %d8, %s8)
      routed(%e, %p : tensor<?xi64>, tensor<?xf32>) alpha(%alpha : tensor<f32>) beta(%beta : tensor<f32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<silu>}
      : tensor<?x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<2x4x8xi8>, tensor<2xf32>, tensor<2x8x4xi8>, tensor<2xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// One expert: nothing to choose, so INT8 linears and one decoupled linear.

// REMARK: OneExpert {{.*}}the only expert became INT8 linears
// CHECK-LABEL: func.func @one_expert(
// CHECK-SAME:    %[[X:.+]]: tensor<4x8xf32>, %{{.+}}: tensor<4xi64>, %[[P:.+]]: tensor<4xf32>
// CHECK-NOT:     pquant.expert_linear
// CHECK:         pquant.int8_linear {{.*}} tensor<4x8xi8>
// CHECK:         %[[IQ:.+]], %[[IS:.+]] = pquant.quantize %{{.+}} : tensor<4x4xf32>
// CHECK:         %[[PS:.+]] = linalg.generic {{.*}} ins(%[[IS]], %[[P]]
// CHECK:         pquant.decoupled_linear int8(%[[IQ]], %[[PS]],
func.func @one_expert(%x: tensor<4x8xf32>, %e: tensor<4xi64>, %p: tensor<4xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<1x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<1x8x4xi8>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s1, down %d8, %s1)
      routed(%e, %p : tensor<4xi64>, tensor<4xf32>)
      {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>, activation = #pquant.activation<relu>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<1x4x8xi8>, tensor<1xf32>, tensor<1x8x4xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Near miss: without a routed index there is nothing to dispatch.

// REMARK: NotRouted {{.*}}left to --pquant-fuse-branches
// CHECK-LABEL: func.func @not_routed(
// CHECK:         pquant.decoupled_ffn
func.func @not_routed(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<1x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<1x8x4xi8>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s1, down %d8, %s1)
      {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>, activation = #pquant.activation<relu>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<1x4x8xi8>, tensor<1xf32>, tensor<1x8x4xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// A factor that is no constant goes into the scale of the rows.

// CHECK-LABEL: func.func @alpha_is_a_value(
// CHECK-SAME:    %[[ALPHA:[a-z0-9]+]]: tensor<f32>)
// CHECK:         %[[IS1:.+]] = linalg.generic {{.*}} ins(%{{.+}}, %[[ALPHA]] : tensor<4xf32>, tensor<f32>)
// CHECK:         %[[IS2:.+]] = linalg.generic {{.*}} ins(%[[IS1]],
// CHECK:         pquant.expert_linear %{{.+}}, %[[IS2]]
func.func @alpha_is_a_value(%x: tensor<4x8xf32>, %e: tensor<4xi64>, %p: tensor<4xf32>, %alpha: tensor<f32>) -> tensor<4x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<3x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<3x8x4xi8>
  %s8 = arith.constant dense<[0.5, 1.0, 2.0]> : tensor<3xf32>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s8, down %d8, %s8)
      routed(%e, %p : tensor<4xi64>, tensor<4xf32>) alpha(%alpha : tensor<f32>)
      {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>, activation = #pquant.activation<gelu>}
      : tensor<4x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<3x4x8xi8>, tensor<3xf32>, tensor<3x8x4xi8>, tensor<3xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
