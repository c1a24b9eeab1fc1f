// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

// A branch for each expert of a single token, as torch.cond and If are imported.

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#weighed = {indexing_maps = [#id, #row, #id, #id], iterator_types = ["parallel", "parallel"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (k, n)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// CHECK-LABEL: @branches
// CHECK: %[[E:.+]], %[[P:.+]] = pquant.route
// CHECK: pquant.decoupled_ffn
// CHECK-SAME: routed(%[[E]], %[[P]] :
// CHECK-NOT: scf.if
func.func @branches(%x: tensor<1x4xf32>, %other: tensor<1xi64>) -> tensor<1x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<1x4xf32> -> tensor<1x4xi8>, tensor<1xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<1x4xi8>, tensor<1xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<1x8xf32>
  %a_empty = tensor.empty() : tensor<1x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<1x8xf32>) outs(%a_empty : tensor<1x8xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<1x8xf32>
  %a_q, %a_s = pquant.quantize %a_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<1x8xf32> -> tensor<1x8xi8>, tensor<1xf32>
  %a_down = pquant.binary_linear %a_q, %a_s planes(%a_wd) scales(%one_scale)
      : tensor<1x8xi8>, tensor<1xf32>, (tensor<4x8xi1>), (tensor<1x1xf32>) -> tensor<1x4xf32>
  %router = arith.constant dense<[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]> : tensor<4x2xf32>
  %nought = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %first = arith.constant 0 : i64
  %pairs = tensor.empty() : tensor<1x2xf32>
  %numbers = tensor.empty() : tensor<1xf32>
  %integers = tensor.empty() : tensor<1xi64>
  %zeros = linalg.fill ins(%nought : f32) outs(%pairs : tensor<1x2xf32>) -> tensor<1x2xf32>
  %lows = linalg.fill ins(%lowest : f32) outs(%numbers : tensor<1xf32>) -> tensor<1xf32>
  %firsts = linalg.fill ins(%first : i64) outs(%integers : tensor<1xi64>) -> tensor<1xi64>
  %logits = linalg.generic #linear ins(%x, %router : tensor<1x4xf32>, tensor<4x2xf32>) outs(%zeros : tensor<1x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x2xf32>
  %p = linalg.softmax dimension(1) ins(%logits : tensor<1x2xf32>) outs(%pairs : tensor<1x2xf32>) -> tensor<1x2xf32>
  %best, %index = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<1x2xf32>) outs(%lows, %firsts : tensor<1xf32>, tensor<1xi64>) {
  ^bb0(%in: f32, %out: f32, %where: i64):
    %i = linalg.index 1 : index
    %here = arith.index_cast %i : index to i64
    %better = arith.cmpf ogt, %in, %out : f32
    %0 = arith.select %better, %in, %out : f32
    %1 = arith.select %better, %here, %where : i64
    linalg.yield %0, %1 : f32, i64
  } -> (tensor<1xf32>, tensor<1xi64>)
  %c0 = arith.constant 0 : index
  %e = tensor.extract %index[%c0] : tensor<1xi64>
  %is = arith.cmpi eq, %e, %first : i64
  %chosen = scf.if %is -> (tensor<1x4xf32>) {
    %b_wu = arith.constant dense<3> : tensor<2x4xi8>
    %b_wd = arith.constant dense<3> : tensor<4x2xi8>
    %b_up = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
        : tensor<1x4xi8>, tensor<1xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<1x2xf32>
    %b_empty = tensor.empty() : tensor<1x2xf32>
    %b_hidden = linalg.generic #unary ins(%b_up : tensor<1x2xf32>) outs(%b_empty : tensor<1x2xf32>) {
    ^bb0(%u: f32, %out: f32):
      %zero = arith.constant 0.0 : f32
      %v = arith.maximumf %u, %zero : f32
      linalg.yield %v : f32
    } -> tensor<1x2xf32>
    %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
        : tensor<1x2xf32> -> tensor<1x2xi8>, tensor<1xf32>
    %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
        : tensor<1x2xi8>, tensor<1xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<1x4xf32>
    scf.yield %b_down : tensor<1x4xf32>
  } else {
    %c_wu = arith.constant dense<-4> : tensor<2x4xi8>
    %c_wd = arith.constant dense<-4> : tensor<4x2xi8>
    %c_up = pquant.int8_linear %xq, %xs, %c_wu, %int8_scale
        : tensor<1x4xi8>, tensor<1xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<1x2xf32>
    %c_empty = tensor.empty() : tensor<1x2xf32>
    %c_hidden = linalg.generic #unary ins(%c_up : tensor<1x2xf32>) outs(%c_empty : tensor<1x2xf32>) {
    ^bb0(%u: f32, %out: f32):
      %zero = arith.constant 0.0 : f32
      %v = arith.maximumf %u, %zero : f32
      linalg.yield %v : f32
    } -> tensor<1x2xf32>
    %c_q, %c_s = pquant.quantize %c_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
        : tensor<1x2xf32> -> tensor<1x2xi8>, tensor<1xf32>
    %c_down = pquant.int8_linear %c_q, %c_s, %c_wd, %int8_scale
        : tensor<1x2xi8>, tensor<1xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<1x4xf32>
    scf.yield %c_down : tensor<1x4xf32>
  }
  %full = tensor.empty() : tensor<1x4xf32>
  %y = linalg.generic #weighed ins(%chosen, %best, %a_down : tensor<1x4xf32>, tensor<1xf32>, tensor<1x4xf32>)
      outs(%full : tensor<1x4xf32>) {
  ^bb0(%in: f32, %prob: f32, %one: f32, %out: f32):
    %0 = arith.mulf %in, %prob : f32
    %1 = arith.addf %0, %one : f32
    linalg.yield %1 : f32
  } -> tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}

