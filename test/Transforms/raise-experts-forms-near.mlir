// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --pquant-raise --remarks-filter=pquant-raise 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#weighed = {indexing_maps = [#id, #row, #id, #id], iterator_types = ["parallel", "parallel"]}
#eq = {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> ()>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
#scaled = {indexing_maps = [#row, #id, #id], iterator_types = ["parallel", "parallel"]}
#id3 = affine_map<(r, e, k) -> (r, e, k)>
#masked = {indexing_maps = [affine_map<(r, e, k) -> (r, e)>, #id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#sum_e = {indexing_maps = [#id3, affine_map<(r, e, k) -> (r, k)>], iterator_types = ["parallel", "reduction", "parallel"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (k, n)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// Two probabilities may be equal: both experts are added then.
// CHECK-LABEL: @mask_of_equal_probabilities
// REMARK: feed-forward layer left as it is: experts are chosen by comparing probabilities, of which two may be equal
// CHECK-NOT: pquant.decoupled_ffn
func.func @mask_of_equal_probabilities(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_empty = tensor.empty() : tensor<2x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<2x8xf32>) outs(%a_empty : tensor<2x8xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
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
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %c_wu = arith.constant dense<-4> : tensor<2x4xi8>
  %c_wd = arith.constant dense<-4> : tensor<4x2xi8>
  %c_up = pquant.int8_linear %xq, %xs, %c_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %c_empty = tensor.empty() : tensor<2x2xf32>
  %c_hidden = linalg.generic #unary ins(%c_up : tensor<2x2xf32>) outs(%c_empty : tensor<2x2xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %c_q, %c_s = pquant.quantize %c_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %c_down = pquant.int8_linear %c_q, %c_s, %c_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %router = arith.constant dense<[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]> : tensor<4x2xf32>
  %nought = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %first = arith.constant 0 : i64
  %pairs = tensor.empty() : tensor<2x2xf32>
  %numbers = tensor.empty() : tensor<2xf32>
  %integers = tensor.empty() : tensor<2xi64>
  %zeros = linalg.fill ins(%nought : f32) outs(%pairs : tensor<2x2xf32>) -> tensor<2x2xf32>
  %lows = linalg.fill ins(%lowest : f32) outs(%numbers : tensor<2xf32>) -> tensor<2xf32>
  %firsts = linalg.fill ins(%first : i64) outs(%integers : tensor<2xi64>) -> tensor<2xi64>
  %logits = linalg.generic #linear ins(%x, %router : tensor<2x4xf32>, tensor<4x2xf32>) outs(%zeros : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %p = linalg.softmax dimension(1) ins(%logits : tensor<2x2xf32>) outs(%pairs : tensor<2x2xf32>) -> tensor<2x2xf32>
  %max = linalg.generic #max_k ins(%p : tensor<2x2xf32>) outs(%lows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %in, %out : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %best, %index = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<2x2xf32>) outs(%lows, %firsts : tensor<2xf32>, tensor<2xi64>) {
  ^bb0(%in: f32, %out: f32, %where: i64):
    %i = linalg.index 1 : index
    %here = arith.index_cast %i : index to i64
    %better = arith.cmpf ogt, %in, %out : f32
    %0 = arith.select %better, %in, %out : f32
    %1 = arith.select %better, %here, %where : i64
    linalg.yield %0, %1 : f32, i64
  } -> (tensor<2xf32>, tensor<2xi64>)
  %b_part = tensor.expand_shape %b_down [[0], [1, 2]] output_shape [2, 1, 4] : tensor<2x4xf32> into tensor<2x1x4xf32>
  %c_part = tensor.expand_shape %c_down [[0], [1, 2]] output_shape [2, 1, 4] : tensor<2x4xf32> into tensor<2x1x4xf32>
  %stack = tensor.concat dim(1) %b_part, %c_part : (tensor<2x1x4xf32>, tensor<2x1x4xf32>) -> tensor<2x2x4xf32>
  %mask_empty = tensor.empty() : tensor<2x2xf32>
  %mask = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%p, %max : tensor<2x2xf32>, tensor<2xf32>) outs(%mask_empty : tensor<2x2xf32>) {
  ^bb0(%q: f32, %m: f32, %out: f32):
    %is = arith.cmpf oeq, %q, %m : f32
    %0 = arith.uitofp %is : i1 to f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  %wide = tensor.empty() : tensor<2x2x4xf32>
  %kept = linalg.generic #masked ins(%mask, %stack : tensor<2x2xf32>, tensor<2x2x4xf32>) outs(%wide : tensor<2x2x4xf32>) {
  ^bb0(%m: f32, %v: f32, %out: f32):
    %0 = arith.mulf %m, %v : f32
    linalg.yield %0 : f32
  } -> tensor<2x2x4xf32>
  %narrow = tensor.empty() : tensor<2x4xf32>
  %none = linalg.fill ins(%nought : f32) outs(%narrow : tensor<2x4xf32>) -> tensor<2x4xf32>
  %chosen = linalg.generic #sum_e ins(%kept : tensor<2x2x4xf32>) outs(%none : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %0 = arith.addf %out, %v : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %y = linalg.generic #weighed ins(%chosen, %max, %a_down : tensor<2x4xf32>, tensor<2xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) {
  ^bb0(%v: f32, %w: f32, %one: f32, %out: f32):
    %alpha = arith.constant 2.0 : f32
    %0 = arith.mulf %v, %w : f32
    %1 = arith.mulf %0, %alpha : f32
    %2 = arith.addf %1, %one : f32
    linalg.yield %2 : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: @expert_never_taken
