// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s

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

// All matrices are dequantised, and that of each row's expert is gathered.
// CHECK-LABEL: @gathered
// CHECK-SAME: (%[[X:.+]]: tensor<5x4xf32>, %[[INDEX:.+]]: tensor<5xi64>)
// CHECK-DAG: %[[E:.+]] = linalg.generic {{.*}} ins(%[[INDEX]] : tensor<5xi64>)
// CHECK-DAG: arith.select
// CHECK-DAG: %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]]
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{.+}}> : tensor<3x2x4xi8>
// CHECK-DAG: %[[WS:.+]] = arith.constant dense<{{.+}}> : tensor<3x1xf32>
// CHECK: %[[Y:.+]] = pquant.expert_linear %[[Q]], %[[S]], %[[E]], %[[W]], %[[WS]]
// CHECK-NEXT: return %[[Y]]
func.func @gathered(%x: tensor<5x4xf32>, %index: tensor<5xi64>) -> tensor<5x2xf32> {
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
  } -> tensor<5x2xf32>
  return %y : tensor<5x2xf32>
}

// Integers and steps are gathered, and dequantised for each row.
// CHECK-LABEL: @gathered_first
// CHECK: pquant.expert_linear
// CHECK-SAME: tensor<3x2x4xi8>, tensor<3x1xf32> -> tensor<5x2xf32>
// CHECK-NEXT: return
func.func @gathered_first(%x: tensor<5x4xf32>, %index: tensor<5xi64>) -> tensor<5x2xf32> {
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
  } -> tensor<5x2xf32>
  return %y : tensor<5x2xf32>
}

// The results of all experts: each row is read once for each of them.
// CHECK-LABEL: @all_evaluated
// CHECK: %[[Q:.+]], %[[S:.+]] = pquant.quantize
// CHECK: %[[QS:.+]] = linalg.generic {{.*}} ins(%[[Q]] : tensor<5x4xi8>) outs(%{{.+}} : tensor<5x3x4xi8>)
// CHECK: %[[SS:.+]] = linalg.generic {{.*}} ins(%[[S]] : tensor<5xf32>) outs(%{{.+}} : tensor<5x3xf32>)
// CHECK: %[[E:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<5x3xi64>)
// CHECK: linalg.index 1
// CHECK: pquant.expert_linear %[[QS]], %[[SS]], %[[E]]
// CHECK-SAME: tensor<3x2x4xi8>, tensor<3x1xf32> -> tensor<5x3x2xf32>
func.func @all_evaluated(%x: tensor<5x4xf32>) -> tensor<5x3x2xf32> {
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
  %deq_empty = tensor.empty() : tensor<3x2x4xf32>
  %deq = linalg.generic #scaled ins(%w, %s : tensor<3x2x4xi8>, tensor<3xf32>) outs(%deq_empty : tensor<3x2x4xf32>) {
  ^bb0(%in: i8, %step: f32, %out: f32):
    %0 = arith.sitofp %in : i8 to f32
    %1 = arith.mulf %0, %step : f32
    linalg.yield %1 : f32
  } -> tensor<3x2x4xf32>
  %nought = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x3x2xf32>
  %zeros = linalg.fill ins(%nought : f32) outs(%empty : tensor<5x3x2xf32>) -> tensor<5x3x2xf32>
  %y = linalg.generic {
    indexing_maps = [affine_map<(r, e, n, k) -> (r, k)>, affine_map<(r, e, n, k) -> (e, n, k)>, affine_map<(r, e, n, k) -> (r, e, n)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]
  } ins(%fake, %deq : tensor<5x4xf32>, tensor<3x2x4xf32>) outs(%zeros : tensor<5x3x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<5x3x2xf32>
  return %y : tensor<5x3x2xf32>
}

// The matrix is read where it is multiplied, as the grouped product of torch is imported.
// CHECK-LABEL: @read_in_product
// CHECK: pquant.expert_linear
// CHECK-SAME: tensor<3x2x4xi8>, tensor<3x1xf32> -> tensor<5x2xf32>
func.func @read_in_product(%x: tensor<5x4xf32>, %index: tensor<5xi64>) -> tensor<5x2xf32> {
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
  %deq_empty = tensor.empty() : tensor<3x2x4xf32>
  %deq = linalg.generic #scaled ins(%w, %s : tensor<3x2x4xi8>, tensor<3xf32>) outs(%deq_empty : tensor<3x2x4xf32>) {
  ^bb0(%in: i8, %step: f32, %out: f32):
    %0 = arith.sitofp %in : i8 to f32
    %1 = arith.mulf %0, %step : f32
    linalg.yield %1 : f32
  } -> tensor<3x2x4xf32>
  %nought = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x2xf32>
  %zeros = linalg.fill ins(%nought : f32) outs(%empty : tensor<5x2xf32>) -> tensor<5x2xf32>
  %y = linalg.generic {
    indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (r)>, affine_map<(r, n, k) -> (r, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  } ins(%fake, %index : tensor<5x4xf32>, tensor<5xi64>) outs(%zeros : tensor<5x2xf32>) {
  ^bb0(%p: f32, %group: i64, %out: f32):
    %e = arith.index_cast %group : i64 to index
    %n = linalg.index 1 : index
    %k = linalg.index 2 : index
    %q = tensor.extract %deq[%e, %n, %k] : tensor<3x2x4xf32>
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<5x2xf32>
  return %y : tensor<5x2xf32>
}