// The condition is not the router's: the branches stay.
// CHECK-LABEL: @another_index
// CHECK-NOT: pquant.route
// CHECK: scf.if
// CHECK: pquant.int8_linear
// CHECK: } else {
// CHECK: pquant.int8_linear
func.func @another_index(%x: tensor<1x4xf32>, %other: tensor<1xi64>) -> tensor<1x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<1x4xf32> -> tensor<1x4xi8>, tensor<1xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<1x4xi8>, tensor<1xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<1x8xf32>
  %a_empty = tensor.empty() : tensor<1x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<1x8xf32>) outs(%a_empty : tensor<1x8xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<1x8xf32>
  %a_q, %a_s = pquant.quantize %a_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<1x8xf32> -> tensor<1x8xi8>, tensor<1xf32>
  %a_down = pquant.binary_linear %a_q, %a_s planes(%a_wd) scales(%one_scale)
      : tensor<1x8xi8>, tensor<1xf32>, (tensor<4x8xi1>), (tensor<1x1xf32>) -> tensor<1x4xf32>
  %router = arith.constant dense<[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]> : tensor<4x2xf32>
  %nought = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %first = arith.constant 0 : i64
  %pairs = tensor.empty() : tensor<1x2xf32>
  %numbers = tensor.empty() : tensor<1xf32>
  %integers = tensor.empty() : tensor<1xi64>
  %zeros = linalg.fill ins(%nought : f32) outs(%pairs : tensor<1x2xf32>) -> tensor<1x2xf32>
  %lows = linalg.fill ins(%lowest : f32) outs(%numbers : tensor<1xf32>) -> tensor<1xf32>
  %firsts = linalg.fill ins(%first : i64) outs(%integers : tensor<1xi64>) -> tensor<1xi64>
  %logits = linalg.generic #linear ins(%x, %router : tensor<1x4xf32>, tensor<4x2xf32>) outs(%zeros : tensor<1x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x2xf32>
  %p = linalg.softmax dimension(1) ins(%logits : tensor<1x2xf32>) outs(%pairs : tensor<1x2xf32>) -> tensor<1x2xf32>
  %best, %index = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<1x2xf32>) outs(%lows, %firsts : tensor<1xf32>, tensor<1xi64>) {
  ^bb0(%in: f32, %out: f32, %where: i64):
    %i = linalg.index 1 : index
    %here = arith.index_cast %i : index to i64
    %better = arith.cmpf ogt, %in, %out : f32
    %0 = arith.select %better, %in, %out : f32
    %1 = arith.select %better, %here, %where : i64
    linalg.yield %0, %1 : f32, i64
  } -> (tensor<1xf32>, tensor<1xi64>)
  %c0 = arith.constant 0 : index
  %e = tensor.extract %other[%c0] : tensor<1xi64>
  %is = arith.cmpi eq, %e, %first : i64
  %chosen = scf.if %is -> (tensor<1x4xf32>) {
    %b_wu = arith.constant dense<3> : tensor<2x4xi8>
    %b_wd = arith.constant dense<3> : tensor<4x2xi8>
    %b_up = pquant.int8_linear %xq, %xs, %b_wu, %int8_scale
        : tensor<1x4xi8>, tensor<1xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<1x2xf32>
    %b_empty = tensor.empty() : tensor<1x2xf32>
    %b_hidden = linalg.generic #unary ins(%b_up : tensor<1x2xf32>) outs(%b_empty : tensor<1x2xf32>) {
    ^bb0(%u: f32, %out: f32):
      %zero = arith.constant 0.0 : f32
      %v = arith.maximumf %u, %zero : f32
      linalg.yield %v : f32
    } -> tensor<1x2xf32>
    %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
        : tensor<1x2xf32> -> tensor<1x2xi8>, tensor<1xf32>
    %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
        : tensor<1x2xi8>, tensor<1xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<1x4xf32>
    scf.yield %b_down : tensor<1x4xf32>
  } else {
    %c_wu = arith.constant dense<-4> : tensor<2x4xi8>
    %c_wd = arith.constant dense<-4> : tensor<4x2xi8>
    %c_up = pquant.int8_linear %xq, %xs, %c_wu, %int8_scale
        : tensor<1x4xi8>, tensor<1xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<1x2xf32>
    %c_empty = tensor.empty() : tensor<1x2xf32>
    %c_hidden = linalg.generic #unary ins(%c_up : tensor<1x2xf32>) outs(%c_empty : tensor<1x2xf32>) {
    ^bb0(%u: f32, %out: f32):
      %zero = arith.constant 0.0 : f32
      %v = arith.maximumf %u, %zero : f32
      linalg.yield %v : f32
    } -> tensor<1x2xf32>
    %c_q, %c_s = pquant.quantize %c_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
        : tensor<1x2xf32> -> tensor<1x2xi8>, tensor<1xf32>
    %c_down = pquant.int8_linear %c_q, %c_s, %c_wd, %int8_scale
        : tensor<1x2xi8>, tensor<1xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<1x4xf32>
    scf.yield %c_down : tensor<1x4xf32>
  }
  %full = tensor.empty() : tensor<1x4xf32>
  %y = linalg.generic #weighed ins(%chosen, %best, %a_down : tensor<1x4xf32>, tensor<1xf32>, tensor<1x4xf32>)
      outs(%full : tensor<1x4xf32>) {
  ^bb0(%in: f32, %prob: f32, %one: f32, %out: f32):
    %0 = arith.mulf %in, %prob : f32
    %1 = arith.addf %0, %one : f32
    linalg.yield %1 : f32
  } -> tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}