// REMARK: feed-forward layer left as it is: nothing is taken for expert 1
// CHECK-NOT: pquant.decoupled_ffn
func.func @expert_never_taken(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %one_scale = arith.constant dense<0.5> : tensor<1x1xf32>
  %int8_scale = arith.constant dense<0.25> : tensor<1xf32>
  %xq, %xs = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<2x4xf32> -> tensor<2x4xi8>, tensor<2xf32>
  %a_wu = arith.constant dense<true> : tensor<8x4xi1>
  %a_wd = arith.constant dense<true> : tensor<4x8xi1>
  %a_up = pquant.binary_linear %xq, %xs planes(%a_wu) scales(%one_scale)
      : tensor<2x4xi8>, tensor<2xf32>, (tensor<8x4xi1>), (tensor<1x1xf32>) -> tensor<2x8xf32>
  %a_empty = tensor.empty() : tensor<2x8xf32>
  %a_hidden = linalg.generic #unary ins(%a_up : tensor<2x8xf32>) outs(%a_empty : tensor<2x8xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
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
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %b_q, %b_s = pquant.quantize %b_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %b_down = pquant.int8_linear %b_q, %b_s, %b_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %c_wu = arith.constant dense<-4> : tensor<2x4xi8>
  %c_wd = arith.constant dense<-4> : tensor<4x2xi8>
  %c_up = pquant.int8_linear %xq, %xs, %c_wu, %int8_scale
      : tensor<2x4xi8>, tensor<2xf32>, tensor<2x4xi8>, tensor<1xf32> -> tensor<2x2xf32>
  %c_empty = tensor.empty() : tensor<2x2xf32>
  %c_hidden = linalg.generic #unary ins(%c_up : tensor<2x2xf32>) outs(%c_empty : tensor<2x2xf32>) {
  ^bb0(%u: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<2x2xf32>
  %c_q, %c_s = pquant.quantize %c_hidden {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
      : tensor<2x2xf32> -> tensor<2x2xi8>, tensor<2xf32>
  %c_down = pquant.int8_linear %c_q, %c_s, %c_wd, %int8_scale
      : tensor<2x2xi8>, tensor<2xf32>, tensor<4x2xi8>, tensor<1xf32> -> tensor<2x4xf32>
  %router = arith.constant dense<[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]> : tensor<4x2xf32>
  %nought = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %first = arith.constant 0 : i64
  %pairs = tensor.empty() : tensor<2x2xf32>
  %numbers = tensor.empty() : tensor<2xf32>
  %integers = tensor.empty() : tensor<2xi64>
  %zeros = linalg.fill ins(%nought : f32) outs(%pairs : tensor<2x2xf32>) -> tensor<2x2xf32>
  %lows = linalg.fill ins(%lowest : f32) outs(%numbers : tensor<2xf32>) -> tensor<2xf32>
  %firsts = linalg.fill ins(%first : i64) outs(%integers : tensor<2xi64>) -> tensor<2xi64>
  %logits = linalg.generic #linear ins(%x, %router : tensor<2x4xf32>, tensor<4x2xf32>) outs(%zeros : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %p = linalg.softmax dimension(1) ins(%logits : tensor<2x2xf32>) outs(%pairs : tensor<2x2xf32>) -> tensor<2x2xf32>
  %max = linalg.generic #max_k ins(%p : tensor<2x2xf32>) outs(%lows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %in, %out : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %best, %index = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<2x2xf32>) outs(%lows, %firsts : tensor<2xf32>, tensor<2xi64>) {
  ^bb0(%in: f32, %out: f32, %where: i64):
    %i = linalg.index 1 : index
    %here = arith.index_cast %i : index to i64
    %better = arith.cmpf ogt, %in, %out : f32
    %0 = arith.select %better, %in, %out : f32
    %1 = arith.select %better, %here, %where : i64
    linalg.yield %0, %1 : f32, i64
  } -> (tensor<2xf32>, tensor<2xi64>)
  %narrow = tensor.empty() : tensor<2x4xf32>
  %none = linalg.fill ins(%nought : f32) outs(%narrow : tensor<2x4xf32>) -> tensor<2x4xf32>
  %b_e = arith.constant dense<0> : tensor<i64>
  %b_bits = tensor.empty() : tensor<2xi1>
  %b_is = linalg.generic #eq ins(%index, %b_e : tensor<2xi64>, tensor<i64>) outs(%b_bits : tensor<2xi1>) {
  ^bb0(%i: i64, %e: i64, %out: i1):
    %0 = arith.cmpi eq, %i, %e : i64
    linalg.yield %0 : i1
  } -> tensor<2xi1>
  %b_y = linalg.generic {indexing_maps = [#row, #id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%b_is, %b_down, %none : tensor<2xi1>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%narrow : tensor<2x4xf32>) {
  ^bb0(%is: i1, %v: f32, %old: f32, %out: f32):
    %0 = arith.select %is, %v, %old : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %c_e = arith.constant dense<2> : tensor<i64>
  %c_bits = tensor.empty() : tensor<2xi1>
  %c_is = linalg.generic #eq ins(%index, %c_e : tensor<2xi64>, tensor<i64>) outs(%c_bits : tensor<2xi1>) {
  ^bb0(%i: i64, %e: i64, %out: i1):
    %0 = arith.cmpi eq, %i, %e : i64
    linalg.yield %0 : i1
  } -> tensor<2xi1>
  %c_y = linalg.generic {indexing_maps = [#row, #id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c_is, %c_down, %b_y : tensor<2xi1>, tensor<2x4xf32>, tensor<2x4xf32>) outs(%narrow : tensor<2x4xf32>) {
  ^bb0(%is: i1, %v: f32, %old: f32, %out: f32):
    %0 = arith.select %is, %v, %old : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %y = linalg.generic #weighed ins(%c_y, %max, %a_down : tensor<2x4xf32>, tensor<2xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) {
  ^bb0(%v: f32, %w: f32, %one: f32, %out: f32):
    %alpha = arith.constant 2.0 : f32
    %0 = arith.mulf %v, %w : f32
    %1 = arith.mulf %0, %alpha : f32
    %2 = arith.addf %1, %one : f32
    linalg.yield %2 : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}
