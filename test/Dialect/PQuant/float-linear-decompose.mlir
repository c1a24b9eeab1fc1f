// RUN: pquant-opt %s --pquant-decompose | FileCheck %s

// CHECK-DAG:   #[[$X:.+]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
// CHECK-DAG:   #[[$W:.+]] = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
// CHECK-DAG:   #[[$Y:.+]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @float_linear(
// CHECK:         %[[ZERO:.+]] = linalg.fill
// CHECK:         linalg.generic {indexing_maps = [#[[$X]], #[[$W]], #[[$Y]]]
// CHECK-SAME:      outs(%[[ZERO]]
func.func @float_linear(%x: tensor<2x?x8xf32>, %w: tensor<3x8xf32>) -> tensor<2x?x3xf32> {
  %y = pquant.float_linear %x, %w : tensor<2x?x8xf32>, tensor<3x8xf32> -> tensor<2x?x3xf32>
  return %y : tensor<2x?x3xf32>
}
