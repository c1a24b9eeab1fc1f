// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#column = affine_map<(r, k) -> (k)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
#gains = {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// The weights' 1 / S = 0.25 and the rows' 1 / gain, in one division: two planes
// of half of the former, with the step of the latter.
// CHECK-LABEL: @divided
// CHECK-DAG: %[[HALF:.+]] = arith.constant dense<1.250000e-01> : tensor<1x1xf32>
// CHECK-DAG: %[[Q:.+]], %[[STEP:.+]] = pquant.quantize
// CHECK: %[[Y:.+]] = pquant.binary_linear %[[Q]], %[[STEP]] planes(%{{.+}}, %{{.+}}) scales(%[[HALF]], %[[HALF]])
// CHECK: return %[[Y]]
func.func @divided(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %w = arith.constant dense<[[1.0, 0.0, -1.0, 1.0], [0.0, -1.0, 1.0, 1.0]]> : tensor<2x4xf32>
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
  %gain = linalg.generic #gains ins(%max : tensor<2xf32>) outs(%rows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %m = arith.maximumf %in, %eps : f32
    %g = arith.divf %c127, %m : f32
    linalg.yield %g : f32
  } -> tensor<2xf32>
  %q = linalg.generic #by_row ins(%x, %gain : tensor<2x4xf32>, tensor<2xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %low = arith.constant -128.0 : f32
    %high = arith.constant 127.0 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %high : f32
    linalg.yield %c : f32
  } -> tensor<2x4xf32>
  %p = linalg.generic #linear ins(%q, %w : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %d = linalg.generic #gains ins(%gain : tensor<2xf32>) outs(%rows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %s = arith.constant 4.0 : f32
    %0 = arith.mulf %s, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %y = linalg.generic #by_row ins(%p, %d : tensor<2x2xf32>, tensor<2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// One after the other: divided by the gain, multiplied with a scale for each row
// of the weights.
// CHECK-LABEL: @one_by_one
// CHECK-DAG: %[[SCALE:.+]] = arith.constant dense<{{\[\[3.000000e\+00\], \[5.000000e-01\]\]}}> : tensor<2x1xf32>
// CHECK-DAG: %[[Q:.+]], %[[STEP:.+]] = pquant.quantize
// CHECK: %[[Y:.+]] = pquant.binary_linear %[[Q]], %[[STEP]] planes(%{{.+}}) scales(%[[SCALE]])
// CHECK: return %[[Y]]
func.func @one_by_one(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %w = arith.constant dense<[[1.0, -1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0]]> : tensor<2x4xf32>
  %s = arith.constant dense<[3.0, 0.5]> : tensor<2xf32>
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
  %gain = linalg.generic #gains ins(%max : tensor<2xf32>) outs(%rows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %m = arith.maximumf %in, %eps : f32
    %g = arith.divf %c127, %m : f32
    linalg.yield %g : f32
  } -> tensor<2xf32>
  %q = linalg.generic #by_row ins(%x, %gain : tensor<2x4xf32>, tensor<2xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %low = arith.constant -128.0 : f32
    %high = arith.constant 127.0 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %high : f32
    linalg.yield %c : f32
  } -> tensor<2x4xf32>
  %p = linalg.generic #linear ins(%q, %w : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %d = linalg.generic #by_row ins(%p, %gain : tensor<2x2xf32>, tensor<2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  %y = linalg.generic #by_column ins(%d, %s : tensor<2x2xf32>, tensor<2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}
