// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// acc = 127 * 127 - 128 * -128 = 32513 is exact in int32; second row 1 - 2.
//
// CHECK: {{\[\[}}32513, 254]]
func.func @per_row_scales() {
  %q = arith.constant dense<[[127, -128]]> : tensor<1x2xi8>
  %s = arith.constant dense<0.5> : tensor<1xf32>
  %w = arith.constant dense<[[127, -128], [1, 0]]> : tensor<2x2xi8>
  %ws = arith.constant dense<[2.0, 4.0]> : tensor<2xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws
    : tensor<1x2xi8>, tensor<1xf32>, tensor<2x2xi8>, tensor<2xf32> -> tensor<1x2xf32>
  %u20 = tensor.cast %y : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u20) : (tensor<*xf32>) -> ()
  return
}

// The row count is known at run time only; one scale.
//
// CHECK: {{\[\[}}6],
// CHECK-NEXT: [7],
// CHECK-NEXT: [5.5]]
func.func @dynamic_rows() {
  %c0 = arith.constant dense<[[1, 2], [3, 4], [5, 6]]> : tensor<3x2xi8>
  %q = tensor.cast %c0 : tensor<3x2xi8> to tensor<?x2xi8>
  %c1 = arith.constant dense<[1.0, 0.5, 0.25]> : tensor<3xf32>
  %s = tensor.cast %c1 : tensor<3xf32> to tensor<?xf32>
  %w = arith.constant dense<[[1, 1]]> : tensor<1x2xi8>
  %ws = arith.constant dense<2.0> : tensor<1xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws
    : tensor<?x2xi8>, tensor<?xf32>, tensor<1x2xi8>, tensor<1xf32> -> tensor<?x1xf32>
  %u21 = tensor.cast %y : tensor<?x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u21) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @per_row_scales() : () -> ()
  call @dynamic_rows() : () -> ()
  return
}
