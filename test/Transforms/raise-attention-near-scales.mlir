// RUN: pquant-opt %s --pquant-raise-decoder --canonicalize 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --pquant-raise-decoder 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// Scales behind a mask: (Q K^T + M) * c is not Q K^T * c + M.

#bhst = affine_map<(b, h, s, t) -> (b, h, s, t)>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#l = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#p = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#masked = {indexing_maps = [#bhst, affine_map<(b, h, s, t) -> (s, t)>, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}

// REMARK: 1 of 4 softmaxes raised to attention
// CHECK-LABEL: @added(
// CHECK-NOT: pquant.
// REMARK: note: {{.*}}: a scale is applied behind its mask
func.func @added(%q: tensor<2x4x3x16xf32>, %k: tensor<2x4x5x16xf32>, %v: tensor<2x4x5x16xf32>, %mask: tensor<3x5xf32>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %k : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %m = linalg.generic #masked ins(%l, %mask : tensor<2x4x3x5xf32>, tensor<3x5xf32>) outs(%lempty : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    %1 = arith.mulf %0, %scale : f32
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

// What is hidden stays hidden.
// CHECK-LABEL: @hidden(
// CHECK: %[[M:.+]] = linalg.generic
// CHECK: arith.select %{{.+}}, %{{.+}}, %[[H:[a-z0-9_]+]] : f32
// CHECK: pquant.attention %{{.+}}, %{{.+}}, %{{.+}} mask(%[[M]] : tensor<1x1x3x5xf32>) {scale = 2.500000e-01 : f32}
func.func @hidden(%q: tensor<2x4x3x16xf32>, %k: tensor<2x4x5x16xf32>, %v: tensor<2x4x5x16xf32>, %mask: tensor<3x5xi1>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %hidden = arith.constant -1.0e9 : f32
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %k : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %m = linalg.generic #masked ins(%l, %mask : tensor<2x4x3x5xf32>, tensor<3x5xi1>) outs(%lempty : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.select %b, %a, %hidden : f32
    %1 = arith.mulf %0, %scale : f32
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

// By a negative factor it is what counts most; by a small one it is seen.
// CHECK-LABEL: @negative(
// CHECK-NOT: pquant.
// REMARK: note: {{.*}}: a scale is applied behind its mask
func.func @negative(%q: tensor<2x4x3x16xf32>, %k: tensor<2x4x5x16xf32>, %v: tensor<2x4x5x16xf32>, %mask: tensor<3x5xi1>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant -0.25 : f32
  %hidden = arith.constant -1.0e9 : f32
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %k : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %m = linalg.generic #masked ins(%l, %mask : tensor<2x4x3x5xf32>, tensor<3x5xi1>) outs(%lempty : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.select %b, %a, %hidden : f32
    %1 = arith.mulf %0, %scale : f32
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

// CHECK-LABEL: @small(
// CHECK-NOT: pquant.
// REMARK: note: {{.*}}: a scale is applied behind its mask
func.func @small(%q: tensor<2x4x3x16xf32>, %k: tensor<2x4x5x16xf32>, %v: tensor<2x4x5x16xf32>, %mask: tensor<3x5xi1>) -> tensor<2x4x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 1.0e-8 : f32
  %hidden = arith.constant -1.0e9 : f32
  %lempty = tensor.empty() : tensor<2x4x3x5xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %l = linalg.generic #scores ins(%q, %k : tensor<2x4x3x16xf32>, tensor<2x4x5x16xf32>) outs(%linit : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x3x5xf32>
  %m = linalg.generic #masked ins(%l, %mask : tensor<2x4x3x5xf32>, tensor<3x5xi1>) outs(%lempty : tensor<2x4x3x5xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.select %b, %a, %hidden : f32
    %1 = arith.mulf %0, %scale : f32
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
