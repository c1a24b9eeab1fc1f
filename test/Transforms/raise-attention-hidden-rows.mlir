// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder --canonicalize 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// A row whose keys are all hidden gives 0, as PyTorch's decompositions write it.

// CHECK-LABEL: @hidden_rows
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<2x4x3x8xf32>, %[[K:[a-z0-9]+]]: tensor<2x4x5x8xf32>, %[[V:[a-z0-9]+]]: tensor<2x4x5x8xf32>, %[[M:[a-z0-9]+]]: tensor<3x5xf32>
// CHECK:         pquant.attention %[[Q]], %[[K]], %[[V]] mask(%[[M]] : tensor<3x5xf32>) {scale
// REMARK: 1 of 1 softmaxes raised to attention
#l = affine_map<(b, h, s, t) -> (b, h, s, t)>
#r = affine_map<(b, h, s, t) -> (b, h, s)>
#one = affine_map<(b, h, s, t) -> (b, h, s, 0)>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#p = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#w = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#map = {indexing_maps = [#l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#dot = {indexing_maps = [#q, #k, #p], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#w, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#any = {indexing_maps = [#l, #r], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
#pick = {indexing_maps = [#one, #l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
func.func @hidden_rows(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf32>, %m: tensor<3x5xf32>,
                  %other: tensor<2x4x3x5xf32>) -> tensor<2x4x3x8xf32> {
  %zero = arith.constant 0.0 : f32
  %hidden = arith.constant 0xFF800000 : f32
  %true = arith.constant true
  %false = arith.constant false
  %le = tensor.empty() : tensor<2x4x3x5xf32>
  %li = linalg.fill ins(%zero : f32) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %d = linalg.generic #dot ins(%q, %k : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>) outs(%li : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %l = linalg.generic {indexing_maps = [#l, affine_map<(b, h, s, t) -> (s, t)>, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%d, %m : tensor<2x4x3x5xf32>, tensor<3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x3x5xf32>
  %softmax = linalg.softmax dimension(3) ins(%l : tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %be = tensor.empty() : tensor<2x4x3x5xi1>
  %seen = linalg.generic #map ins(%l : tensor<2x4x3x5xf32>) outs(%be : tensor<2x4x3x5xi1>) {
  ^bb0(%a: f32, %out: i1):
    %0 = arith.cmpf oeq, %a, %hidden : f32
    %1 = arith.xori %0, %true : i1
    linalg.yield %1 : i1
  } -> tensor<2x4x3x5xi1>
  %re = tensor.empty() : tensor<2x4x3xi1>
  %ri = linalg.fill ins(%false : i1) outs(%re : tensor<2x4x3xi1>) -> tensor<2x4x3xi1>
  %any = linalg.generic #any ins(%seen : tensor<2x4x3x5xi1>) outs(%ri : tensor<2x4x3xi1>) {
  ^bb0(%a: i1, %out: i1):
    %0 = arith.ori %a, %out : i1
    linalg.yield %0 : i1
  } -> tensor<2x4x3xi1>
  %kept = tensor.expand_shape %any [[0], [1], [2, 3]] output_shape [2, 4, 3, 1] : tensor<2x4x3xi1> into tensor<2x4x3x1xi1>
  %p = linalg.generic #pick ins(%kept, %softmax : tensor<2x4x3x1xi1>, tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: i1, %b: f32, %out: f32):
    %0 = arith.xori %a, %true : i1
    %1 = arith.select %0, %zero, %b : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %oe = tensor.empty() : tensor<2x4x3x8xf32>
  %oi = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32>
  %y = linalg.generic #mix ins(%p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32>) outs(%oi : tensor<2x4x3x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}

// -----

