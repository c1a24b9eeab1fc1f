// RUN: pquant-opt %s --split-input-file --pquant-raise 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-raise 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}
// CHECK-LABEL: @other_scale
// CHECK-NOT: pquant.
// REMARK: 0 of 1 linears raised (0 1-bit, 0 INT8), 1 left in float
// REMARK: note: {{.*}}: activations are dequantised by another scale than they were quantised with
func.func @other_scale(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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
    %q = arith.mulf %c, %eps : f32
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
// CHECK-LABEL: @no_clamp
// CHECK-NOT: pquant.
// REMARK: 0 of 1 linears raised (0 1-bit, 0 INT8), 1 left in float
// REMARK: note: {{.*}}: activations are rounded without a clamp to {{.*}}
func.func @no_clamp(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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
    %m = arith.maximumf %a, %eps : f32
    %r = arith.divf %one, %m : f32
    %g = arith.mulf %r, %c127 : f32
    %v = arith.mulf %in, %g : f32
    %c = math.roundeven %v : f32
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
// CHECK-LABEL: @narrow_clamp
// CHECK-NOT: pquant.
// REMARK: 0 of 1 linears raised (0 1-bit, 0 INT8), 1 left in float
// REMARK: note: {{.*}}: activations are not clamped to {{.*}}
func.func @narrow_clamp(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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
    %low = arith.constant -64.0 : f32
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
// CHECK-LABEL: @no_guard
// CHECK-NOT: pquant.
// REMARK: 0 of 1 linears raised (0 1-bit, 0 INT8), 1 left in float
// REMARK: note: {{.*}}: the activations' maximum is not guarded against zero
func.func @no_guard(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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
    %one = arith.constant 1.0 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %r = arith.divf %one, %a : f32
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
// CHECK-LABEL: @other_formula
// CHECK-NOT: pquant.
// REMARK: 0 of 1 linears raised (0 1-bit, 0 INT8), 1 left in float
// REMARK: note: {{.*}}: the arithmetic before the rounding of activations is none of {{.*}}
func.func @other_formula(%x: tensor<2x4xf32>) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]> : tensor<2x4xf32>
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
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %t = arith.mulf %in, %c127 : f32
    %v = arith.divf %t, %m : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %s = arith.divf %m, %c127 : f32
    %q = arith.mulf %c, %s : f32
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
