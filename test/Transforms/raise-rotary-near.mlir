// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder 2>&1 | FileCheck %s --implicit-check-not='rotary embedding' --implicit-check-not=pquant.rotary

#bhsd = affine_map<(b, h, s, d) -> (b, h, s, d)>
#sd = affine_map<(b, h, s, d) -> (s, d)>
#rows = affine_map<(s, d) -> (s, d)>
#turn = {indexing_maps = [#bhsd, #sd, #bhsd, #sd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bhsd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#positions = {indexing_maps = [#rows], iterator_types = ["parallel", "parallel"]}
#table = {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
// The halves of the tables hold different angles.
//
// CHECK-LABEL: @different_halves
func.func @different_halves(%x: tensor<?x4x?x16xf32>, %g: tensor<8xf32>) -> tensor<?x4x?x16xf32> {
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
  %g2 = linalg.generic #table ins(%f : tensor<?x8xf32>) outs(%narrow : tensor<?x8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x8xf32>
  %angles = tensor.concat dim(1) %f, %g2 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x16xf32>
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
#sd = affine_map<(b, h, s, d) -> (s, d)>
#rows = affine_map<(s, d) -> (s, d)>
#turn = {indexing_maps = [#bhsd, #sd, #bhsd, #sd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bhsd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#positions = {indexing_maps = [#rows], iterator_types = ["parallel", "parallel"]}
#table = {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
// The first half is negated instead of the second: a turn the other way.
//
// CHECK-LABEL: @other_sign
func.func @other_sign(%x: tensor<?x4x?x16xf32>, %g: tensor<8xf32>) -> tensor<?x4x?x16xf32> {
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
  %minus = linalg.generic #unary ins(%first : tensor<?x4x?x8xf32>) outs(%half : tensor<?x4x?x8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x4x?x8xf32>
  %rotated = tensor.concat dim(3) %second, %minus : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x16xf32>
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
#sd = affine_map<(b, h, s, d) -> (s, d)>
#rows = affine_map<(s, d) -> (s, d)>
#turn = {indexing_maps = [#bhsd, #sd, #bhsd, #sd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bhsd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#positions = {indexing_maps = [#rows], iterator_types = ["parallel", "parallel"]}
#table = {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
// The tables have 32 rows; how many x has is not known.
//
// CHECK-LABEL: @table_of_another_length
func.func @table_of_another_length(%x: tensor<?x4x?x16xf32>, %p: tensor<32x8xf32>, %q: tensor<32x8xf32>) -> tensor<?x4x?x16xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %B = tensor.dim %x, %c0 : tensor<?x4x?x16xf32>
  %S = tensor.dim %x, %c2 : tensor<?x4x?x16xf32>
  %cos = tensor.concat dim(1) %p, %p : (tensor<32x8xf32>, tensor<32x8xf32>) -> tensor<32x16xf32>
  %sin = tensor.concat dim(1) %q, %q : (tensor<32x8xf32>, tensor<32x8xf32>) -> tensor<32x16xf32>
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
  %y = linalg.generic #turn ins(%x, %cos, %rotated, %sin : tensor<?x4x?x16xf32>, tensor<32x16xf32>, tensor<?x4x?x16xf32>, tensor<32x16xf32>) outs(%empty : tensor<?x4x?x16xf32>) {
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
#sd = affine_map<(b, h, s, d) -> (b, s, d)>
#rows = affine_map<(s, d) -> (s, d)>
#turn = {indexing_maps = [#bhsd, #sd, #bhsd, #sd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#unary = {indexing_maps = [#bhsd, #bhsd], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#positions = {indexing_maps = [#rows], iterator_types = ["parallel", "parallel"]}
#table = {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
// Each sequence of the batch has its own positions.
//
// CHECK-LABEL: @table_of_batch
func.func @table_of_batch(%x: tensor<?x4x?x16xf32>, %p: tensor<?x?x8xf32>, %q: tensor<?x?x8xf32>) -> tensor<?x4x?x16xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %B = tensor.dim %x, %c0 : tensor<?x4x?x16xf32>
  %S = tensor.dim %x, %c2 : tensor<?x4x?x16xf32>
  %cos = tensor.concat dim(2) %p, %p : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x16xf32>
  %sin = tensor.concat dim(2) %q, %q : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x16xf32>
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
  %y = linalg.generic #turn ins(%x, %cos, %rotated, %sin : tensor<?x4x?x16xf32>, tensor<?x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x?x16xf32>) outs(%empty : tensor<?x4x?x16xf32>) {
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
// cos and sin change places in the second half.
//
// CHECK-LABEL: @swapped
func.func @swapped(%x: tensor<2x4x8x16xf32>, %cos: tensor<1x1x8x8xf32>, %sin: tensor<1x1x8x8xf32>) -> tensor<2x4x8x16xf32> {
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
  %high = linalg.generic #turn ins(%second, %sin, %first, %cos : tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>, tensor<2x4x8x8xf32>, tensor<1x1x8x8xf32>) outs(%half : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.mulf %c, %d : f32
    %2 = arith.addf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x4x8x8xf32>
  %y = tensor.concat dim(3) %low, %high : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x16xf32>
  return %y : tensor<2x4x8x16xf32>
}
