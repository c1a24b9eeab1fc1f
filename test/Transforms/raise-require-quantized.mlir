// RUN: not pquant-opt %s --pquant-raise=require-quantized 2>&1 | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// CHECK: error: {{.*}}linear 'layer/up' is quantised in the model but stays in float: the weights are not quantised
func.func @float_weight(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.31830987, 0.70710677, 0.3], [-0.5, -0.57721567, 0.7, -0.1]]> : tensor<2x4xf32>
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
  } -> tensor<2x2xf32> loc("layer/up")
  return %y : tensor<2x2xf32>
}

// A layer that the model does not quantise is no error.
// CHECK-NOT: error
func.func @plain(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.31830987, 0.70710677, 0.3], [-0.5, -0.57721567, 0.7, -0.1]]> : tensor<2x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %y = linalg.generic #linear ins(%x, %w : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32> loc("lm_head")
  return %y : tensor<2x2xf32>
}
