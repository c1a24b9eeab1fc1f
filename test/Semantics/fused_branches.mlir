// REQUIRES: mlir-runner
// RUN: pquant-opt %s --pquant-dispatch-experts --pquant-fuse-branches %lower_definitions | %run_main | FileCheck %s
// RUN: %run_definitions | FileCheck %s
// RUN: pquant-opt %S/decoupled_ffn.mlir --pquant-dispatch-experts --pquant-fuse-branches %lower_definitions \
// RUN:   | %run_main | FileCheck %S/decoupled_ffn.mlir

// What dispatching and fusing give is what the definitions give; the second RUN
// line is the oracle. All numbers are exact in f32.

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// Two tokens on different experts, one with probability 1/2. x quantises to
// itself. 1-bit: up 127 and -127, relu, down with beta = 2: 2 * 127 for token 0.
// INT8: expert 0 gives up 127, expert 1 gives 2 * -127 -> relu 0, so only token 0
// has an INT8 part: alpha * p * 127 * 1 = 4 * 0.5 * 127.
//
// CHECK:      {{\[\[}}508, 0],
// CHECK-NEXT: [0, 0]]
func.func @two_tokens_two_experts() {
  %x = arith.constant dense<[[127.0, 0.0], [-127.0, 0.0]]> : tensor<2x2xf32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %u1 = arith.constant dense<[[true, true]]> : tensor<1x2xi1>
  %d1 = arith.constant dense<[[true], [false]]> : tensor<2x1xi1>
  %u8 = arith.constant dense<[[[1, 0]], [[2, 0]]]> : tensor<2x1x2xi8>
  %d8 = arith.constant dense<[[[1], [1]], [[3], [5]]]> : tensor<2x2x1xi8>
  %s8 = arith.constant dense<1.0> : tensor<2xf32>
  %e = arith.constant dense<[0, 1]> : tensor<2xi64>
  %p = arith.constant dense<[0.5, 1.0]> : tensor<2xf32>
  %alpha = arith.constant dense<4.0> : tensor<f32>
  %beta = arith.constant dense<2.0> : tensor<f32>
  %y = pquant.decoupled_ffn %x binary(up %u1, %one, down %d1, %one) int8(up %u8, %s8, down %d8, %s8)
    routed(%e, %p : tensor<2xi64>, tensor<2xf32>) alpha(%alpha : tensor<f32>) beta(%beta : tensor<f32>)
    {quantizer = #pquant.quantizer<div, eps = 1.0e-05>, activation = #pquant.activation<relu>}
    : tensor<2x2xf32>, (tensor<1x2xi1>, tensor<1xf32>, tensor<2x1xi1>, tensor<1xf32>),
      (tensor<2x1x2xi8>, tensor<2xf32>, tensor<2x2x1xi8>, tensor<2xf32>) -> tensor<2x2xf32>
  %u = tensor.cast %y : tensor<2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

// Three linears over one activation, of widths 1, 2 and 1, per-tensor and
// per-row scales: 127 - 1, then 127 + 1 and -127 - 1 times 2 and 3, then -127 + 1
// times 1/2.
//
// CHECK: {{\[\[}}126]]
// CHECK: {{\[\[}}256, -384]]
// CHECK: {{\[\[}}-63]]
func.func @joined() {
  %x = arith.constant dense<[[127.0, 1.0]]> : tensor<1x2xf32>
  %wa = arith.constant dense<[[true, false]]> : tensor<1x2xi1>
  %wb = arith.constant dense<[[true, true], [false, false]]> : tensor<2x2xi1>
  %wc = arith.constant dense<[[false, true]]> : tensor<1x2xi1>
  %sa = arith.constant dense<1.0> : tensor<1x1xf32>
  %sb = arith.constant dense<[[2.0], [3.0]]> : tensor<2x1xf32>
  %sc = arith.constant dense<0.5> : tensor<1x1xf32>
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<1x2xf32> -> tensor<1x2xi8>, tensor<1xf32>
  %a = pquant.binary_linear %q, %s planes(%wa) scales(%sa) : tensor<1x2xi8>, tensor<1xf32>, (tensor<1x2xi1>), (tensor<1x1xf32>) -> tensor<1x1xf32>
  %b = pquant.binary_linear %q, %s planes(%wb) scales(%sb) : tensor<1x2xi8>, tensor<1xf32>, (tensor<2x2xi1>), (tensor<2x1xf32>) -> tensor<1x2xf32>
  %c = pquant.binary_linear %q, %s planes(%wc) scales(%sc) : tensor<1x2xi8>, tensor<1xf32>, (tensor<1x2xi1>), (tensor<1x1xf32>) -> tensor<1x1xf32>
  %e1 = tensor.empty() : tensor<1x1xf32>
  %e2 = tensor.empty() : tensor<1x2xf32>
  %ca = linalg.copy ins(%a : tensor<1x1xf32>) outs(%e1 : tensor<1x1xf32>) -> tensor<1x1xf32>
  %cb = linalg.copy ins(%b : tensor<1x2xf32>) outs(%e2 : tensor<1x2xf32>) -> tensor<1x2xf32>
  %cc = linalg.copy ins(%c : tensor<1x1xf32>) outs(%e1 : tensor<1x1xf32>) -> tensor<1x1xf32>
  %ua = tensor.cast %ca : tensor<1x1xf32> to tensor<*xf32>
  %ub = tensor.cast %cb : tensor<1x2xf32> to tensor<*xf32>
  %uc = tensor.cast %cc : tensor<1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%ua) : (tensor<*xf32>) -> ()
  call @printMemrefF32(%ub) : (tensor<*xf32>) -> ()
  call @printMemrefF32(%uc) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @two_tokens_two_experts() : () -> ()
  call @joined() : () -> ()
  return
}
