// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}
func.func private @printMemrefI32(tensor<*xi32>) attributes {llvm.emit_c_interface}

// The maximum is 127, so the divisor is 1. The second row is zeros: the guard
// gives the divisor eps / 127.
//
// CHECK: {{\[\[}}127, 0, 2, -2],
// CHECK-NEXT: [0, 0, 0, 0]]
// CHECK: [1, 7.87402e-08]
func.func @rounds_half_to_even() {
  %x = arith.constant dense<[[127.0, 0.5, 1.5, -2.5], [0.0, -0.0, 0.0, 0.0]]> : tensor<2x4xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
    : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %w1 = arith.extsi %q : tensor<2x4xi8> to tensor<2x4xi32>
  %u2 = tensor.cast %w1 : tensor<2x4xi32> to tensor<*xi32>
  call @printMemrefI32(%u2) : (tensor<*xi32>) -> ()
  %u3 = tensor.cast %s : tensor<2xf32> to tensor<*xf32>
  call @printMemrefF32(%u3) : (tensor<*xf32>) -> ()
  return
}

// guard = add: gain 127 / (1 + 1) = 63.5; 63.5 rounds to 64, the range cuts at -3.
//
// CHECK: {{\[\[}}64, -3, 1, -3]]
// CHECK: [0.015748]
func.func @saturates() {
  %x = arith.constant dense<[[1.0, -1.0, 0.02, -0.04]]> : tensor<1x4xf32>
  %q, %s = pquant.quantize %x
    {quantizer = #pquant.quantizer<mul_div, eps = 1.0, guard = add, range = [-3, 127]>}
    : tensor<1x4xf32> -> tensor<1x4xi8>, tensor<1xf32>
  %w4 = arith.extsi %q : tensor<1x4xi8> to tensor<1x4xi32>
  %u5 = tensor.cast %w4 : tensor<1x4xi32> to tensor<*xi32>
  call @printMemrefI32(%u5) : (tensor<*xi32>) -> ()
  %u6 = tensor.cast %s : tensor<1xf32> to tensor<*xf32>
  call @printMemrefF32(%u6) : (tensor<*xf32>) -> ()
  return
}

// gain (1 / 4) * 127 = 31.75, step 1 / 31.75.
//
// CHECK: {{\[\[}}127, 32, -127, 64]]
// CHECK: [0.0314961]
func.func @quantize_mul_recip() {
  %x = arith.constant dense<[[4.0, 1.0, -4.0, 2.0]]> : tensor<1x4xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
    : tensor<1x4xf32> -> tensor<1x4xi8>, tensor<1xf32>
  %w7 = arith.extsi %q : tensor<1x4xi8> to tensor<1x4xi32>
  %u8 = tensor.cast %w7 : tensor<1x4xi32> to tensor<*xi32>
  call @printMemrefI32(%u8) : (tensor<*xi32>) -> ()
  %u9 = tensor.cast %s : tensor<1xf32> to tensor<*xf32>
  call @printMemrefF32(%u9) : (tensor<*xf32>) -> ()
  return
}

// Next to a half, where the formula rounds decides: x * ((1 / m) * 127),
// x * (127 / m) and x / (m / 127), of three rows with the same maximum each.
//
// CHECK: {{\[\[}}127, 92],
// CHECK-NEXT: [127, 112],
// CHECK-NEXT: [127, 42]]
// CHECK: {{\[\[}}127, 92],
// CHECK-NEXT: [127, 113],
// CHECK-NEXT: [127, 43]]
// CHECK: {{\[\[}}127, 91],
// CHECK-NEXT: [127, 113],
// CHECK-NEXT: [127, 42]]
func.func @formulas_differ() {
  %x = arith.constant dense<[[2.22, 1.5994488], [3.743, 3.3156497], [1.627, 0.5444685]]> : tensor<3x2xf32>
  %q0, %s0 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
    : tensor<3x2xf32> -> tensor<3x2xi8>, tensor<3xf32>
  %w0 = arith.extsi %q0 : tensor<3x2xi8> to tensor<3x2xi32>
  %u0 = tensor.cast %w0 : tensor<3x2xi32> to tensor<*xi32>
  call @printMemrefI32(%u0) : (tensor<*xi32>) -> ()
  %q1, %s1 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_div, eps = 1.0e-05>}
    : tensor<3x2xf32> -> tensor<3x2xi8>, tensor<3xf32>
  %w1 = arith.extsi %q1 : tensor<3x2xi8> to tensor<3x2xi32>
  %u1 = tensor.cast %w1 : tensor<3x2xi32> to tensor<*xi32>
  call @printMemrefI32(%u1) : (tensor<*xi32>) -> ()
  %q2, %s2 = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
    : tensor<3x2xf32> -> tensor<3x2xi8>, tensor<3xf32>
  %w2 = arith.extsi %q2 : tensor<3x2xi8> to tensor<3x2xi32>
  %u2 = tensor.cast %w2 : tensor<3x2xi32> to tensor<*xi32>
  call @printMemrefI32(%u2) : (tensor<*xi32>) -> ()
  return
}

// No rows.
//
// CHECK: sizes = [0]
func.func @quantize_empty_batch() {
  %x = tensor.empty() : tensor<0x4xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
    : tensor<0x4xf32> -> tensor<0x4xi8>, tensor<0xf32>
  %u16 = tensor.cast %s : tensor<0xf32> to tensor<*xf32>
  call @printMemrefF32(%u16) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @rounds_half_to_even() : () -> ()
  call @saturates() : () -> ()
  call @quantize_mul_recip() : () -> ()
  call @formulas_differ() : () -> ()
  call @quantize_empty_batch() : () -> ()
  return
}
