// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_first = {indexing_maps = [#id, affine_map<(r, k) -> (0)>, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#gains = {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// Near miss: all rows read the first of two scales, which are not one for each.
// CHECK-LABEL: @first_scale
// CHECK-NOT: pquant.binary_linear
// CHECK: return
func.func @first_scale(%x: tensor<2x16xf32>) -> tensor<2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x16xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %signs = arith.constant dense<[[-1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0], [-1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0]]> : tensor<2x16xf32>
  %scales = arith.constant dense<[2.0, 0.5]> : tensor<2xf32>
  %w = linalg.generic #by_first ins(%signs, %scales : tensor<2x16xf32>, tensor<2xf32>) outs(%full : tensor<2x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x16xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
  %abs = linalg.generic #unary ins(%x : tensor<2x16xf32>) outs(%full : tensor<2x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x16xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<2x16xf32>) outs(%start : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %gain = linalg.generic #gains ins(%max : tensor<2xf32>) outs(%rows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %m = arith.maximumf %in, %eps : f32
    %g = arith.divf %c127, %m : f32
    linalg.yield %g : f32
  } -> tensor<2xf32>
  %q = linalg.generic #by_row ins(%x, %gain : tensor<2x16xf32>, tensor<2xf32>) outs(%full : tensor<2x16xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %low = arith.constant -128.0 : f32
    %high = arith.constant 127.0 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %high : f32
    %d = arith.divf %c, %g : f32
    linalg.yield %d : f32
  } -> tensor<2x16xf32>
  %y = linalg.generic #linear ins(%q, %w : tensor<2x16xf32>, tensor<2x16xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}
