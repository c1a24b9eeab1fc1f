// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder --canonicalize | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#vector = affine_map<(r, k) -> (k)>
#sum = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#vector, #id, #id], iterator_types = ["parallel", "parallel"]}
// CHECK-LABEL: @reciprocal_of_root
// CHECK-SAME: %[[X:.+]]: tensor<?x64xf32>, %{{.+}}: tensor<?x64xf32>, %[[W:.+]]: tensor<64xf32>
// CHECK: %[[Y:.+]] = pquant.rms_norm %[[X]], %[[W]] {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
// CHECK: return %[[Y]]
func.func @reciprocal_of_root(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %half = arith.constant -0.5 : f32
  %count = arith.constant 64.0 : f32
  %eps = arith.constant 1.0e-5 : f32
  %S = tensor.dim %x, %c0 : tensor<?x64xf32>
  %full = tensor.empty(%S) : tensor<?x64xf32>
  %rows = tensor.empty(%S) : tensor<?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %squares = linalg.generic #unary ins(%x : tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.mulf %a, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  %sums = linalg.generic #sum ins(%squares : tensor<?x64xf32>) outs(%start : tensor<?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.addf %out, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %scaled = linalg.generic #by_row ins(%x, %sums : tensor<?x64xf32>, tensor<?xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %s: f32, %out: f32):
    %1 = arith.divf %s, %count : f32
    %2 = arith.addf %1, %eps : f32
    %3 = math.sqrt %2 : f32
    %4 = arith.divf %one, %3 : f32
    %5 = arith.mulf %a, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x64xf32>
  %y = linalg.generic #by_column ins(%w, %scaled : tensor<64xf32>, tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#vector = affine_map<(r, k) -> (k)>
#sum = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#vector, #id, #id], iterator_types = ["parallel", "parallel"]}
// CHECK-LABEL: @powers
// CHECK-SAME: %[[X:.+]]: tensor<?x64xf32>, %{{.+}}: tensor<?x64xf32>, %[[W:.+]]: tensor<64xf32>
// CHECK: %[[Y:.+]] = pquant.rms_norm %[[X]], %[[W]] {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
// CHECK: return %[[Y]]
func.func @powers(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %half = arith.constant -0.5 : f32
  %count = arith.constant 64.0 : f32
  %eps = arith.constant 1.0e-5 : f32
  %S = tensor.dim %x, %c0 : tensor<?x64xf32>
  %full = tensor.empty(%S) : tensor<?x64xf32>
  %rows = tensor.empty(%S) : tensor<?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %squares = linalg.generic #unary ins(%x : tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.powf %a, %two : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  %sums = linalg.generic #sum ins(%squares : tensor<?x64xf32>) outs(%start : tensor<?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.addf %out, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %scaled = linalg.generic #by_row ins(%x, %sums : tensor<?x64xf32>, tensor<?xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %s: f32, %out: f32):
    %1 = arith.divf %s, %count : f32
    %2 = arith.addf %1, %eps : f32
    %4 = math.powf %2, %half : f32
    %5 = arith.mulf %a, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x64xf32>
  %y = linalg.generic #by_column ins(%w, %scaled : tensor<64xf32>, tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#vector = affine_map<(r, k) -> (k)>
#sum = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#vector, #id, #id], iterator_types = ["parallel", "parallel"]}
// CHECK-LABEL: @rsqrt
// CHECK-SAME: %[[X:.+]]: tensor<?x64xf32>, %{{.+}}: tensor<?x64xf32>, %[[W:.+]]: tensor<64xf32>
// CHECK: %[[Y:.+]] = pquant.rms_norm %[[X]], %[[W]] {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
// CHECK: return %[[Y]]
func.func @rsqrt(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %half = arith.constant -0.5 : f32
  %count = arith.constant 64.0 : f32
  %eps = arith.constant 1.0e-5 : f32
  %S = tensor.dim %x, %c0 : tensor<?x64xf32>
  %full = tensor.empty(%S) : tensor<?x64xf32>
  %rows = tensor.empty(%S) : tensor<?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %squares = linalg.generic #unary ins(%x : tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.mulf %a, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  %sums = linalg.generic #sum ins(%squares : tensor<?x64xf32>) outs(%start : tensor<?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.addf %out, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %scaled = linalg.generic #by_row ins(%x, %sums : tensor<?x64xf32>, tensor<?xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %s: f32, %out: f32):
    %1 = arith.divf %s, %count : f32
    %2 = arith.addf %1, %eps : f32
    %4 = math.rsqrt %2 : f32
    %5 = arith.mulf %a, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x64xf32>
  %y = linalg.generic #by_column ins(%w, %scaled : tensor<64xf32>, tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
