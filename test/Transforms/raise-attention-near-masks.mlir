// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder --canonicalize 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --split-input-file --pquant-raise-decoder 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#bhst = affine_map<(b, h, s, t) -> (b, h, s, t)>
#st = affine_map<(b, h, s, t) -> (s, t)>
#none = affine_map<(b, h, s, t) -> ()>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#l = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#p = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#elementwise = {indexing_maps = [#bhst, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#masked = {indexing_maps = [#bhst, #st, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#grid = {indexing_maps = [affine_map<(s, t) -> (s, t)>], iterator_types = ["parallel", "parallel"]}
// Masks that are not causal stay, as numbers that are added.

// A key at its own position is hidden.
// CHECK-LABEL: @strict
// CHECK: %[[HIDDEN:.+]] = arith.constant -3.40282347E+38 : f32
// CHECK: arith.select %{{.+}}, %{{.+}}, %[[HIDDEN]] : f32
// CHECK: pquant.attention %{{.+}}, %{{.+}}, %{{.+}} mask(%{{.+}} : tensor<1x1x?x?xf32>) {scale
// REMARK: 1 of 1 softmaxes raised to attention
func.func @strict(%q: tensor<2x4x?x16xf32>, %k: tensor<2x4x?x16xf32>, %v: tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32> {
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant -3.40282347E+38 : f32
  %scale = arith.constant 0.25 : f32
  %S = tensor.dim %q, %c2 : tensor<2x4x?x16xf32>
  %kempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %keys = linalg.generic #elementwise ins(%k : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %values = linalg.generic #elementwise ins(%v : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %lempty = tensor.empty(%S, %S) : tensor<2x4x?x?xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %l = linalg.generic #scores ins(%q, %keys : tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>) outs(%linit : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %mempty = tensor.empty(%S, %S) : tensor<?x?xi1>
  %visible = linalg.generic #grid outs(%mempty : tensor<?x?xi1>) {
  ^bb0(%out: i1):
    %s = linalg.index 0 : index
    %t = linalg.index 1 : index
    %c = arith.cmpi slt, %t, %s : index
    linalg.yield %c : i1
  } -> tensor<?x?xi1>
  %m = linalg.generic #masked ins(%l, %visible : tensor<2x4x?x?xf32>, tensor<?x?xi1>) outs(%lempty : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.mulf %a, %scale : f32
    %1 = arith.select %b, %0, %lowest : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<2x4x?x?xf32>) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %oempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %oinit = linalg.fill ins(%zero : f32) outs(%oempty : tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32>
  %y = linalg.generic #mix ins(%p, %values : tensor<2x4x?x?xf32>, tensor<2x4x?x16xf32>) outs(%oinit : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x16xf32>
  return %y : tensor<2x4x?x16xf32>
}

// -----

#bhst = affine_map<(b, h, s, t) -> (b, h, s, t)>
#st = affine_map<(b, h, s, t) -> (s, t)>
#none = affine_map<(b, h, s, t) -> ()>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#l = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#p = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#elementwise = {indexing_maps = [#bhst, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#masked = {indexing_maps = [#bhst, #st, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#grid = {indexing_maps = [affine_map<(s, t) -> (s, t)>], iterator_types = ["parallel", "parallel"]}
// CHECK-LABEL: @window
// CHECK: pquant.attention %{{.+}}, %{{.+}}, %{{.+}} mask(%{{.+}} : tensor<1x1x?x?xf32>) {scale
// REMARK: 1 of 1 softmaxes raised to attention
func.func @window(%q: tensor<2x4x?x16xf32>, %k: tensor<2x4x?x16xf32>, %v: tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32> {
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant -3.40282347E+38 : f32
  %scale = arith.constant 0.25 : f32
  %S = tensor.dim %q, %c2 : tensor<2x4x?x16xf32>
  %kempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %keys = linalg.generic #elementwise ins(%k : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %values = linalg.generic #elementwise ins(%v : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %lempty = tensor.empty(%S, %S) : tensor<2x4x?x?xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %l = linalg.generic #scores ins(%q, %keys : tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>) outs(%linit : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %mempty = tensor.empty(%S, %S) : tensor<?x?xi1>
  %visible = linalg.generic #grid outs(%mempty : tensor<?x?xi1>) {
  ^bb0(%out: i1):
    %s = linalg.index 0 : index
    %t = linalg.index 1 : index
    %0 = arith.cmpi sle, %t, %s : index
    %far = arith.addi %t, %c2 : index
    %1 = arith.cmpi sge, %far, %s : index
    %c = arith.andi %0, %1 : i1
    linalg.yield %c : i1
  } -> tensor<?x?xi1>
  %m = linalg.generic #masked ins(%l, %visible : tensor<2x4x?x?xf32>, tensor<?x?xi1>) outs(%lempty : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.mulf %a, %scale : f32
    %1 = arith.select %b, %0, %lowest : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<2x4x?x?xf32>) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %oempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %oinit = linalg.fill ins(%zero : f32) outs(%oempty : tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32>
  %y = linalg.generic #mix ins(%p, %values : tensor<2x4x?x?xf32>, tensor<2x4x?x16xf32>) outs(%oinit : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x16xf32>
  return %y : tensor<2x4x?x16xf32>
}

