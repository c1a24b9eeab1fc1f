// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// One valid row; writes row 1 and sees rows 0 and 1 with equal weight. Row 2 of
// the cache is garbage that must not count.
//
// CHECK: {{\[\[\[\[}}5]]]]
// CHECK: {{\[\[\[\[}}1],
// CHECK-NEXT: [7],
// CHECK-NEXT: [9]]]]
func.func @appends() {
  %q = arith.constant dense<0.0> : tensor<1x1x1x1xf32>
  %k = arith.constant dense<7.0> : tensor<1x1x1x1xf32>
  %v = arith.constant dense<8.0> : tensor<1x1x1x1xf32>
  %kc = arith.constant dense<[[[[1.0], [0.0], [9.0]]]]> : tensor<1x1x3x1xf32>
  %vc = arith.constant dense<[[[[2.0], [0.0], [0x7FC00000]]]]> : tensor<1x1x3x1xf32>
  %pos = arith.constant dense<1> : tensor<i64>
  %o, %kc1, %vc1 = pquant.cached_attention %q, %k, %v, %kc, %vc, %pos {scale = 1.0 : f32}
    : tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x3x1xf32>,
      tensor<1x1x3x1xf32>, tensor<i64> -> tensor<1x1x1x1xf32>
  %u40 = tensor.cast %o : tensor<1x1x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u40) : (tensor<*xf32>) -> ()
  %u41 = tensor.cast %kc1 : tensor<1x1x3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u41) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @appends() : () -> ()
  return
}
