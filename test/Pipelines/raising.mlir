// RUN: pquant-opt %s --pquant-raising-pipeline=sign-zero=plus -o %t 2>%t.txt
// RUN: FileCheck %s --input-file=%t --implicit-check-not=arith.select
// RUN: FileCheck %s --input-file=%t.txt --check-prefix=REMARK
// RUN: pquant-opt %t --pquant-verify-raised -o /dev/null
// RUN: not pquant-opt %s --pquant-raising-pipeline 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not pquant-opt %s --pquant-raising-pipeline="sign-zero=minus require-quantized=true" 2>&1 | FileCheck %s --check-prefix=REQUIRED

// Both options reach the pass.

// ZERO:     error: weight {{.*}} has 1 of 8 signs that are zero
// REQUIRED: error: {{.*}}is quantised in the model but stays in float: the weights are not quantised

#id = affine_map<(r, k) -> (r, k)>
#row = affine_map<(r, k) -> (r)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#by_row = {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
#scaled = {indexing_maps = [#id, affine_map<(r, k) -> ()>, #id], iterator_types = ["parallel", "parallel"]}
#max_k = {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
#linear = {
  indexing_maps = [affine_map<(r, n, k) -> (r, k)>, affine_map<(r, n, k) -> (n, k)>, affine_map<(r, n, k) -> (r, n)>],
  iterator_types = ["parallel", "parallel", "reduction"]
}

// The interface of a model is the same after the phase. One linear is quantised;
// the weight of the other is not, so it reads the rounded values as floats. What
// was the arithmetic of the signs is gone.

// REMARK: remark: 1 of 2 linears raised (1 1-bit, 0 INT8), 1 left in float
// CHECK-LABEL: func.func @two_linears(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<2x4xf32> {pquant.name = "x"}) -> (tensor<2x2xf32> {pquant.name = "y"}, tensor<2x2xf32> {pquant.name = "z"})
// CHECK-DAG:     %[[W:.+]] = arith.constant dense<{{\[\[true, false, true, true\], \[false, true, true, true\]\]}}> : tensor<2x4xi1>
// CHECK-DAG:     %[[WS:.+]] = arith.constant dense<3.000000e-01> : tensor<1x1xf32>
// CHECK:         %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]] {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
// CHECK:         %[[Y:.+]] = pquant.binary_linear %[[Q]], %[[S]] planes(%[[W]]) scales(%[[WS]])
// CHECK:         %[[Z:.+]] = linalg.generic {{.*}}"reduction"]}
// CHECK:         return %[[Y]], %[[Z]]
func.func @two_linears(%x: tensor<2x4xf32> {pquant.name = "x"})
    -> (tensor<2x2xf32> {pquant.name = "y"}, tensor<2x2xf32> {pquant.name = "z"}) {
  %shadow = arith.constant dense<[[0.9, -0.5, 0.0, 0.7], [-0.1, 0.2, 0.3, 1.2]]> : tensor<2x4xf32>
  %float = arith.constant dense<[[0.5, -0.31830987, 0.70710677, 0.3], [-0.5, -0.57721567, 0.7, -0.1]]> : tensor<2x4xf32>
  %full = tensor.empty() : tensor<2x4xf32>
  %scale = arith.constant dense<0.3> : tensor<f32>
  %signs = linalg.generic #unary ins(%shadow : tensor<2x4xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %z = arith.constant 0.0 : f32
    %p = arith.constant 1.0 : f32
    %m = arith.constant -1.0 : f32
    %gt = arith.cmpf ogt, %v, %z : f32
    %lt = arith.cmpf olt, %v, %z : f32
    %n = arith.select %lt, %m, %z : f32
    %i = arith.select %gt, %p, %n : f32
    linalg.yield %i : f32
  } -> tensor<2x4xf32>
  %w = linalg.generic #scaled ins(%signs, %scale : tensor<2x4xf32>, tensor<f32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%i: f32, %s: f32, %out: f32):
    %0 = arith.mulf %s, %i : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %lowest = arith.constant 0xFF800000 : f32
  %rows = tensor.empty() : tensor<2xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
  %abs = linalg.generic #unary ins(%x : tensor<2x4xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.absf %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x4xf32>
  %max = linalg.generic #max_k ins(%abs : tensor<2x4xf32>) outs(%start : tensor<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %out, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2xf32>
  %fake = linalg.generic #by_row ins(%x, %max : tensor<2x4xf32>, tensor<2xf32>) outs(%full : tensor<2x4xf32>) {
  ^bb0(%in: f32, %a: f32, %out: f32):
    %eps = arith.constant 1.000000e-05 : f32
    %one = arith.constant 1.0 : f32
    %c127 = arith.constant 127.0 : f32
    %low = arith.constant -128.0 : f32
    %m = arith.maximumf %a, %eps : f32
    %r = arith.divf %one, %m : f32
    %g = arith.mulf %r, %c127 : f32
    %v = arith.mulf %in, %g : f32
    %n = math.roundeven %v : f32
    %l = arith.maximumf %n, %low : f32
    %c = arith.minimumf %l, %c127 : f32
    %q = arith.divf %c, %g : f32
    linalg.yield %q : f32
  } -> tensor<2x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
  %y = linalg.generic #linear ins(%fake, %w : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  %z = linalg.generic #linear ins(%fake, %float : tensor<2x4xf32>, tensor<2x4xf32>) outs(%init : tensor<2x2xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x2xf32>
  return %y, %z : tensor<2x2xf32>, tensor<2x2xf32>
}

// What depends on constants only is a constant, folded after raising.

// CHECK-LABEL: func.func @angles(
// CHECK-NEXT:    %[[Y:.+]] = arith.constant dense<{{\[\[0.000000e\+00, 2.000000e\+00\], \[4.000000e\+00, 6.000000e\+00\]\]}}>
// CHECK-NEXT:    return %[[Y]]
func.func @angles() -> tensor<2x2xf32> {
  %a = arith.constant dense<[[0.0, 1.0], [2.0, 3.0]]> : tensor<2x2xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %y = linalg.generic #unary ins(%a : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}
