// RUN: pquant-opt %s --pquant-raise-decoder --canonicalize 2>/dev/null | FileCheck %s

// Keys that are repeated for heads, values that are not: both stay as wide as
// the values.

#bhst = affine_map<(b, h, s, t) -> (b, h, s, t)>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#l = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#p = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#masked = {indexing_maps = [#bhst, affine_map<(b, h, s, t) -> (0, 0, s, t)>, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#repeat = {indexing_maps = [affine_map<(b, g, r, t, d) -> (b, g, 0, t, d)>, affine_map<(b, g, r, t, d) -> (b, g, r, t, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}

// CHECK-LABEL: @softmax(
// CHECK: %[[K:.+]] = tensor.collapse_shape
// CHECK: pquant.attention %{{.+}}, %[[K]], %arg2 {{.*}} tensor<2x4x5x16xf32>, tensor<2x4x5x16xf32> ->
func.func @softmax(%q: tensor<2x4x3x16xf32>, %k: tensor<2x2x5x16xf32>, %v: tensor<2x4x5x16xf32>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %ek = tensor.expand_shape %k [[0], [1, 2], [3], [4]] output_shape [2, 2, 1, 5, 16] : tensor<2x2x5x16xf32> into tensor<2x2x1x5x16xf32>
  %wide = tensor.empty() : tensor<2x2x2x5x16xf32>
  %rk = linalg.generic #repeat ins(%ek : tensor<2x2x1x5x16xf32>) outs(%wide : tensor<2x2x2x5x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2x5x16xf32>
  %keys = tensor.collapse_shape %rk [[0], [1, 2], [3], [4]] : tensor<2x2x2x5x16xf32> into tensor<2x4x5x16xf32>
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %keys : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %p = linalg.softmax dimension(3) ins(%l : tensor<2x4x3x5xf32>) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %oempty = tensor.empty() : tensor<2x4x3x16xf32>
  %oinit = linalg.fill ins(%zero : f32) outs(%oempty : tensor<2x4x3x16xf32>) -> tensor<2x4x3x16xf32>
  %y = linalg.generic #mix ins(%p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x16xf32>) outs(%oinit : tensor<2x4x3x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x16xf32>
  return %y : tensor<2x4x3x16xf32>
}

// CHECK-LABEL: @op(
// CHECK: %[[K:.+]] = tensor.collapse_shape
// CHECK: pquant.attention %{{.+}}, %[[K]], %arg2 {{.*}} tensor<2x4x5x16xf32>, tensor<2x4x5x16xf32> ->
func.func @op(%q: tensor<2x4x3x16xf32>, %k: tensor<2x2x5x16xf32>, %v: tensor<2x4x5x16xf32>) -> tensor<2x4x3x16xf32> {
  %ek = tensor.expand_shape %k [[0], [1, 2], [3], [4]] output_shape [2, 2, 1, 5, 16] : tensor<2x2x5x16xf32> into tensor<2x2x1x5x16xf32>
  %wide = tensor.empty() : tensor<2x2x2x5x16xf32>
  %rk = linalg.generic #repeat ins(%ek : tensor<2x2x1x5x16xf32>) outs(%wide : tensor<2x2x2x5x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2x5x16xf32>
  %keys = tensor.collapse_shape %rk [[0], [1, 2], [3], [4]] : tensor<2x2x2x5x16xf32> into tensor<2x4x5x16xf32>
  %y = pquant.attention %q, %keys, %v {scale = 0.5 : f32} : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>, tensor<2x4x5x16xf32> -> tensor<2x4x3x16xf32>
  return %y : tensor<2x4x3x16xf32>
}

// All batches read the mask of the first.
// CHECK-LABEL: @first_batch(
// CHECK: %[[M:.+]] = linalg.generic {{.*}} ins(%arg3 : tensor<2x1x3x5xf32>) outs(%{{.+}} : tensor<1x1x3x5xf32>)
// CHECK: pquant.attention {{.*}} mask(%[[M]] : tensor<1x1x3x5xf32>)
func.func @first_batch(%q: tensor<2x4x3x16xf32>, %k: tensor<2x4x5x16xf32>, %v: tensor<2x4x5x16xf32>, %mask: tensor<2x1x3x5xf32>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %k : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %m = linalg.generic #masked ins(%l, %mask : tensor<2x4x3x5xf32>, tensor<2x1x3x5xf32>) outs(%lempty : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %1 = arith.addf %a, %b : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<2x4x3x5xf32>) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %oempty = tensor.empty() : tensor<2x4x3x16xf32>
  %oinit = linalg.fill ins(%zero : f32) outs(%oempty : tensor<2x4x3x16xf32>) -> tensor<2x4x3x16xf32>
  %y = linalg.generic #mix ins(%p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x16xf32>) outs(%oinit : tensor<2x4x3x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x16xf32>
  return %y : tensor<2x4x3x16xf32>
}
