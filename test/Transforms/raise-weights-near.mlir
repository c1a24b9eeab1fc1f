// RUN: pquant-opt %s --split-input-file --pquant-raise 2>&1 >/dev/null | FileCheck %s --check-prefix=OFF
// RUN: pquant-opt %s --split-input-file --pquant-raise=snap-weights 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-raise=snap-weights 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// Weights whose straight-through residue an exporter folded: off the grid by last bits.

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// OFF: note: {{.*}}: the weights are off a quantiser's grid by up to {{[0-9.]+e-0[67]}} steps, as a folded straight-through residue leaves them (--snap-weights takes them for the grid's)
// CHECK-LABEL: @near_signs
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[true, false, true, true\], \[false, false, true, false\]\]}}> : tensor<2x4xi1>
// CHECK-DAG: %[[WS:.+]] = arith.constant dense<{{0.5000000|5.000000e-01}}{{.*}}> : tensor<1x1xf32>
// CHECK: pquant.binary_linear %{{.+}}, %{{.+}} planes(%[[W]]) scales(%[[WS]])
// REMARK: remark: weights snapped to their grid: they were off by up to {{[0-9.]+e-0[67]}} steps
func.func @near_signs(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5000005, -0.5, 0.4999995, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// CHECK-LABEL: @near_ternary
// CHECK: pquant.binary_linear %{{.+}}, %{{.+}} planes(%{{.+}}, %{{.+}}) scales(%{{.+}}, %{{.+}})
func.func @near_ternary(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5000005, -0.5, 1.0e-8, 0.5], [-0.5, -1.0e-8, 0.5, -0.5]]> : tensor<2x4xf32>
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

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// CHECK-LABEL: @near_grid
// CHECK-DAG: arith.constant dense<{{\[\[127, -64, 2, 0\], \[-1, 100, -127, 33\]\]}}> : tensor<2x4xi8>
// CHECK: pquant.int8_linear
func.func @near_grid(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[12.70001, -6.4, 0.2000001, 0.0], [-0.1, 10.0, -12.7, 3.300001]]> : tensor<2x4xf32>
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

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// Too far: half a hundredth of a step.
// OFF: note: {{.*}}: the weights are not quantised: their values are neither +-s
// CHECK-LABEL: @far
// CHECK-NOT: pquant.
func.func @far(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.4975, 0.5], [-0.5, -0.31, 0.5, -0.5]]> : tensor<2x4xf32>
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
