// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// INT8: 1 * 3 + 2 * 4 = 11; 1-bit: 5 - 6 = -1; 2 * 11 + 0.5 * -1.
//
// CHECK: {{\[\[}}21.5]]
// CHECK: {{\[\[}}10]]
func.func @both_branches() {
  %q8 = arith.constant dense<[[1, 2]]> : tensor<1x2xi8>
  %q1 = arith.constant dense<[[5, 6]]> : tensor<1x2xi8>
  %s = arith.constant dense<1.0> : tensor<1xf32>
  %w8 = arith.constant dense<[[3, 4]]> : tensor<1x2xi8>
  %w1 = arith.constant dense<[[true, false]]> : tensor<1x2xi1>
  %ws1 = arith.constant dense<1.0> : tensor<1x1xf32>
  %alpha = arith.constant dense<2.0> : tensor<f32>
  %beta = arith.constant dense<0.5> : tensor<f32>
  %y = pquant.decoupled_linear int8(%q8, %s, %w8, %s) binary(%q1, %s, planes(%w1), scales(%ws1))
    alpha(%alpha : tensor<f32>) beta(%beta : tensor<f32>)
    : (tensor<1x2xi8>, tensor<1xf32>, tensor<1x2xi8>, tensor<1xf32>),
      (tensor<1x2xi8>, tensor<1xf32>, (tensor<1x2xi1>), (tensor<1x1xf32>)) -> tensor<1x1xf32>
  %u22 = tensor.cast %y : tensor<1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u22) : (tensor<*xf32>) -> ()
  %z = pquant.decoupled_linear int8(%q8, %s, %w8, %s) binary(%q1, %s, planes(%w1), scales(%ws1))
    : (tensor<1x2xi8>, tensor<1xf32>, tensor<1x2xi8>, tensor<1xf32>),
      (tensor<1x2xi8>, tensor<1xf32>, (tensor<1x2xi1>), (tensor<1x1xf32>)) -> tensor<1x1xf32>
  %u23 = tensor.cast %z : tensor<1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u23) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @both_branches() : () -> ()
  return
}
