// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// Row 1 turns pairs (0, 2) by 90 degrees and (1, 3) by 180.
//
// CHECK: [1, 2, 3, 4],
// CHECK-NEXT: [-3, -2, 1, -4]
// CHECK: [1, 2, 3, 4],
// CHECK-NEXT: [-2, 1, -3, -4]
func.func @half() {
  %x = arith.constant dense<[[[[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]]]> : tensor<1x1x2x4xf32>
  %c = arith.constant dense<[[1.0, 1.0], [0.0, -1.0]]> : tensor<2x2xf32>
  %s = arith.constant dense<[[0.0, 0.0], [1.0, 0.0]]> : tensor<2x2xf32>
  %y = pquant.rotary_embedding %x, %c, %s
    : tensor<1x1x2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32> -> tensor<1x1x2x4xf32>
  %u36 = tensor.cast %y : tensor<1x1x2x4xf32> to tensor<*xf32>
  call @printMemrefF32(%u36) : (tensor<*xf32>) -> ()
  %z = pquant.rotary_embedding %x, %c, %s interleaved
    : tensor<1x1x2x4xf32>, tensor<2x2xf32>, tensor<2x2xf32> -> tensor<1x1x2x4xf32>
  %u37 = tensor.cast %z : tensor<1x1x2x4xf32> to tensor<*xf32>
  call @printMemrefF32(%u37) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @half() : () -> ()
  return
}
