// RUN: pquant-opt %s --pquant-raise -split-input-file 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --pquant-raise -split-input-file 2>&1 >/dev/null | FileCheck %s --check-prefix=REASON
// RUN: not pquant-opt %s --pquant-raise=require-quantized -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// Stacked weights that stay in float; each function is a file of its own.
// CHECK-NOT: pquant.expert_linear

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#id3 = affine_map<(e, n, k) -> (e, n, k)>
#first = affine_map<(e, n, k) -> (e)>
#gather = {indexing_maps = [#first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#scaled = {indexing_maps = [#id3, #first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#product = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (r, n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// Integers of one expert with the step of another.
// REASON: 0 of 1 linears raised
// REASON: experts/gate: the weights are not one matrix of a stack for each row
// ERROR: error: {{.*}}linear 'experts/gate' is quantised in the model but stays in float: the weights are not one matrix
func.func @two_indices(%x: tensor<5x4xf32>, %index: tensor<5xi64>, %other: tensor<5xi64>) -> tensor<5x2xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<5x4xf32>
  %rows = tensor.empty() : tensor<5xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %abs = linalg.generic #unary ins(%x : tensor<5x4xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<5x4xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<5x4xf32>) outs(%start : tensor<5xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<5xf32>
  %fake = linalg.generic #by_row ins(%x, %max : tensor<5x4xf32>, tensor<5xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %a: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %d = arith.divf %m, %c127 : f32
    %v = arith.divf %in, %d : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %q = arith.mulf %c, %d : f32
    linalg.yield %q : f32
  } -> tensor<5x4xf32>
  %w = arith.constant dense<[[[1, 2, 3, 4], [5, 6, 7, 8]], [[-1, -2, -3, -4], [-5, -6, -7, -8]], [[9, 0, 7, 9], [0, 3, 1, 0]]]> : tensor<3x2x4xi8>
  %s = arith.constant dense<[0.5, 0.25, 2.0]> : tensor<3xf32>
  %g_empty = tensor.empty() : tensor<5x2x4xi8>
  %g = linalg.generic #gather ins(%index : tensor<5xi64>) outs(%g_empty : tensor<5x2x4xi8>) {
  ^bb0(%in: i64, %out: i8):
    %zero = arith.constant 0 : index
    %size = arith.constant 3 : index
    %i = arith.index_cast %in : i64 to index
    %below = arith.cmpi slt, %i, %zero : index
    %above = arith.addi %i, %size : index
    %e = arith.select %below, %above, %i : index
    %n = linalg.index 1 : index
    %k = linalg.index 2 : index
    %0 = tensor.extract %w[%e, %n, %k] : tensor<3x2x4xi8>
    linalg.yield %0 : i8
  } -> tensor<5x2x4xi8>
  %t_empty = tensor.empty() : tensor<5xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
      ins(%other : tensor<5xi64>) outs(%t_empty : tensor<5xf32>) {
  ^bb0(%in: i64, %out: f32):
    %e = arith.index_cast %in : i64 to index
    %0 = tensor.extract %s[%e] : tensor<3xf32>
    linalg.yield %0 : f32
  } -> tensor<5xf32>
  %deq_empty = tensor.empty() : tensor<5x2x4xf32>
  %deq = linalg.generic #scaled ins(%g, %t : tensor<5x2x4xi8>, tensor<5xf32>) outs(%deq_empty : tensor<5x2x4xf32>) {
  ^bb0(%in: i8, %step: f32, %out: f32):
    %0 = arith.sitofp %in : i8 to f32
    %1 = arith.mulf %0, %step : f32
    linalg.yield %1 : f32
  } -> tensor<5x2x4xf32>
  %nought = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x2xf32>
  %zeros = linalg.fill ins(%nought : f32) outs(%empty : tensor<5x2xf32>) -> tensor<5x2xf32>
  %y = linalg.generic #product ins(%fake, %deq : tensor<5x4xf32>, tensor<5x2x4xf32>) outs(%zeros : tensor<5x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<5x2xf32> loc("experts/gate")
  return %y : tensor<5x2xf32>
}

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#id3 = affine_map<(e, n, k) -> (e, n, k)>
#first = affine_map<(e, n, k) -> (e)>
#gather = {indexing_maps = [#first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#scaled = {indexing_maps = [#id3, #first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#product = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (r, n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// REASON: 0 of 1 linears raised
// REASON: experts/up: stacked weights of experts are 1-bit or ternary, not INT8
// ERROR: error: {{.*}}linear 'experts/up' is quantised in the model but stays in float: stacked weights of experts are 1-bit
func.func @one_bit(%x: tensor<5x4xf32>, %index: tensor<5xi64>) -> tensor<5x2xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<5x4xf32>
  %rows = tensor.empty() : tensor<5xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %abs = linalg.generic #unary ins(%x : tensor<5x4xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<5x4xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<5x4xf32>) outs(%start : tensor<5xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<5xf32>
  %fake = linalg.generic #by_row ins(%x, %max : tensor<5x4xf32>, tensor<5xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %a: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %d = arith.divf %m, %c127 : f32
    %v = arith.divf %in, %d : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %q = arith.mulf %c, %d : f32
    linalg.yield %q : f32
  } -> tensor<5x4xf32>
  %w = arith.constant dense<[[[1, -1, 1, 1], [1, 1, -1, 1]], [[1, -1, 1, 1], [1, 1, -1, 1]], [[1, -1, 1, 1], [1, 1, -1, 1]]]> : tensor<3x2x4xi8>
  %s = arith.constant dense<[0.5, 0.25, 2.0]> : tensor<3xf32>
  %deq_empty = tensor.empty() : tensor<3x2x4xf32>
  %deq = linalg.generic #scaled ins(%w, %s : tensor<3x2x4xi8>, tensor<3xf32>) outs(%deq_empty : tensor<3x2x4xf32>) {
  ^bb0(%in: i8, %step: f32, %out: f32):
    %0 = arith.sitofp %in : i8 to f32
    %1 = arith.mulf %0, %step : f32
    linalg.yield %1 : f32
  } -> tensor<3x2x4xf32>
  %g_empty = tensor.empty() : tensor<5x2x4xf32>
  %g = linalg.generic #gather ins(%index : tensor<5xi64>) outs(%g_empty : tensor<5x2x4xf32>) {
  ^bb0(%in: i64, %out: f32):
    %zero = arith.constant 0 : index
    %size = arith.constant 3 : index
    %i = arith.index_cast %in : i64 to index
    %below = arith.cmpi slt, %i, %zero : index
    %above = arith.addi %i, %size : index
    %e = arith.select %below, %above, %i : index
    %n = linalg.index 1 : index
    %k = linalg.index 2 : index
    %0 = tensor.extract %deq[%e, %n, %k] : tensor<3x2x4xf32>
    linalg.yield %0 : f32
  } -> tensor<5x2x4xf32>
  %nought = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x2xf32>
  %zeros = linalg.fill ins(%nought : f32) outs(%empty : tensor<5x2xf32>) -> tensor<5x2xf32>
  %y = linalg.generic #product ins(%fake, %g : tensor<5x4xf32>, tensor<5x2x4xf32>) outs(%zeros : tensor<5x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<5x2xf32> loc("experts/up")
  return %y : tensor<5x2xf32>
}

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#id3 = affine_map<(e, n, k) -> (e, n, k)>
#first = affine_map<(e, n, k) -> (e)>
#gather = {indexing_maps = [#first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#scaled = {indexing_maps = [#id3, #first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
#product = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (r, n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// A step that depends on which experts the other rows have.
// REASON: 0 of 1 linears raised
// REASON: experts/down: the weights cannot be evaluated at compile time
// ERROR: error: {{.*}}linear 'experts/down' is quantised in the model but stays in float: the weights cannot be evaluated
func.func @common_step(%x: tensor<5x4xf32>, %index: tensor<5xi64>) -> tensor<5x2xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %full = tensor.empty() : tensor<5x4xf32>
  %rows = tensor.empty() : tensor<5xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %abs = linalg.generic #unary ins(%x : tensor<5x4xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<5x4xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<5x4xf32>) outs(%start : tensor<5xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<5xf32>
  %fake = linalg.generic #by_row ins(%x, %max : tensor<5x4xf32>, tensor<5xf32>) outs(%full : tensor<5x4xf32>) {
  ^bb0(%in: f32, %a: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %d = arith.divf %m, %c127 : f32
    %v = arith.divf %in, %d : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %q = arith.mulf %c, %d : f32
    linalg.yield %q : f32
  } -> tensor<5x4xf32>
  %w = arith.constant dense<[[[1, 2, 3, 4], [5, 6, 7, 8]], [[-1, -2, -3, -4], [-5, -6, -7, -8]], [[9, 0, 7, 9], [0, 3, 1, 0]]]> : tensor<3x2x4xi8>
  %s = arith.constant dense<[0.5, 0.25, 2.0]> : tensor<3xf32>
  %g_empty = tensor.empty() : tensor<5x2x4xi8>
  %g = linalg.generic #gather ins(%index : tensor<5xi64>) outs(%g_empty : tensor<5x2x4xi8>) {
  ^bb0(%in: i64, %out: i8):
    %zero = arith.constant 0 : index
    %size = arith.constant 3 : index
    %i = arith.index_cast %in : i64 to index
    %below = arith.cmpi slt, %i, %zero : index
    %above = arith.addi %i, %size : index
    %e = arith.select %below, %above, %i : index
    %n = linalg.index 1 : index
    %k = linalg.index 2 : index
    %0 = tensor.extract %w[%e, %n, %k] : tensor<3x2x4xi8>
    linalg.yield %0 : i8
  } -> tensor<5x2x4xi8>
  %t_empty = tensor.empty() : tensor<5xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
      ins(%index : tensor<5xi64>) outs(%t_empty : tensor<5xf32>) {
  ^bb0(%in: i64, %out: f32):
    %e = arith.index_cast %in : i64 to index
    %0 = tensor.extract %s[%e] : tensor<3xf32>
    linalg.yield %0 : f32
  } -> tensor<5xf32>
  %none = arith.constant dense<0.0> : tensor<f32>
  %common = linalg.generic {indexing_maps = [affine_map<(r) -> (r)>, affine_map<(r) -> ()>], iterator_types = ["reduction"]}
      ins(%t : tensor<5xf32>) outs(%none : tensor<f32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %deq_empty = tensor.empty() : tensor<5x2x4xf32>
  %deq = linalg.generic {indexing_maps = [#id3, affine_map<(e, n, k) -> ()>, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%g, %common : tensor<5x2x4xi8>, tensor<f32>) outs(%deq_empty : tensor<5x2x4xf32>) {
  ^bb0(%in: i8, %step: f32, %out: f32):
    %0 = arith.sitofp %in : i8 to f32
    %1 = arith.mulf %0, %step : f32
    linalg.yield %1 : f32
  } -> tensor<5x2x4xf32>
  %nought = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x2xf32>
  %zeros = linalg.fill ins(%nought : f32) outs(%empty : tensor<5x2xf32>) -> tensor<5x2xf32>
  %y = linalg.generic #product ins(%fake, %deq : tensor<5x4xf32>, tensor<5x2x4xf32>) outs(%zeros : tensor<5x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<5x2xf32> loc("experts/down")
  return %y : tensor<5x2xf32>
}
