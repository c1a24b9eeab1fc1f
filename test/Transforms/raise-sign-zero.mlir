// RUN: pquant-opt %s --pquant-raise=sign-zero=plus 2>/dev/null | FileCheck %s --check-prefixes=CHECK,PLUS
// RUN: pquant-opt %s --pquant-raise=sign-zero=minus 2>/dev/null | FileCheck %s --check-prefixes=CHECK,MINUS
// RUN: not pquant-opt %s --pquant-raise 2>&1 | FileCheck %s --check-prefix=ERROR

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}
#num = affine_map<(r, k) -> ()>
#scaled = {indexing_maps = [#id, #num, #id], iterator_types = ["parallel", "parallel"]}
#pair = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
#linear_kn = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (k, n)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// ERROR: error: weight 'weight' has 2 of 8 signs that are zero, which 1 bit cannot hold
// CHECK-LABEL: @zeros
// PLUS-DAG: arith.constant dense<{{\[\[true, false, true, true\], \[false, true, true, true\]\]}}> : tensor<2x4xi1>
// MINUS-DAG: arith.constant dense<{{\[\[true, false, false, true\], \[false, false, true, true\]\]}}> : tensor<2x4xi1>
// CHECK: pquant.binary_linear
func.func @zeros(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %shadow = arith.constant dense<[[0.9, -0.5, 0.0, 0.7], [-0.1, 0.0, 0.3, 1.2]]> : tensor<2x4xf32>
  %scale = arith.constant dense<0.3> : tensor<f32>
  %wide = tensor.empty() : tensor<2x4xf32>
  %signs = linalg.generic #unary ins(%shadow : tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %z = arith.constant 0.0 : f32
    %p = arith.constant 1.0 : f32
    %m = arith.constant -1.0 : f32
    %gt = arith.cmpf ogt, %v, %z : f32
    %lt = arith.cmpf olt, %v, %z : f32
    %n = arith.select %lt, %m, %z : f32
    %i = arith.select %gt, %p, %n : f32
    linalg.yield %i : f32
  } -> tensor<2x4xf32>
  %w = linalg.generic #scaled ins(%signs, %scale : tensor<2x4xf32>, tensor<f32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%i: f32, %s: f32, %out: f32):
    %0 = arith.mulf %s, %i : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
  %abs = linalg.generic #unary ins(%x : tensor<2x4xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<2x4xf32>) outs(%start : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %fake = linalg.generic #by_row ins(%x, %max : tensor<2x4xf32>, tensor<2xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %a: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %one = arith.constant 1.0 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %r = arith.divf %one, %m : f32
    %g = arith.mulf %r, %c127 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %q = arith.divf %c, %g : f32
    linalg.yield %q : f32
  } -> tensor<2x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %y = linalg.generic #linear ins(%fake, %w : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}
