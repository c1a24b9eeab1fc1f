// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder --canonicalize 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#bhsd = affine_map<(b, h, s, d) -> (b, h, s, d)>
#sd = affine_map<(b, h, s, d) -> (s, d)>
#rows = affine_map<(s, d) -> (s, d)>
#turn = {indexing_maps = [#bhsd, #sd, #bhsd, #sd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bhsd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#positions = {indexing_maps = [#rows], iterator_types = ["parallel", "parallel"]}
#table = {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
// The tables are computed at half their width.
//
// CHECK-LABEL: @rotate_half
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x4x?x16xf32>
// CHECK: %[[F:.+]] = linalg.generic
// CHECK: arith.mulf
// CHECK: %[[COS:.+]] = linalg.generic
// CHECK: %[[A:.+]] = tensor.extract %[[F]]
// CHECK: math.cos %[[A]]
// CHECK: %[[SIN:.+]] = linalg.generic
// CHECK: %[[A:.+]] = tensor.extract %[[F]]
// CHECK: math.sin %[[A]]
// CHECK: %[[Y:.+]] = pquant.rotary_embedding %[[X]], %[[COS]], %[[SIN]] : tensor<?x4x?x16xf32>, tensor<?x8xf32>, tensor<?x8xf32> -> tensor<?x4x?x16xf32>
// CHECK: return %[[Y]]
// REMARK: remark: 1 rotary embedding raised
func.func @rotate_half(%x: tensor<?x4x?x16xf32>, %g: tensor<8xf32>) -> tensor<?x4x?x16xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %B = tensor.dim %x, %c0 : tensor<?x4x?x16xf32>
  %S = tensor.dim %x, %c2 : tensor<?x4x?x16xf32>
  %narrow = tensor.empty(%S) : tensor<?x8xf32>
  %f = linalg.generic #positions outs(%narrow : tensor<?x8xf32>) {
  ^bb0(%out: f32):
    %0 = linalg.index 0 : index
    %1 = arith.index_cast %0 : index to i64
    %2 = arith.sitofp %1 : i64 to f32
    %3 = linalg.index 1 : index
    %4 = tensor.extract %g[%3] : tensor<8xf32>
    %5 = arith.mulf %2, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x8xf32>
  %angles = tensor.concat dim(1) %f, %f : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x16xf32>
  %wide = tensor.empty(%S) : tensor<?x16xf32>
  %cos = linalg.generic #table ins(%angles : tensor<?x16xf32>) outs(%wide : tensor<?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.cos %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x16xf32>
  %sin = linalg.generic #table ins(%angles : tensor<?x16xf32>) outs(%wide : tensor<?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.sin %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x16xf32>
  %first = tensor.extract_slice %x[0, 0, 0, 0] [%B, 4, %S, 8] [1, 1, 1, 1] : tensor<?x4x?x16xf32> to tensor<?x4x?x8xf32>
  %second = tensor.extract_slice %x[0, 0, 0, 8] [%B, 4, %S, 8] [1, 1, 1, 1] : tensor<?x4x?x16xf32> to tensor<?x4x?x8xf32>
  %half = tensor.empty(%B, %S) : tensor<?x4x?x8xf32>
  %minus = linalg.generic #unary ins(%second : tensor<?x4x?x8xf32>) outs(%half : tensor<?x4x?x8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x4x?x8xf32>
  %rotated = tensor.concat dim(3) %minus, %first : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x16xf32>
  %empty = tensor.empty(%B, %S) : tensor<?x4x?x16xf32>
  %y = linalg.generic #turn ins(%x, %cos, %rotated, %sin : tensor<?x4x?x16xf32>, tensor<?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x16xf32>) outs(%empty : tensor<?x4x?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<?x4x?x16xf32>
  return %y : tensor<?x4x?x16xf32>
}

// -----

