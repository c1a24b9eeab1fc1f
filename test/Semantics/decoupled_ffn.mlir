// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// x quantises to itself (maximum 127). 1-bit: up 127 - 1 = 126, relu, quantised
// with step 126 / 127, down +. INT8: up 2 * 127, down 1. y = 254 + 126.
//
// CHECK: {{\[\[}}380, -126]]
func.func @plain() {
  %x = arith.constant dense<[[127.0, 1.0]]> : tensor<1x2xf32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %u1 = arith.constant dense<[[true, false]]> : tensor<1x2xi1>
  %d1 = arith.constant dense<[[true], [false]]> : tensor<2x1xi1>
  %u8 = arith.constant dense<[[[2, 0]]]> : tensor<1x1x2xi8>
  %d8 = arith.constant dense<[[[1], [0]]]> : tensor<1x2x1xi8>
  %y = pquant.decoupled_ffn %x binary(up %u1, %one, down %d1, %one) int8(up %u8, %one, down %d8, %one)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<1x2xf32>, (tensor<1x2xi1>, tensor<1xf32>, tensor<2x1xi1>, tensor<1xf32>),
      (tensor<1x1x2xi8>, tensor<1xf32>, tensor<1x2x1xi8>, tensor<1xf32>) -> tensor<1x2xf32>
  %u30 = tensor.cast %y : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u30) : (tensor<*xf32>) -> ()
  return
}

// Gated, two experts, relu2: 1-bit up 127, gate -127 -> 0. INT8 expert 1: up 127,
// gate 2 * 127 / 127 (scale), so 4 * 127; y = alpha * p * 508 + beta * 0.
//
// CHECK: {{\[\[}}63.5, 127]]
func.func @routed_and_scaled() {
  %x = arith.constant dense<[[127.0, 0.0]]> : tensor<1x2xf32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %g1 = arith.constant dense<[[false, false]]> : tensor<1x2xi1>
  %u1 = arith.constant dense<[[true, true]]> : tensor<1x2xi1>
  %d1 = arith.constant dense<[[true], [true]]> : tensor<2x1xi1>
  %g8 = arith.constant dense<[[[0, 0]], [[2, 0]]]> : tensor<2x1x2xi8>
  %gs8 = arith.constant dense<[1.0, 7.87401572e-03]> : tensor<2xf32>
  %u8 = arith.constant dense<[[[0, 0]], [[1, 0]]]> : tensor<2x1x2xi8>
  %s8 = arith.constant dense<1.0> : tensor<2xf32>
  %d8 = arith.constant dense<[[[0], [0]], [[1], [2]]]> : tensor<2x2x1xi8>
  %e = arith.constant dense<[1]> : tensor<1xi64>
  %p = arith.constant dense<[0.5]> : tensor<1xf32>
  %alpha = arith.constant dense<0.25> : tensor<f32>
  %y = pquant.decoupled_ffn %x
    binary(gate %g1, %one : tensor<1x2xi1>, tensor<1xf32>, up %u1, %one, down %d1, %one)
    int8(gate %g8, %gs8 : tensor<2x1x2xi8>, tensor<2xf32>, up %u8, %s8, down %d8, %s8)
    routed(%e, %p : tensor<1xi64>, tensor<1xf32>) alpha(%alpha : tensor<f32>) beta(%alpha : tensor<f32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu2>}
    : tensor<1x2xf32>, (tensor<1x2xi1>, tensor<1xf32>, tensor<2x1xi1>, tensor<1xf32>),
      (tensor<2x1x2xi8>, tensor<2xf32>, tensor<2x2x1xi8>, tensor<2xf32>) -> tensor<1x2xf32>
  %u31 = tensor.cast %y : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u31) : (tensor<*xf32>) -> ()
  return
}

// 1 / (1 + exp(-1)).
//
// CHECK: {{\[\[}}0.731059]]
func.func @activation_silu() {
  %x = arith.constant dense<[[127.0]]> : tensor<1x1xf32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %zero = arith.constant dense<0.0> : tensor<1xf32>
  %unit = arith.constant dense<7.87401572e-03> : tensor<1xf32>
  %bit = arith.constant dense<true> : tensor<1x1xi1>
  %w = arith.constant dense<1> : tensor<1x1x1xi8>
  %y = pquant.decoupled_ffn %x binary(up %bit, %zero, down %bit, %zero) int8(up %w, %unit, down %w, %one)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<silu>}
    : tensor<1x1xf32>, (tensor<1x1xi1>, tensor<1xf32>, tensor<1x1xi1>, tensor<1xf32>),
      (tensor<1x1x1xi8>, tensor<1xf32>, tensor<1x1x1xi8>, tensor<1xf32>) -> tensor<1x1xf32>
  %u32 = tensor.cast %y : tensor<1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u32) : (tensor<*xf32>) -> ()
  return
}

// (1 + erf(1 / sqrt 2)) / 2.
//
// CHECK: {{\[\[}}0.841345]]
func.func @activation_gelu() {
  %x = arith.constant dense<[[127.0]]> : tensor<1x1xf32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %zero = arith.constant dense<0.0> : tensor<1xf32>
  %unit = arith.constant dense<7.87401572e-03> : tensor<1xf32>
  %bit = arith.constant dense<true> : tensor<1x1xi1>
  %w = arith.constant dense<1> : tensor<1x1x1xi8>
  %y = pquant.decoupled_ffn %x binary(up %bit, %zero, down %bit, %zero) int8(up %w, %unit, down %w, %one)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<gelu>}
    : tensor<1x1xf32>, (tensor<1x1xi1>, tensor<1xf32>, tensor<1x1xi1>, tensor<1xf32>),
      (tensor<1x1x1xi8>, tensor<1xf32>, tensor<1x1x1xi8>, tensor<1xf32>) -> tensor<1x1xf32>
  %u33 = tensor.cast %y : tensor<1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u33) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @plain() : () -> ()
  call @routed_and_scaled() : () -> ()
  call @activation_silu() : () -> ()
  call @activation_gelu() : () -> ()
  return
}