// -----

#bhst = affine_map<(b, h, s, t) -> (b, h, s, t)>
#st = affine_map<(b, h, s, t) -> (s, t)>
#none = affine_map<(b, h, s, t) -> ()>
#q = affine_map<(b, h, s, t, d) -> (b, h, s, d)>
#k = affine_map<(b, h, s, t, d) -> (b, h, t, d)>
#l = affine_map<(b, h, s, t, d) -> (b, h, s, t)>
#p = affine_map<(b, h, s, e, t) -> (b, h, s, t)>
#v = affine_map<(b, h, s, e, t) -> (b, h, t, e)>
#o = affine_map<(b, h, s, e, t) -> (b, h, s, e)>
#elementwise = {indexing_maps = [#bhst, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#masked = {indexing_maps = [#bhst, #st, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#grid = {indexing_maps = [affine_map<(s, t) -> (s, t)>], iterator_types = ["parallel", "parallel"]}
// CHECK-LABEL: @data
// CHECK: pquant.attention %{{.+}}, %{{.+}}, %{{.+}} mask(%{{.+}} : tensor<1x1x?x?xf32>) {scale
// REMARK: 1 of 1 softmaxes raised to attention
func.func @data(%q: tensor<2x4x?x16xf32>, %k: tensor<2x4x?x16xf32>, %v: tensor<2x4x?x16xf32>, %mask: tensor<?x?xi1>) -> tensor<2x4x?x16xf32> {
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant -3.40282347E+38 : f32
  %scale = arith.constant 0.25 : f32
  %S = tensor.dim %q, %c2 : tensor<2x4x?x16xf32>
  %kempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %keys = linalg.generic #elementwise ins(%k : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %values = linalg.generic #elementwise ins(%v : tensor<2x4x?x16xf32>) outs(%kempty : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<2x4x?x16xf32>
  %lempty = tensor.empty(%S, %S) : tensor<2x4x?x?xf32>
  %linit = linalg.fill ins(%zero : f32) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %l = linalg.generic #scores ins(%q, %keys : tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>) outs(%linit : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %mempty = tensor.empty(%S, %S) : tensor<?x?xi1>
  %visible = linalg.generic #grid outs(%mempty : tensor<?x?xi1>) {
  ^bb0(%out: i1):
    %s = linalg.index 0 : index
    %t = linalg.index 1 : index
    %c = tensor.extract %mask[%s, %t] : tensor<?x?xi1>
    linalg.yield %c : i1
  } -> tensor<?x?xi1>
  %m = linalg.generic #masked ins(%l, %visible : tensor<2x4x?x?xf32>, tensor<?x?xi1>) outs(%lempty : tensor<2x4x?x?xf32>) {
  ^bb0(%a: f32, %b: i1, %out: f32):
    %0 = arith.mulf %a, %scale : f32
    %1 = arith.select %b, %0, %lowest : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<2x4x?x?xf32>) outs(%lempty : tensor<2x4x?x?xf32>) -> tensor<2x4x?x?xf32>
  %oempty = tensor.empty(%S) : tensor<2x4x?x16xf32>
  %oinit = linalg.fill ins(%zero : f32) outs(%oempty : tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32>
  %y = linalg.generic #mix ins(%p, %values : tensor<2x4x?x?xf32>, tensor<2x4x?x16xf32>) outs(%oinit : tensor<2x4x?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x4x?x16xf32>
  return %y : tensor<2x4x?x16xf32>
}
