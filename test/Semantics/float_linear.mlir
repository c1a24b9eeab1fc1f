// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// 1 * 1 + 2 * 10 + 3 * 100, and so on; 1 * 1 - 3 * 33 in the second row.
//
// CHECK: {{\[\[}}321, 654, 9.5],
// CHECK-NEXT: [-98, -194, -0.5]]
func.func @two_rows() {
  %x = arith.constant dense<[[1.0, 10.0, 100.0], [1.0, 0.0, -33.0]]> : tensor<2x3xf32>
  %w = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [-0.5, 1.0, 0.0]]> : tensor<3x3xf32>
  %y = pquant.float_linear %x, %w : tensor<2x3xf32>, tensor<3x3xf32> -> tensor<2x3xf32>
  %u = tensor.cast %y : tensor<2x3xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

// 17 rows of weights, two blocks of 16: the sum of 1..5 times the row number,
// of a rank-1 input.
//
// CHECK: [0,  15,  30,  45,  60,  75,  90,  105,  120,  135,  150,  165,  180,  195,  210,  225,  240]
func.func @two_blocks() {
  %x = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<5xf32>
  %w = arith.constant dense<[
    [0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0],
    [4.0, 4.0, 4.0, 4.0, 4.0], [5.0, 5.0, 5.0, 5.0, 5.0], [6.0, 6.0, 6.0, 6.0, 6.0], [7.0, 7.0, 7.0, 7.0, 7.0],
    [8.0, 8.0, 8.0, 8.0, 8.0], [9.0, 9.0, 9.0, 9.0, 9.0], [10.0, 10.0, 10.0, 10.0, 10.0],
    [11.0, 11.0, 11.0, 11.0, 11.0], [12.0, 12.0, 12.0, 12.0, 12.0], [13.0, 13.0, 13.0, 13.0, 13.0],
    [14.0, 14.0, 14.0, 14.0, 14.0], [15.0, 15.0, 15.0, 15.0, 15.0], [16.0, 16.0, 16.0, 16.0, 16.0]]> : tensor<17x5xf32>
  %y = pquant.float_linear %x, %w : tensor<5xf32>, tensor<17x5xf32> -> tensor<17xf32>
  %u = tensor.cast %y : tensor<17xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @two_rows() : () -> ()
  call @two_blocks() : () -> ()
  return
}
