// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#column = affine_map<(r, k) -> (k)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#binary = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
#gains = {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// Products with one plane each, scaled and added up.
// CHECK-LABEL: @products
// CHECK-DAG: %[[A0:.+]] = arith.constant dense<{{\[\[2.000000e\+00\], \[5.000000e-01\]\]}}> : tensor<2x1xf32>
// CHECK-DAG: %[[A1:.+]] = arith.constant dense<{{\[\[2.500000e-01\], \[1.000000e\+00\]\]}}> : tensor<2x1xf32>
// CHECK: pquant.binary_linear {{.*}} planes(%{{.+}}, %{{.+}}) scales(%[[A0]], %[[A1]])
// CHECK-NOT: pquant.binary_linear
// CHECK: return
func.func @products(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %b0 = arith.constant dense<[[1.0, -1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0]]> : tensor<2x4xf32>
  %b1 = arith.constant dense<[[-1.0, -1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 1.0]]> : tensor<2x4xf32>
  %a0 = arith.constant dense<[2.0, 0.5]> : tensor<2xf32>
  %a1 = arith.constant dense<[0.25, 1.0]> : tensor<2xf32>
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
    %d = arith.divf %c, %g : f32
    linalg.yield %d : f32
  } -> tensor<2x4xf32>
  %p0 = linalg.generic #linear ins(%q, %b0 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %p1 = linalg.generic #linear ins(%q, %b1 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %t0 = linalg.generic #by_column ins(%p0, %a0 : tensor<2x2xf32>, tensor<2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  %t1 = linalg.generic #by_column ins(%p1, %a1 : tensor<2x2xf32>, tensor<2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  %y = linalg.generic #binary ins(%t0, %t1 : tensor<2x2xf32>, tensor<2x2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// Other rows: two linears and a sum.
// CHECK-LABEL: @other_rows
// CHECK: pquant.binary_linear {{.*}} planes(%{{[^,]+}}) scales
// CHECK: pquant.binary_linear {{.*}} planes(%{{[^,]+}}) scales
// CHECK: arith.addf
func.func @other_rows(%x: tensor<2x4xf32>, %z: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %b0 = arith.constant dense<[[1.0, -1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0]]> : tensor<2x4xf32>
  %b1 = arith.constant dense<[[-1.0, -1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 1.0]]> : tensor<2x4xf32>
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
    %d = arith.divf %c, %g : f32
    linalg.yield %d : f32
  } -> tensor<2x4xf32>
  %startz = linalg.fill ins(%lowest : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
  %absz = linalg.generic #unary ins(%z : tensor<2x4xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %maxz = linalg.generic #max_k ins(%absz : tensor<2x4xf32>) outs(%startz : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %gainz = linalg.generic #gains ins(%maxz : tensor<2xf32>) outs(%rows : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %m = arith.maximumf %in, %eps : f32
    %g = arith.divf %c127, %m : f32
    linalg.yield %g : f32
  } -> tensor<2xf32>
  %qz = linalg.generic #by_row ins(%z, %gainz : tensor<2x4xf32>, tensor<2xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %low = arith.constant -128.0 : f32
    %high = arith.constant 127.0 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %high : f32
    %d = arith.divf %c, %g : f32
    linalg.yield %d : f32
  } -> tensor<2x4xf32>
  %p0 = linalg.generic #linear ins(%q, %b0 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %p1 = linalg.generic #linear ins(%qz, %b1 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %y = linalg.generic #binary ins(%p0, %p1 : tensor<2x2xf32>, tensor<2x2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// One of the products is a result as well.
// CHECK-LABEL: @product_used
// CHECK: %[[P:.+]] = pquant.binary_linear {{.*}} planes(%{{[^,]+}}) scales
// CHECK: pquant.binary_linear {{.*}} planes(%{{[^,]+}}) scales
// CHECK: return %{{.+}}, %[[P]]
func.func @product_used(%x: tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<2x4xf32>
  %rows = tensor.empty() : tensor<2xf32>
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %b0 = arith.constant dense<[[1.0, -1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0]]> : tensor<2x4xf32>
  %b1 = arith.constant dense<[[-1.0, -1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 1.0]]> : tensor<2x4xf32>
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
    %d = arith.divf %c, %g : f32
    linalg.yield %d : f32
  } -> tensor<2x4xf32>
  %p0 = linalg.generic #linear ins(%q, %b0 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %p1 = linalg.generic #linear ins(%q, %b1 : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %r: f32, %out: f32):
    %0 = arith.mulf %p, %r : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %y = linalg.generic #binary ins(%p0, %p1 : tensor<2x2xf32>, tensor<2x2xf32>) outs(%empty : tensor<2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y, %p0 : tensor<2x2xf32>, tensor<2x2xf32>
}

// Near miss: one product, added to itself.
// CHECK-LABEL: @twice
// CHECK: pquant.binary_linear
// CHECK: arith.addf
func.func @twice(%q: tensor<4x8xi8>, %s: tensor<4xf32>, %w: tensor<2x8xi1>, %ws: tensor<1x1xf32>) -> tensor<4x2xf32> {
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
    : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %e = tensor.empty() : tensor<4x2xf32>
  %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.addf %a, %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x2xf32>
  return %z : tensor<4x2xf32>
}
