// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#num = affine_map<(r, k) -> ()>
#pair = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#scaled = {indexing_maps = [#num, #id, #id], iterator_types = ["parallel", "parallel"]}

// CHECK-LABEL: @gated_silu
// CHECK-DAG: %[[ALPHA:.+]] = arith.constant dense<2.000000e+00> : tensor<f32>
// CHECK-DAG: %[[BETA:.+]] = arith.constant dense<2.500000e-01> : tensor<f32>
// CHECK: pquant.decoupled_ffn %{{.+}} binary(gate
// CHECK-SAME: alpha(%[[ALPHA]] : tensor<f32>) beta(%[[BETA]] : tensor<f32>)
// CHECK-SAME: activation = #pquant.activation<silu>
// CHECK-NOT: linalg.generic
func.func @gated_silu(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_gate = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_empty = tensor.empty() : tensor<2x8xf32>
  %a_hidden = linalg.generic #pair ins(%a_gate, %a_up : tensor<2x8xf32>, tensor<2x8xf32>) outs(%a_empty : tensor<2x8xf32>) {
  ^bb0(%g: f32, %u: f32, %out: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %g : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %s = arith.divf %one, %d : f32
    %v = arith.mulf %g, %s : f32
    %y = arith.mulf %v, %u : f32
    linalg.yield %y : f32
  } -> tensor<2x8xf32>
  %a_q, %a_s = pquant.quantize %a_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x8xf32> -> tensor<2x8xi8>, tensor<2xf32>
  %a_down = pquant.binary_linear %a_q, %a_s planes(%a_wd) scales(%one_scale)
      : tensor<2x8xi8>, tensor<2xf32>, (tensor<4x8xi1>), (tensor<1x1xf32>) -> tensor<2x4xf32>
  %b_wu = arith.constant dense<3> : tensor<2x4xi8>
  %b_wd = arith.constant dense<3> : tensor<4x2xi8>
  %b_gate = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %b_up = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %b_empty = tensor.empty() : tensor<2x2xf32>
  %b_hidden = linalg.generic #pair ins(%b_gate, %b_up : tensor<2x2xf32>, tensor<2x2xf32>) outs(%b_empty : tensor<2x2xf32>) {
  ^bb0(%g: f32, %u: f32, %out: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %g : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %s = arith.divf %one, %d : f32
    %v = arith.mulf %g, %s : f32
    %y = arith.mulf %v, %u : f32
    linalg.yield %y : f32
  } -> tensor<2x2xf32>
  %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %y = linalg.generic #pair ins(%a_down, %b_down : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %alpha = arith.constant 2.0 : f32
    %beta = arith.constant 0.25 : f32
    %0 = arith.mulf %a, %beta : f32
    %1 = arith.mulf %alpha, %b : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: @plain_gelu_without_factors
// CHECK: pquant.decoupled_ffn %{{.+}} binary({{ ?}}up
// CHECK-NOT: alpha
// CHECK-SAME: activation = #pquant.activation<gelu>
func.func @plain_gelu_without_factors(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_empty = tensor.empty() : tensor<2x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<2x8xf32>) outs(%a_empty : tensor<2x8xf32>) {
  ^bb0(%g: f32, %out: f32):
    %half = arith.constant 0.5 : f32
    %one = arith.constant 1.0 : f32
    %root = arith.constant 1.41421354 : f32
    %t = arith.divf %g, %root : f32
    %e = math.erf %t : f32
    %f = arith.addf %e, %one : f32
    %h = arith.mulf %g, %half : f32
    %v = arith.mulf %h, %f : f32
    linalg.yield %v : f32
  } -> tensor<2x8xf32>
  %a_q, %a_s = pquant.quantize %a_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x8xf32> -> tensor<2x8xi8>, tensor<2xf32>
  %a_down = pquant.binary_linear %a_q, %a_s planes(%a_wd) scales(%one_scale)
      : tensor<2x8xi8>, tensor<2xf32>, (tensor<4x8xi1>), (tensor<1x1xf32>) -> tensor<2x4xf32>
  %b_wu = arith.constant dense<3> : tensor<2x4xi8>
  %b_wd = arith.constant dense<3> : tensor<4x2xi8>
  %b_up = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %b_empty = tensor.empty() : tensor<2x2xf32>
  %b_hidden = linalg.generic #unary ins(%b_up : tensor<2x2xf32>) outs(%b_empty : tensor<2x2xf32>) {
  ^bb0(%g: f32, %out: f32):
    %half = arith.constant 0.5 : f32
    %one = arith.constant 1.0 : f32
    %root = arith.constant 1.41421354 : f32
    %t = arith.divf %g, %root : f32
    %e = math.erf %t : f32
    %f = arith.addf %e, %one : f32
    %h = arith.mulf %g, %half : f32
    %v = arith.mulf %h, %f : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %y = linalg.generic #pair ins(%a_down, %b_down : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: @plain_relu2
// CHECK: pquant.decoupled_ffn
// CHECK-SAME: activation = #pquant.activation<relu2>
func.func @plain_relu2(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_empty = tensor.empty() : tensor<2x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<2x8xf32>) outs(%a_empty : tensor<2x8xf32>) {
  ^bb0(%g: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %t = arith.maximumf %g, %zero : f32
    %v = arith.mulf %t, %t : f32
    linalg.yield %v : f32
  } -> tensor<2x8xf32>
  %a_q, %a_s = pquant.quantize %a_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x8xf32> -> tensor<2x8xi8>, tensor<2xf32>
  %a_down = pquant.binary_linear %a_q, %a_s planes(%a_wd) scales(%one_scale)
      : tensor<2x8xi8>, tensor<2xf32>, (tensor<4x8xi1>), (tensor<1x1xf32>) -> tensor<2x4xf32>
  %b_wu = arith.constant dense<3> : tensor<2x4xi8>
  %b_wd = arith.constant dense<3> : tensor<4x2xi8>
  %b_up = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %b_empty = tensor.empty() : tensor<2x2xf32>
  %b_hidden = linalg.generic #unary ins(%b_up : tensor<2x2xf32>) outs(%b_empty : tensor<2x2xf32>) {
  ^bb0(%g: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %t = arith.maximumf %g, %zero : f32
    %v = arith.mulf %t, %t : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %y = linalg.generic #pair ins(%a_down, %b_down : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %alpha = arith.constant 2.0 : f32
    %beta = arith.constant 0.25 : f32
    %0 = arith.mulf %a, %beta : f32
    %1 = arith.mulf %alpha, %b : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}
