// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// 1 * 3 + 2 * 4, 1 * -1 + 2 * 0.5; -1 * 3 + 0.5 * 4, -1 * -1 + 0.5 * 0.5.
//
// CHECK: {{\[\[}}11, 0],
// CHECK-NEXT: [-1, 1.25]]
func.func @main() {
  %x = arith.constant dense<[[1.0, 2.0], [-1.0, 0.5]]> : tensor<2x2xf32>
  %w = arith.constant dense<[[3.0, 4.0], [-1.0, 0.5]]> : tensor<2x2xf32>
  %y = pquant.float_linear %x, %w : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %u = tensor.cast %y : tensor<2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}
