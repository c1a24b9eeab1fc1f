// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// mean square (9 + 16 + 0 + 0) / 4 = 6.25; with eps 0, 1 / 2.5.
//
// CHECK: {{\[\[}}1.2, 3.2, 0, 0]]
// CHECK: {{\[\[}}0.3, 0.8, 0, 0]]
func.func @unit() {
  %x = arith.constant dense<[[3.0, 4.0, 0.0, 0.0]]> : tensor<1x4xf32>
  %w = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %y = pquant.rms_norm %x, %w {eps = 0.0 : f32} : tensor<1x4xf32>, tensor<4xf32> -> tensor<1x4xf32>
  %u34 = tensor.cast %y : tensor<1x4xf32> to tensor<*xf32>
  call @printMemrefF32(%u34) : (tensor<*xf32>) -> ()
  %z = pquant.rms_norm %x, %w {eps = 93.75 : f32} : tensor<1x4xf32>, tensor<4xf32> -> tensor<1x4xf32>
  %u35 = tensor.cast %z : tensor<1x4xf32> to tensor<*xf32>
  call @printMemrefF32(%u35) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @unit() : () -> ()
  return
}
