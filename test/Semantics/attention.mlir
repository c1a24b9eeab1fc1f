// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// All logits are 0: means of the values seen. Two query heads share one key head;
// the two queries are the last of three positions.
//
// CHECK: [1.5, 15],
// CHECK-NEXT: [3, 30]
// CHECK: [1.5, 15],
// CHECK-NEXT: [3, 30]
func.func @causal_and_grouped() {
  %q = arith.constant dense<0.0> : tensor<1x2x2x1xf32>
  %k = arith.constant dense<0.0> : tensor<1x1x3x1xf32>
  %v = arith.constant dense<[[[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]]]> : tensor<1x1x3x2xf32>
  %y = pquant.attention %q, %k, %v causal {scale = 1.0 : f32}
    : tensor<1x2x2x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x2xf32> -> tensor<1x2x2x2xf32>
  %u38 = tensor.cast %y : tensor<1x2x2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u38) : (tensor<*xf32>) -> ()
  return
}

// Logits 0.5 * 2 * ln 3 and 0: weights 3/4, 1/4. The second row is masked out
// entirely and gives 0.
//
// CHECK: [5],
// CHECK-NEXT: [0]
func.func @masked() {
  %q = arith.constant dense<2.0> : tensor<1x1x2x1xf32>
  %k = arith.constant dense<[[[[1.0986123], [0.0]]]]> : tensor<1x1x2x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0]]]]> : tensor<1x1x2x1xf32>
  %m = arith.constant dense<[[0.0, 0.0], [0xFF800000, 0xFF800000]]> : tensor<2x2xf32>
  %y = pquant.attention %q, %k, %v mask(%m : tensor<2x2xf32>) {scale = 0.5 : f32}
    : tensor<1x1x2x1xf32>, tensor<1x1x2x1xf32>, tensor<1x1x2x1xf32> -> tensor<1x1x2x1xf32>
  %u39 = tensor.cast %y : tensor<1x1x2x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u39) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @causal_and_grouped() : () -> ()
  call @masked() : () -> ()
  return
}
