// RUN: pquant-opt %s --pquant-raise-float-linears=min-elements=6 -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-raise-float-linears=min-elements=6 -split-input-file --remarks-filter=pquant-raise-float-linears 2>&1 | FileCheck %s --check-prefix=REMARK

#x = affine_map<(b, m, n, k) -> (b, m, k)>
#w = affine_map<(b, m, n, k) -> (k, n)>
#y = affine_map<(b, m, n, k) -> (b, m, n)>
// REMARK: RaisedFloatLinear {{.*}}float linear of 3 x 2
// CHECK-LABEL: func.func @columns_first(
// CHECK-SAME:    %[[X:.+]]: tensor<1x?x2xf32>
// CHECK:         %[[W:.+]] = arith.constant
// CHECK:         %[[T:.+]] = linalg.transpose ins(%[[W]] : tensor<2x3xf32>) outs(%{{.+}} : tensor<3x2xf32>) permutation = [1, 0]
// CHECK:         %[[Y:.+]] = pquant.float_linear %[[X]], %[[T]] : tensor<1x?x2xf32>, tensor<3x2xf32> -> tensor<1x?x3xf32>
// CHECK:         return %[[Y]]
func.func @columns_first(%x: tensor<1x?x2xf32>, %s: index) -> tensor<1x?x3xf32> {
  %w = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%s) : tensor<1x?x3xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x3xf32>) -> tensor<1x?x3xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x?x2xf32>, tensor<2x3xf32>) outs(%i : tensor<1x?x3xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %c, %p : f32
    linalg.yield %r : f32
  } -> tensor<1x?x3xf32>
  return %y : tensor<1x?x3xf32>
}

// -----

// A transposed constant is read through: the table itself is [N, K].

#x = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (k, n)>
#y = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func.func @tied(
// CHECK-SAME:    %[[X:.+]]: tensor<4x2xf32>
// CHECK:         %[[W:.+]] = arith.constant {{.*}} : tensor<3x2xf32>
// CHECK:         pquant.float_linear %[[X]], %[[W]]
func.func @tied(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %te = tensor.empty() : tensor<2x3xf32>
  %t = linalg.transpose ins(%w : tensor<3x2xf32>) outs(%te : tensor<2x3xf32>) permutation = [1, 0]
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x3xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4x3xf32>) -> tensor<4x3xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %t : tensor<4x2xf32>, tensor<2x3xf32>) outs(%i : tensor<4x3xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %c, %p : f32
    linalg.yield %r : f32
  } -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// -----

// Near misses: a small matrix, a matrix that is no constant, a sum that starts
// elsewhere than at zero.

// CHECK-LABEL: func.func @left_alone(
// CHECK-NOT:     pquant.float_linear
func.func @left_alone(%x: tensor<4x2xf32>, %v: tensor<2x3xf32>, %o: tensor<4x3xf32>)
    -> (tensor<4x2xf32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  %small = arith.constant dense<1.0> : tensor<2x2xf32>
  %w = arith.constant dense<1.0> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %e2 = tensor.empty() : tensor<4x2xf32>
  %i2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<4x2xf32>) -> tensor<4x2xf32>
  %e3 = tensor.empty() : tensor<4x3xf32>
  %i3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<4x3xf32>) -> tensor<4x3xf32>
  %a = linalg.matmul ins(%x, %small : tensor<4x2xf32>, tensor<2x2xf32>) outs(%i2 : tensor<4x2xf32>) -> tensor<4x2xf32>
  %b = linalg.matmul ins(%x, %v : tensor<4x2xf32>, tensor<2x3xf32>) outs(%i3 : tensor<4x3xf32>) -> tensor<4x3xf32>
  %c = linalg.matmul ins(%x, %w : tensor<4x2xf32>, tensor<2x3xf32>) outs(%o : tensor<4x3xf32>) -> tensor<4x3xf32>
  return %a, %b, %c : tensor<4x2xf32>, tensor<4x3xf32>, tensor<4x3xf32>
}
