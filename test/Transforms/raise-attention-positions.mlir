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
#ids = {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
#copies = {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
#running = {indexing_maps = [affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
#elementwise = {indexing_maps = [#bhst, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#masked = {indexing_maps = [#bhst, #st, #bhst], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scores = {indexing_maps = [#q, #k, #l], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#mix = {indexing_maps = [#p, #v, #o], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
#grid = {indexing_maps = [affine_map<(s, t) -> (s, t)>], iterator_types = ["parallel", "parallel"]}
// Sequences of consecutive positions, counted by a running sum of breaks: there is one.
// CHECK-LABEL: @one_sequence
// REMARK: 1 of 1 softmaxes raised to attention
// CHECK: pquant.attention %{{.+}}, %{{.+}}, %{{.+}} causal {scale = 2.500000e-01 : f32}
func.func @one_sequence(%q: tensor<2x4x?x16xf32>, %k: tensor<2x4x?x16xf32>, %v: tensor<2x4x?x16xf32>) -> tensor<2x4x?x16xf32> {
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
  %c1 = arith.constant 1 : index
  %one64 = arith.constant 1 : i64
  %zero64 = arith.constant 0 : i64
  %ints = tensor.empty(%S) : tensor<?xi64>
  %range = linalg.generic #ids outs(%ints : tensor<?xi64>) {
  ^bb0(%out: i64):
    %0 = linalg.index 0 : index
    %1 = arith.index_cast %0 : index to i64
    linalg.yield %1 : i64
  } -> tensor<?xi64>
  %first = arith.minsi %S, %c1 : index
  %start = tensor.extract_slice %range[0] [%first] [1] : tensor<?xi64> to tensor<?xi64>
  %before = tensor.empty(%first) : tensor<?xi64>
  %previous = linalg.generic #copies ins(%start : tensor<?xi64>) outs(%before : tensor<?xi64>) {
  ^bb0(%a: i64, %out: i64):
    %0 = arith.subi %a, %one64 : i64
    linalg.yield %0 : i64
  } -> tensor<?xi64>
  %joined = tensor.concat dim(0) %previous, %range : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %breaks = linalg.generic #ids outs(%ints : tensor<?xi64>) {
  ^bb0(%out: i64):
    %0 = linalg.index 0 : index
    %1 = arith.addi %0, %c1 : index
    %2 = tensor.extract %joined[%0] : tensor<?xi64>
    %3 = tensor.extract %joined[%1] : tensor<?xi64>
    %4 = arith.subi %3, %2 : i64
    %5 = arith.cmpi ne, %4, %one64 : i64
    %6 = arith.extui %5 : i1 to i64
    linalg.yield %6 : i64
  } -> tensor<?xi64>
  %zeros = linalg.fill ins(%zero64 : i64) outs(%ints : tensor<?xi64>) -> tensor<?xi64>
  %sequence = linalg.generic #running ins(%breaks : tensor<?xi64>) outs(%zeros : tensor<?xi64>) {
  ^bb0(%a: i64, %out: i64):
    %0 = linalg.index 0 : index
    %1 = linalg.index 1 : index
    %2 = arith.cmpi sle, %1, %0 : index
    %3 = arith.addi %out, %a : i64
    %4 = arith.select %2, %3, %out : i64
    linalg.yield %4 : i64
  } -> tensor<?xi64>
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
    %0 = tensor.extract %sequence[%s] : tensor<?xi64>
    %1 = tensor.extract %sequence[%t] : tensor<?xi64>
    %2 = arith.cmpi eq, %0, %1 : i64
    %3 = arith.cmpi sle, %t, %s : index
    %c = arith.andi %2, %3 : i1
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