#bhsd = affine_map<(b, h, s, d) -> (b, h, s, d)>
#broadcast = affine_map<(b, h, s, d) -> (0, 0, s, d)>
#turn = {indexing_maps = [#bhsd, #broadcast, #bhsd, #broadcast, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
// CHECK-LABEL: @halves
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<2x4x8x16xf32>, %[[C:[a-z0-9]+]]: tensor<1x1x8x8xf32>, %[[S:[a-z0-9]+]]: tensor<1x1x8x8xf32>
// CHECK-DAG: %[[COS:.+]] = tensor.collapse_shape %[[C]] {{\[}}[0, 1, 2], [3]]
// CHECK-DAG: %[[SIN:.+]] = tensor.collapse_shape %[[S]] {{\[}}[0, 1, 2], [3]]
// CHECK: %[[Y:.+]] = pquant.rotary_embedding %[[X]], %[[COS]], %[[SIN]] :
// CHECK: return %[[Y]]
// REMARK: remark: 1 rotary embedding raised
func.func @halves(%x: tensor<2x4x8x16xf32>, %cos: tensor<1x1x8x8xf32>, %sin: tensor<1x1x8x8xf32>) -> tensor<2x4x8x16xf32> {
  %first = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %second = tensor.extract_slice %x[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %half = tensor.empty() : tensor<2x4x8x8xf32>
  %low = linalg.generic #turn ins(%first, %cos, %second, %sin : tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>, tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>) outs(%half : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.subf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4x8x8xf32>
  %high = linalg.generic #turn ins(%second, %cos, %first, %sin : tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>, tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>) outs(%half : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4x8x8xf32>
  %y = tensor.concat dim(3) %low, %high : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x16xf32>
  return %y : tensor<2x4x8x16xf32>
}

// -----

#bhsd = affine_map<(b, h, s, d) -> (b, h, s, d)>
#broadcast = affine_map<(b, h, s, d) -> (0, 0, s, d)>
#turn = {indexing_maps = [#bhsd, #broadcast, #bhsd, #broadcast, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
// CHECK-LABEL: @interleaved
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<2x4x8x16xf32>
// CHECK: %[[Y:.+]] = pquant.rotary_embedding %[[X]], %{{.+}}, %{{.+}} interleaved :
// CHECK: return %[[Y]]
// REMARK: remark: 1 rotary embedding raised
func.func @interleaved(%x: tensor<2x4x8x16xf32>, %cos: tensor<1x1x8x8xf32>, %sin: tensor<1x1x8x8xf32>) -> tensor<2x4x8x16xf32> {
  %first = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 2] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %second = tensor.extract_slice %x[0, 0, 0, 1] [2, 4, 8, 8] [1, 1, 1, 2] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %half = tensor.empty() : tensor<2x4x8x8xf32>
  %low = linalg.generic #turn ins(%first, %cos, %second, %sin : tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>, tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>) outs(%half : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.subf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4x8x8xf32>
  %high = linalg.generic #turn ins(%second, %cos, %first, %sin : tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>, tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>) outs(%half : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4x8x8xf32>
  %lows = tensor.expand_shape %low [[0], [1], [2], [3, 4]] output_shape [2, 4, 8, 8, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x8x1xf32>
  %highs = tensor.expand_shape %high [[0], [1], [2], [3, 4]] output_shape [2, 4, 8, 8, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x8x1xf32>
  %pairs = tensor.concat dim(4) %lows, %highs : (tensor<2x4x8x8x1xf32>, tensor<2x4x8x8x1xf32>) -> tensor<2x4x8x8x2xf32>
  %y = tensor.collapse_shape %pairs [[0], [1], [2], [3, 4]] : tensor<2x4x8x8x2xf32> into tensor<2x4x8x16xf32>
  return %y : tensor<2x4x8x16xf32>
}

// -----

#bshd = affine_map<(b, s, h, d) -> (b, s, h, d)>
#sd = affine_map<(b, s, h, d) -> (s, d)>
#turn = {indexing_maps = [#bshd, #sd, #bshd, #sd, #bshd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bshd, #bshd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
// Heads come last but one, the halves of constant tables hold the same numbers.
//
// CHECK-LABEL: @rows_before_heads
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<1x3x2x4xf32>
// CHECK: %[[T:.+]] = linalg.transpose ins(%[[X]] : tensor<1x3x2x4xf32>) outs(%{{.+}} : tensor<1x2x3x4xf32>) permutation = [0, 2, 1, 3]
// CHECK: %[[R:.+]] = pquant.rotary_embedding %[[T]], %{{.+}}, %{{.+}} : tensor<1x2x3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32> -> tensor<1x2x3x4xf32>
// CHECK: %[[Y:.+]] = linalg.transpose ins(%[[R]] : tensor<1x2x3x4xf32>) outs(%{{.+}} : tensor<1x3x2x4xf32>) permutation = [0, 2, 1, 3]
// CHECK: return %[[Y]]
// REMARK: remark: 1 rotary embedding raised
func.func @rows_before_heads(%x: tensor<1x3x2x4xf32>) -> tensor<1x3x2x4xf32> {
  %cos = arith.constant dense<[[1.0, 1.0, 1.0, 1.0], [0.5, 0.75, 0.5, 0.75], [0.0, 0.25, 0.0, 0.25]]> : tensor<3x4xf32>
  %sin = arith.constant dense<[[0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.5, 0.25], [1.0, 0.75, 1.0, 0.75]]> : tensor<3x4xf32>
  %first = tensor.extract_slice %x[0, 0, 0, 0] [1, 3, 2, 2] [1, 1, 1, 1] : tensor<1x3x2x4xf32> to tensor<1x3x2x2xf32>
  %second = tensor.extract_slice %x[0, 0, 0, 2] [1, 3, 2, 2] [1, 1, 1, 1] : tensor<1x3x2x4xf32> to tensor<1x3x2x2xf32>
  %half = tensor.empty() : tensor<1x3x2x2xf32>
  %minus = linalg.generic #unary ins(%second : tensor<1x3x2x2xf32>) outs(%half : tensor<1x3x2x2xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<1x3x2x2xf32>
  %rotated = tensor.concat dim(3) %minus, %first : (tensor<1x3x2x2xf32>, tensor<1x3x2x2xf32>) -> tensor<1x3x2x4xf32>
  %empty = tensor.empty() : tensor<1x3x2x4xf32>
  %y = linalg.generic #turn ins(%x, %cos, %rotated, %sin : tensor<1x3x2x4xf32>, tensor<3x4xf32>, tensor<1x3x2x4xf32>, tensor<3x4xf32>) outs(%empty : tensor<1x3x2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.addf %1, %0 : f32
    linalg.yield %2 : f32
  } -> tensor<1x3x2x4xf32>
  return %y : tensor<1x3x2x4xf32>
}