// Near miss: another tensor says which rows are hidden.
// CHECK-LABEL: @other_rows
// CHECK-NOT:     pquant.
// REMARK: note: {{.*}}: the product with its values is not by its probabilities
#l = affine_map<(b, h, s, t) -> (b, h, s, t)>
#r = affine_map<(b, h, s, t) -> (b, h, s)>
#one = affine_map<(b, h, s, t) -> (b, h, s, 0)>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#p = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#w = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#map = {indexing_maps = [#l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#dot = {indexing_maps = [#q, #k, #p], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#w, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#any = {indexing_maps = [#l, #r], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
#pick = {indexing_maps = [#one, #l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
func.func @other_rows(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf32>, %m: tensor<3x5xf32>,
                  %other: tensor<2x4x3x5xf32>) -> tensor<2x4x3x8xf32> {
  %zero = arith.constant 0.0 : f32
  %hidden = arith.constant 0xFF800000 : f32
  %true = arith.constant true
  %false = arith.constant false
  %le = tensor.empty() : tensor<2x4x3x5xf32>
  %li = linalg.fill ins(%zero : f32) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %d = linalg.generic #dot ins(%q, %k : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>) outs(%li : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %l = linalg.generic {indexing_maps = [#l, affine_map<(b, h, s, t) -> (s, t)>, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%d, %m : tensor<2x4x3x5xf32>, tensor<3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x3x5xf32>
  %softmax = linalg.softmax dimension(3) ins(%l : tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %be = tensor.empty() : tensor<2x4x3x5xi1>
  %seen = linalg.generic #map ins(%other : tensor<2x4x3x5xf32>) outs(%be : tensor<2x4x3x5xi1>) {
  ^bb0(%a: f32, %out: i1):
    %0 = arith.cmpf oeq, %a, %hidden : f32
    %1 = arith.xori %0, %true : i1
    linalg.yield %1 : i1
  } -> tensor<2x4x3x5xi1>
  %re = tensor.empty() : tensor<2x4x3xi1>
  %ri = linalg.fill ins(%false : i1) outs(%re : tensor<2x4x3xi1>) -> tensor<2x4x3xi1>
  %any = linalg.generic #any ins(%seen : tensor<2x4x3x5xi1>) outs(%ri : tensor<2x4x3xi1>) {
  ^bb0(%a: i1, %out: i1):
    %0 = arith.ori %a, %out : i1
    linalg.yield %0 : i1
  } -> tensor<2x4x3xi1>
  %kept = tensor.expand_shape %any [[0], [1], [2, 3]] output_shape [2, 4, 3, 1] : tensor<2x4x3xi1> into tensor<2x4x3x1xi1>
  %p = linalg.generic #pick ins(%kept, %softmax : tensor<2x4x3x1xi1>, tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: i1, %b: f32, %out: f32):
    %0 = arith.xori %a, %true : i1
    %1 = arith.select %0, %zero, %b : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %oe = tensor.empty() : tensor<2x4x3x8xf32>
  %oi = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32>
  %y = linalg.generic #mix ins(%p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32>) outs(%oi : tensor<2x4x3x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}

// -----

// Near miss: the comparison is another.
// CHECK-LABEL: @other_comparison
// CHECK-NOT:     pquant.
// REMARK: note: {{.*}}: the product with its values is not by its probabilities
#l = affine_map<(b, h, s, t) -> (b, h, s, t)>
#r = affine_map<(b, h, s, t) -> (b, h, s)>
#one = affine_map<(b, h, s, t) -> (b, h, s, 0)>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#p = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#w = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#map = {indexing_maps = [#l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#dot = {indexing_maps = [#q, #k, #p], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#w, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#any = {indexing_maps = [#l, #r], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
#pick = {indexing_maps = [#one, #l, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
func.func @other_comparison(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf32>, %m: tensor<3x5xf32>,
                  %other: tensor<2x4x3x5xf32>) -> tensor<2x4x3x8xf32> {
  %zero = arith.constant 0.0 : f32
  %hidden = arith.constant 0xFF800000 : f32
  %true = arith.constant true
  %false = arith.constant false
  %le = tensor.empty() : tensor<2x4x3x5xf32>
  %li = linalg.fill ins(%zero : f32) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %d = linalg.generic #dot ins(%q, %k : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>) outs(%li : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %l = linalg.generic {indexing_maps = [#l, affine_map<(b, h, s, t) -> (s, t)>, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%d, %m : tensor<2x4x3x5xf32>, tensor<3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x3x5xf32>
  %softmax = linalg.softmax dimension(3) ins(%l : tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %be = tensor.empty() : tensor<2x4x3x5xi1>
  %seen = linalg.generic #map ins(%l : tensor<2x4x3x5xf32>) outs(%be : tensor<2x4x3x5xi1>) {
  ^bb0(%a: f32, %out: i1):
    %0 = arith.cmpf ogt, %a, %hidden : f32
    %1 = arith.xori %0, %true : i1
    linalg.yield %1 : i1
  } -> tensor<2x4x3x5xi1>
  %re = tensor.empty() : tensor<2x4x3xi1>
  %ri = linalg.fill ins(%false : i1) outs(%re : tensor<2x4x3xi1>) -> tensor<2x4x3xi1>
  %any = linalg.generic #any ins(%seen : tensor<2x4x3x5xi1>) outs(%ri : tensor<2x4x3xi1>) {
  ^bb0(%a: i1, %out: i1):
    %0 = arith.ori %a, %out : i1
    linalg.yield %0 : i1
  } -> tensor<2x4x3xi1>
  %kept = tensor.expand_shape %any [[0], [1], [2, 3]] output_shape [2, 4, 3, 1] : tensor<2x4x3xi1> into tensor<2x4x3x1xi1>
  %p = linalg.generic #pick ins(%kept, %softmax : tensor<2x4x3x1xi1>, tensor<2x4x3x5xf32>) outs(%le : tensor<2x4x3x5xf32>) {
  ^bb0(%a: i1, %b: f32, %out: f32):
    %0 = arith.xori %a, %true : i1
    %1 = arith.select %0, %zero, %b : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %oe = tensor.empty() : tensor<2x4x3x8xf32>
  %oi = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32>
  %y = linalg.generic #mix ins(%p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32>) outs(%oi : tensor<2x4x3x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}
