// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// Rows go to experts 2, 0, 2; expert 1 gets none.
//
// CHECK: {{\[\[}}70],
// CHECK-NEXT: [3],
// CHECK-NEXT: [60]]
func.func @one_expert_for_each_row() {
  %q = arith.constant dense<[[1, 1], [1, 1], [2, 0]]> : tensor<3x2xi8>
  %s = arith.constant dense<1.0> : tensor<3xf32>
  %e = arith.constant dense<[2, 0, 2]> : tensor<3xi64>
  %w = arith.constant dense<[[[1, 2]], [[100, 100]], [[3, 4]]]> : tensor<3x1x2xi8>
  %ws = arith.constant dense<[[1.0], [1.0], [10.0]]> : tensor<3x1xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<3x2xi8>, tensor<3xf32>, tensor<3xi64>, tensor<3x1x2xi8>, tensor<3x1xf32> -> tensor<3x1xf32>
  %u28 = tensor.cast %y : tensor<3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u28) : (tensor<*xf32>) -> ()
  return
}

// weight_scale E x N.
//
// CHECK: {{\[\[}}3, 4]]
func.func @scale_for_each_row_of_the_matrix() {
  %q = arith.constant dense<[[1]]> : tensor<1x1xi8>
  %s = arith.constant dense<1.0> : tensor<1xf32>
  %e = arith.constant dense<[1]> : tensor<1xi64>
  %w = arith.constant dense<1> : tensor<2x2x1xi8>
  %ws = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
    : tensor<1x1xi8>, tensor<1xf32>, tensor<1xi64>, tensor<2x2x1xi8>, tensor<2x2xf32> -> tensor<1x2xf32>
  %u29 = tensor.cast %y : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u29) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @one_expert_for_each_row() : () -> ()
  call @scale_for_each_row_of_the_matrix() : () -> ()
  return
}
