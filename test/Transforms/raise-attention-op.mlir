// RUN: pquant-opt %s --pquant-raise-decoder --canonicalize --cse -split-input-file | FileCheck %s

// Attention that the file itself says, with its keys repeated for the heads that
// share them and a mask of positions behind past ones: both fall away.

// CHECK-LABEL: func.func @causal(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<?x4x?x8xf32>, %[[K:[a-z0-9]+]]: tensor<?x2x?x8xf32>, %[[P:[a-z0-9]+]]: tensor<?x2x?x8xf32>
// CHECK:         %[[X:.+]] = tensor.extract_slice %[[Q]]
// CHECK:         %[[C:.+]] = tensor.concat dim(2) %[[P]], %[[K]]
// CHECK:         pquant.attention %[[X]], %[[C]], %[[C]] causal {scale = 5.000000e-01 : f32}
// CHECK-SAME:      tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
#rep = affine_map<(b, g, r, t, d) -> (b, g, 0, t, d)>
#all5 = affine_map<(b, g, r, t, d) -> (b, g, r, t, d)>
#mask = affine_map<(b, z, s, t) -> (b, z, s, t)>
func.func @causal(%x: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %past: tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %k, %c0 : tensor<?x2x?x8xf32>
  %s = tensor.dim %k, %c2 : tensor<?x2x?x8xf32>
  %p = tensor.dim %past, %c2 : tensor<?x2x?x8xf32>
  %q = tensor.extract_slice %x[0, 0, 0, 0] [%b, 4, %s, 8] [1, 1, 1, 1] : tensor<?x4x?x8xf32> to tensor<?x4x?x8xf32>
  %t = affine.apply affine_map<()[a, b] -> (a + b)>()[%p, %s]
  %c = tensor.concat dim(2) %past, %k : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %e = tensor.expand_shape %c [[0], [1], [2, 3], [4]] output_shape [%b, 2, 1, %t, 8] : tensor<?x2x?x8xf32> into tensor<?x2x1x?x8xf32>
  %i = tensor.empty(%b, %t) : tensor<?x2x2x?x8xf32>
  %r = linalg.generic {indexing_maps = [#rep, #all5], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%e : tensor<?x2x1x?x8xf32>) outs(%i : tensor<?x2x2x?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<?x2x2x?x8xf32>
  %keys = tensor.collapse_shape %r [[0], [1, 2], [3], [4]] : tensor<?x2x2x?x8xf32> into tensor<?x4x?x8xf32>
  %j = tensor.empty(%b, %s, %t) : tensor<?x1x?x?xf32>
  %m = linalg.generic {indexing_maps = [#mask], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%j : tensor<?x1x?x?xf32>) {
  ^bb0(%out: f32):
    %si = linalg.index 2 : index
    %ti = linalg.index 3 : index
    %last = arith.addi %si, %p : index
    %visible = arith.cmpi sle, %ti, %last : index
    %zero = arith.constant 0.0 : f32
    %hidden = arith.constant 0xFF800000 : f32
    %v = arith.select %visible, %zero, %hidden : f32
    linalg.yield %v : f32
  } -> tensor<?x1x?x?xf32>
  %o = pquant.attention %q, %keys, %keys mask(%m : tensor<?x1x?x?xf32>) {scale = 0.5 : f32}
      : tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32> -> tensor<?x4x?x8xf32>
  return %o : tensor<?x4x?x8xf32>
}

// -----

// A mask that is a tensor stays, and so does a factor of the values; one of the
// keys joins the scale.

// CHECK-LABEL: func.func @tensor_mask(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<1x2x3x8xf32>, %[[K:[a-z0-9]+]]: tensor<1x2x5x8xf32>, %[[M:[a-z0-9]+]]: tensor<3x5xf32>
// CHECK:         %[[V:.+]] = linalg.generic
// CHECK:         pquant.attention %[[Q]], %[[K]], %[[V]] mask(%[[M]] : tensor<3x5xf32>) {scale = 1.000000e+00 : f32}
#all = affine_map<(b, h, t, d) -> (b, h, t, d)>
func.func @tensor_mask(%q: tensor<1x2x3x8xf32>, %k: tensor<1x2x5x8xf32>, %m: tensor<3x5xf32>) -> tensor<1x2x3x8xf32> {
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<1x2x5x8xf32>
  %kk = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x5x8xf32>) outs(%e : tensor<1x2x5x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %p = arith.mulf %in, %two : f32
    linalg.yield %p : f32
  } -> tensor<1x2x5x8xf32>
  %o = pquant.attention %q, %kk, %kk mask(%m : tensor<3x5xf32>) {scale = 0.5 : f32}
      : tensor<1x2x3x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32> -> tensor<1x2x3x8xf32>
  return %o : tensor<1x2x3x8xf32>
}

// -----

// A mask of zeros hides nothing; one that hides other keys than the later ones
// stays.

// CHECK-LABEL: func.func @constant_masks(
// CHECK:         %[[O:.+]] = pquant.attention %{{.+}}, %{{.+}}, %{{.+}} {scale
// CHECK:         pquant.attention %[[O]], %{{.+}}, %{{.+}} mask(
func.func @constant_masks(%q: tensor<1x2x3x8xf32>, %k: tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32> {
  %none = arith.constant dense<0.0> : tensor<3x3xf32>
  %first = arith.constant dense<[[0xFF800000, 0.0, 0.0], [0xFF800000, 0.0, 0.0], [0xFF800000, 0.0, 0.0]]> : tensor<3x3xf32>
  %o = pquant.attention %q, %k, %k mask(%none : tensor<3x3xf32>) {scale = 0.5 : f32}
      : tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32> -> tensor<1x2x3x8xf32>
  %p = pquant.attention %o, %k, %k mask(%first : tensor<3x3xf32>) {scale = 0.5 : f32}
      : tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32> -> tensor<1x2x3x8xf32>
  return %p : tensor<1x2x3x8xf32>
}
