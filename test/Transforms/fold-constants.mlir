// RUN: pquant-opt %s --split-input-file --pquant-fold-constants=max-growth=64 | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-fold-constants=max-growth=64 --remarks-filter=pquant-fold-constants 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#id = affine_map<(i) -> (i)>
#map = {indexing_maps = [#id, #id], iterator_types = ["parallel"]}

// roundeven(2.5) = 2; the sum and the maximum of (0.5, 2.5, -1.0).
// CHECK-LABEL: @elementwise_and_reductions
// CHECK-DAG: %[[ROUNDED:.+]] = arith.constant dense<[0.000000e+00, 2.000000e+00, -1.000000e+00]> : tensor<3xf32>
// CHECK-DAG: %[[SUM:.+]] = arith.constant dense<2.000000e+00> : tensor<f32>
// CHECK-DAG: %[[MAX:.+]] = arith.constant dense<2.500000e+00> : tensor<f32>
// CHECK: return %[[ROUNDED]], %[[SUM]], %[[MAX]]
func.func @elementwise_and_reductions() -> (tensor<3xf32>, tensor<f32>, tensor<f32>) {
  %x = arith.constant dense<[0.5, 2.5, -1.0]> : tensor<3xf32>
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %vector = tensor.empty() : tensor<3xf32>
  %number = tensor.empty() : tensor<f32>
  %rounded = linalg.generic #map ins(%x : tensor<3xf32>) outs(%vector : tensor<3xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.roundeven %in : f32
    linalg.yield %0 : f32
  } -> tensor<3xf32>
  %from_zero = linalg.fill ins(%zero : f32) outs(%number : tensor<f32>) -> tensor<f32>
  %sum = linalg.generic {indexing_maps = [#id, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
      ins(%x : tensor<3xf32>) outs(%from_zero : tensor<f32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %from_lowest = linalg.fill ins(%lowest : f32) outs(%number : tensor<f32>) -> tensor<f32>
  %max = linalg.generic {indexing_maps = [#id, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
      ins(%x : tensor<3xf32>) outs(%from_lowest : tensor<f32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  return %rounded, %sum, %max : tensor<3xf32>, tensor<f32>, tensor<f32>
}

// CHECK-LABEL: @shapes
// CHECK-DAG: %[[SLICE:.+]] = arith.constant dense<{{\[\[2, 5\], \[3, 6\], \[1, 4\]\]}}> : tensor<3x2xi64>
// CHECK: return %[[SLICE]]
func.func @shapes() -> tensor<3x2xi64> {
  %x = arith.constant dense<[1, 2, 3, 4, 5, 6]> : tensor<6xi64>
  %matrix = tensor.expand_shape %x [[0, 1]] output_shape [2, 3] : tensor<6xi64> into tensor<2x3xi64>
  %empty = tensor.empty() : tensor<3x2xi64>
  %turned = linalg.transpose ins(%matrix : tensor<2x3xi64>) outs(%empty : tensor<3x2xi64>) permutation = [1, 0]
  %last = tensor.extract_slice %turned[1, 0] [2, 2] [1, 1] : tensor<3x2xi64> to tensor<2x2xi64>
  %first = tensor.extract_slice %turned[0, 0] [1, 2] [1, 1] : tensor<3x2xi64> to tensor<1x2xi64>
  %joined = tensor.concat dim(0) %last, %first : (tensor<2x2xi64>, tensor<1x2xi64>) -> tensor<3x2xi64>
  return %joined : tensor<3x2xi64>
}

// A lower triangle, from loop indices.
// CHECK-LABEL: @indices
// CHECK: arith.constant dense<{{\[\[true, false\], \[true, true\]\]}}> : tensor<2x2xi1>
func.func @indices() -> tensor<2x2xi1> {
  %empty = tensor.empty() : tensor<2x2xi1>
  %mask = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%empty : tensor<2x2xi1>) {
  ^bb0(%out: i1):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %0 = arith.cmpi sle, %j, %i : index
    linalg.yield %0 : i1
  } -> tensor<2x2xi1>
  return %mask : tensor<2x2xi1>
}

// Near misses: a value that is not constant, and a fill, which is as good.
// CHECK-LABEL: @stays
// CHECK: linalg.fill
// CHECK: math.absf
func.func @stays(%x: tensor<3xf32>) -> tensor<3xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<3xf32>) -> tensor<3xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<3xf32>) outs(%fill : tensor<3xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    %1 = arith.addf %0, %out : f32
    linalg.yield %1 : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

#id = affine_map<(i) -> (i)>

// 128 bytes would be more than the 64 that are allowed.
// REMARK: expected constants to grow by at most 64 bytes, but this result would make it 124
// CHECK-LABEL: @too_large
// CHECK: linalg.generic
func.func @too_large() -> tensor<32xf32> {
  %x = arith.constant dense<1.5> : tensor<f32>
  %empty = tensor.empty() : tensor<32xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> ()>, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<f32>) outs(%empty : tensor<32xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.sqrt %in : f32
    linalg.yield %0 : f32
  } -> tensor<32xf32>
  return %y : tensor<32xf32>
}
