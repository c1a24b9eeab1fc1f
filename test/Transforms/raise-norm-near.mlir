// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder --canonicalize | FileCheck %s

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#vector = affine_map<(r, k) -> (k)>
#sum = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#by_column = {indexing_maps = [#vector, #id, #id], iterator_types = ["parallel", "parallel"]}
// Divided by another number than that of the columns.
// CHECK-LABEL: @another_count
// CHECK-NOT: pquant.
func.func @another_count(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %half = arith.constant -0.5 : f32
  %count = arith.constant 63.0 : f32
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
// The squares are those of another tensor.
// CHECK-LABEL: @another_input
// CHECK-NOT: pquant.
func.func @another_input(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
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
  %squares = linalg.generic #unary ins(%z : tensor<?x64xf32>) outs(%full : tensor<?x64xf32>) {
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
// Not the square.
// CHECK-LABEL: @third_power
// CHECK-NOT: pquant.
func.func @third_power(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
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
    %1 = arith.mulf %a, %a : f32
    %0 = arith.mulf %1, %a : f32
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
