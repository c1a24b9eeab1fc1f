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

// A cache of i8 holds 127 and 33 steps of 0.01, then -127 and 64 of 0.02; the mean is of what they stand for. One of f16
// holds 0.1 as 0.0999756.
//
// CHECK: {{\[\[\[\[}}-0.635,   0.805]]]]
// CHECK: {{\[\[\[\[}}0.0999756]]]]
func.func @narrow() {
  %zero = arith.constant dense<0> : tensor<i64>
  %one = arith.constant dense<1> : tensor<i64>
  %q = arith.constant dense<0.0> : tensor<1x1x1x1xf32>
  %k = arith.constant dense<0.0> : tensor<1x1x1x1xf32>
  %v0 = arith.constant dense<[[[[1.27, 0.333]]]]> : tensor<1x1x1x2xf32>
  %v1 = arith.constant dense<[[[[-2.54, 1.277]]]]> : tensor<1x1x1x2xf32>
  %kc = arith.constant dense<1> : tensor<1x1x3x5xi8>
  %vc = arith.constant dense<2> : tensor<1x1x3x6xi8>
  %o0, %kc1, %vc1 = pquant.cached_attention %q, %k, %v0, %kc, %vc, %zero {scale = 1.0 : f32}
    : tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x1x2xf32>, tensor<1x1x3x5xi8>,
      tensor<1x1x3x6xi8>, tensor<i64> -> tensor<1x1x1x2xf32>
  %o1, %kc2, %vc2 = pquant.cached_attention %q, %k, %v1, %kc1, %vc1, %one {scale = 1.0 : f32}
    : tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x1x2xf32>, tensor<1x1x3x5xi8>,
      tensor<1x1x3x6xi8>, tensor<i64> -> tensor<1x1x1x2xf32>
  %u0 = tensor.cast %o1 : tensor<1x1x1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u0) : (tensor<*xf32>) -> ()
  %w = arith.constant dense<0.1> : tensor<1x1x1x1xf32>
  %hc = arith.constant dense<1.0> : tensor<1x1x3x1xf16>
  %o2, %hc1, %hc2 = pquant.cached_attention %q, %k, %w, %hc, %hc, %zero {scale = 1.0 : f32}
    : tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x3x1xf16>,
      tensor<1x1x3x1xf16>, tensor<i64> -> tensor<1x1x1x1xf32>
  %u1 = tensor.cast %o2 : tensor<1x1x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u1) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @appends() : () -> ()
  call @narrow() : () -> ()
  return
}
