// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}
func.func private @printMemrefI64(tensor<*xi64>) attributes {llvm.emit_c_interface}

// Logits [0, ln 3], [0, 0]: probabilities 3/4 and, on a tie, 1/2 of the smaller
// index.
//
// CHECK: [1, 0]
// CHECK: [0.75, 0.5]
func.func @top_one() {
  %x = arith.constant dense<[[1.0, 0.0], [0.0, 1.0]]> : tensor<2x2xf32>
  %w = arith.constant dense<[[0.0, 0.0], [1.0986123, 0.0]]> : tensor<2x2xf32>
  %e, %p = pquant.route %x, %w : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2xi64>, tensor<2xf32>
  %u24 = tensor.cast %e : tensor<2xi64> to tensor<*xi64>
  call @printMemrefI64(%u24) : (tensor<*xi64>) -> ()
  %u25 = tensor.cast %p : tensor<2xf32> to tensor<*xf32>
  call @printMemrefF32(%u25) : (tensor<*xf32>) -> ()
  return
}

// One expert has probability 1.
//
// CHECK: [0]
// CHECK: [1]
func.func @one_expert() {
  %x = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %w = arith.constant dense<[[-100.0, -100.0]]> : tensor<1x2xf32>
  %e, %p = pquant.route %x, %w : tensor<1x2xf32>, tensor<1x2xf32> -> tensor<1xi64>, tensor<1xf32>
  %u26 = tensor.cast %e : tensor<1xi64> to tensor<*xi64>
  call @printMemrefI64(%u26) : (tensor<*xi64>) -> ()
  %u27 = tensor.cast %p : tensor<1xf32> to tensor<*xf32>
  call @printMemrefF32(%u27) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @top_one() : () -> ()
  call @one_expert() : () -> ()
  return
}
