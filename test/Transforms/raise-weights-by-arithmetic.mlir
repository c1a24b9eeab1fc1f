// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

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

// The residue hides the values +-0.3; they are evaluated apart and exact.
// CHECK-LABEL: @signs_in_a_residue_transposed
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[true, false, true, true\], \[false, false, true, true\]\]}}> : tensor<2x4xi1>
// CHECK-DAG: %[[WS:.+]] = arith.constant dense<3.000000e-01> : tensor<1x1xf32>
// CHECK: pquant.binary_linear %{{.+}}, %{{.+}} planes(%[[W]]) scales(%[[WS]])
func.func @signs_in_a_residue_transposed(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %shadow = arith.constant dense<[[0.9, -0.5, 0.2, 0.7], [-0.1, -0.8, 0.3, 1.2]]> : tensor<2x4xf32>
  %scale = arith.constant dense<0.3> : tensor<f32>
  %wide = tensor.empty() : tensor<2x4xf32>
  %signs = linalg.generic #unary ins(%shadow : tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %z = arith.constant 0.1 : f32
    %p = arith.constant 1.0 : f32
    %m = arith.constant -1.0 : f32
    %d = arith.subf %v, %z : f32
    %gt = arith.cmpf ogt, %v, %z : f32
    %i = arith.select %gt, %p, %m : f32
    linalg.yield %i : f32
  } -> tensor<2x4xf32>
  %wq = linalg.generic #scaled ins(%signs, %scale : tensor<2x4xf32>, tensor<f32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%i: f32, %s: f32, %out: f32):
    %0 = arith.mulf %s, %i : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %diff = linalg.generic #pair ins(%wq, %shadow : tensor<2x4xf32>, tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.subf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %w = linalg.generic #pair ins(%shadow, %diff : tensor<2x4xf32>, tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %turned = tensor.empty() : tensor<4x2xf32>
  %wt = linalg.transpose ins(%w : tensor<2x4xf32>) outs(%turned : tensor<4x2xf32>) permutation = [1, 0]
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
  %y = linalg.generic #linear_kn ins(%fake, %wt : tensor<2x4xf32>, tensor<4x2xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// CHECK-LABEL: @integers
// CHECK-DAG: arith.constant dense<2.500000e-01> : tensor<1xf32>
// CHECK-DAG: arith.constant dense<{{\[\[90, -50, 20, 70\], \[-10, -80, 30, 120\]\]}}> : tensor<2x4xi8>
// CHECK: pquant.int8_linear
func.func @integers(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %shadow = arith.constant dense<[[0.9, -0.5, 0.2, 0.7], [-0.1, -0.8, 0.3, 1.2]]> : tensor<2x4xf32>
  %scale = arith.constant dense<4.0> : tensor<f32>
  %wide = tensor.empty() : tensor<2x4xf32>
  %signs = linalg.generic #unary ins(%shadow : tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %f = arith.constant 100.0 : f32
    %t = arith.mulf %v, %f : f32
    %i = math.roundeven %t : f32
    linalg.yield %i : f32
  } -> tensor<2x4xf32>
  %w = linalg.generic #scaled ins(%signs, %scale : tensor<2x4xf32>, tensor<f32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%i: f32, %s: f32, %out: f32):
    %0 = arith.divf %i, %s : f32
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

// CHECK-LABEL: @ternary
// CHECK: arith.constant dense<1.500000e-01> : tensor<1x1xf32>
// CHECK: pquant.binary_linear %{{.+}}, %{{.+}} planes(%{{.+}}, %{{.+}}) scales(
func.func @ternary(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %shadow = arith.constant dense<[[0.9, -0.5, 0.2, 0.7], [-0.1, -0.8, 0.3, 1.2]]> : tensor<2x4xf32>
  %scale = arith.constant dense<0.3> : tensor<f32>
  %wide = tensor.empty() : tensor<2x4xf32>
  %signs = linalg.generic #unary ins(%shadow : tensor<2x4xf32>) outs(%wide : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %p = arith.constant 1.0 : f32
    %m = arith.constant -1.0 : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %m : f32
    %i = arith.minimumf %l, %p : f32
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
