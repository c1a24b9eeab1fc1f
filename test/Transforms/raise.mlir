// RUN: pquant-opt %s --pquant-raise 2>/dev/null | FileCheck %s
// RUN: pquant-opt %s --pquant-raise 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

#m0 = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#m1 = affine_map<(d0, d1, d2) -> (d0, d1)>
#m2 = affine_map<(d0, d1, d2) -> ()>
#m3 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#m4 = affine_map<(d0, d1) -> (d0, d1)>
#m5 = affine_map<(d0, d1) -> ()>
#m6 = affine_map<() -> ()>
#m7 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
#m8 = affine_map<(d0, d1, d2, d3) -> (d3, d2)>
#m9 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>

// Both linears in the form that the ONNX frontend writes, one structured op per
// operator, with the straight-through residue on activations and weights. They
// share one quantisation. mean|w| = 4.775 / 8 is the exact scale of the signs of
// w - mean(w). The second weight is a constant on the INT8 grid of 2^-7.
//
// REMARK: 2 of 2 linears raised (1 1-bit, 1 INT8), 0 left in float
// CHECK-LABEL: @one_op_per_operator
// CHECK: %[[Q:.+]], %[[S:.+]] = pquant.quantize %{{.+}} {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
// CHECK-NOT: pquant.quantize
// CHECK-DAG: %[[S1:.+]] = arith.constant dense<5.968750e-01> : tensor<1x1xf32>
// CHECK-DAG: %[[W1:.+]] = arith.constant dense<{{\[\[true, false, false, true\], \[false, false, false, true\]\]}}> : tensor<2x4xi1>
// CHECK-DAG: pquant.binary_linear %[[Q]], %[[S]] planes(%[[W1]]) scales(%[[S1]])
// CHECK-DAG: %[[W2:.+]] = arith.constant dense<{{\[\[127, -3, 5, 0\], \[12, 1, -1, -127\]\]}}> : tensor<2x4xi8>
// CHECK-DAG: %[[S2:.+]] = arith.constant dense<7.812500e-03> : tensor<1xf32>
// CHECK-DAG: pquant.int8_linear %[[Q]], %[[S]], %[[W2]], %[[S2]]
func.func @one_op_per_operator(%x: tensor<1x3x4xf32>) -> tensor<1x3x2xf32> {
  %v1 = tensor.empty() : tensor<1x3x4xf32>
  %v2 = linalg.generic {indexing_maps = [#m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x : tensor<1x3x4xf32>)
    outs(%v1 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %o: f32):
    %r = math.absf %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v3 = arith.constant 0xFF800000 : f32
  %v4 = tensor.empty() : tensor<1x3xf32>
  %v5 = linalg.fill ins(%v3 : f32) outs(%v4 : tensor<1x3xf32>) -> tensor<1x3xf32>
  %v6 = linalg.generic {indexing_maps = [#m0, #m1],
    iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%v2 : tensor<1x3x4xf32>)
    outs(%v5 : tensor<1x3xf32>) {
^bb0(%in: f32, %o: f32):
  %r = arith.maximumf %o, %in : f32
  linalg.yield %r : f32
} -> tensor<1x3xf32>
  %v7 = tensor.expand_shape %v6 [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
  %v8 = arith.constant dense<9.999999747378752e-06> : tensor<f32>
  %v9 = tensor.empty() : tensor<1x3x1xf32>
  %v10 = linalg.generic {indexing_maps = [#m0, #m2, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v7, %v8 : tensor<1x3x1xf32>, tensor<f32>)
    outs(%v9 : tensor<1x3x1xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %m = arith.maximumf %a0, %a1 : f32
    linalg.yield %m : f32
  } -> tensor<1x3x1xf32>
  %v11 = arith.constant dense<127.0> : tensor<f32>
  %v12 = tensor.empty() : tensor<1x3x1xf32>
  %v13 = linalg.generic {indexing_maps = [#m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v10 : tensor<1x3x1xf32>)
    outs(%v12 : tensor<1x3x1xf32>) {
^bb0(%a0: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %r = arith.divf %one, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x1xf32>
  %v14 = tensor.empty() : tensor<1x3x1xf32>
  %v15 = linalg.generic {indexing_maps = [#m0, #m2, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v13, %v11 : tensor<1x3x1xf32>, tensor<f32>)
    outs(%v14 : tensor<1x3x1xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.mulf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x1xf32>
  %v16 = tensor.empty() : tensor<1x3x4xf32>
  %v17 = linalg.generic {indexing_maps = [#m0, #m3, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x, %v15 : tensor<1x3x4xf32>, tensor<1x3x1xf32>)
    outs(%v16 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.mulf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v18 = tensor.empty() : tensor<1x3x4xf32>
  %v19 = linalg.generic {indexing_maps = [#m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v17 : tensor<1x3x4xf32>)
    outs(%v18 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %o: f32):
    %r = math.roundeven %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v20 = arith.constant dense<-128.0> : tensor<f32>
  %v21 = tensor.empty() : tensor<1x3x4xf32>
  %v22 = linalg.generic {indexing_maps = [#m0, #m2, #m2, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v19, %v20, %v11 : tensor<1x3x4xf32>, tensor<f32>, tensor<f32>)
    outs(%v21 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %a1: f32, %a2: f32, %o: f32):
    %m = arith.maximumf %a0, %a1 : f32
    %n = arith.minimumf %m, %a2 : f32
    linalg.yield %n : f32
  } -> tensor<1x3x4xf32>
  %v23 = tensor.empty() : tensor<1x3x4xf32>
  %v24 = linalg.generic {indexing_maps = [#m0, #m3, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v22, %v15 : tensor<1x3x4xf32>, tensor<1x3x1xf32>)
    outs(%v23 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v25 = tensor.empty() : tensor<1x3x4xf32>
  %v26 = linalg.generic {indexing_maps = [#m0, #m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v24, %x : tensor<1x3x4xf32>, tensor<1x3x4xf32>)
    outs(%v25 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v27 = tensor.empty() : tensor<1x3x4xf32>
  %v28 = linalg.generic {indexing_maps = [#m0, #m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x, %v26 : tensor<1x3x4xf32>, tensor<1x3x4xf32>)
    outs(%v27 : tensor<1x3x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x4xf32>
  %v29 = arith.constant dense<[[0.8999999761581421, -0.5, 0.25, 0.75], [-0.125, -0.75, 0.25, 1.25]]> : tensor<2x4xf32>
  %v30 = arith.constant 0.0 : f32
  %v31 = tensor.empty() : tensor<f32>
  %v32 = linalg.fill ins(%v30 : f32) outs(%v31 : tensor<f32>) -> tensor<f32>
  %v33 = linalg.generic {indexing_maps = [#m4, #m5],
    iterator_types = ["reduction", "reduction"]}
    ins(%v29 : tensor<2x4xf32>)
    outs(%v32 : tensor<f32>) {
^bb0(%in: f32, %o: f32):
  %r = arith.addf %o, %in : f32
  linalg.yield %r : f32
} -> tensor<f32>
  %v34 = arith.constant dense<8.0> : tensor<f32>
  %v35 = tensor.empty() : tensor<f32>
  %v36 = linalg.generic {indexing_maps = [#m6, #m6, #m6],
    iterator_types = []}
    ins(%v33, %v34 : tensor<f32>, tensor<f32>)
    outs(%v35 : tensor<f32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<f32>
  %v37 = tensor.empty() : tensor<2x4xf32>
  %v38 = linalg.generic {indexing_maps = [#m4, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v29 : tensor<2x4xf32>)
    outs(%v37 : tensor<2x4xf32>) {
^bb0(%a0: f32, %o: f32):
    %r = math.absf %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v39 = arith.constant 0.0 : f32
  %v40 = tensor.empty() : tensor<f32>
  %v41 = linalg.fill ins(%v39 : f32) outs(%v40 : tensor<f32>) -> tensor<f32>
  %v42 = linalg.generic {indexing_maps = [#m4, #m5],
    iterator_types = ["reduction", "reduction"]}
    ins(%v38 : tensor<2x4xf32>)
    outs(%v41 : tensor<f32>) {
^bb0(%in: f32, %o: f32):
  %r = arith.addf %o, %in : f32
  linalg.yield %r : f32
} -> tensor<f32>
  %v43 = arith.constant dense<8.0> : tensor<f32>
  %v44 = tensor.empty() : tensor<f32>
  %v45 = linalg.generic {indexing_maps = [#m6, #m6, #m6],
    iterator_types = []}
    ins(%v42, %v43 : tensor<f32>, tensor<f32>)
    outs(%v44 : tensor<f32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<f32>
  %v46 = tensor.empty() : tensor<2x4xf32>
  %v47 = linalg.generic {indexing_maps = [#m4, #m5, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v29, %v36 : tensor<2x4xf32>, tensor<f32>)
    outs(%v46 : tensor<2x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v48 = arith.constant dense<0.0> : tensor<f32>
  %v49 = tensor.empty() : tensor<2x4xi1>
  %v50 = linalg.generic {indexing_maps = [#m4, #m5, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v47, %v48 : tensor<2x4xf32>, tensor<f32>)
    outs(%v49 : tensor<2x4xi1>) {
^bb0(%a0: f32, %a1: f32, %o: i1):
    %r = arith.cmpf ogt, %a0, %a1 : f32
    linalg.yield %r : i1
  } -> tensor<2x4xi1>
  %v51 = arith.constant dense<1.0> : tensor<f32>
  %v52 = arith.constant dense<-1.0> : tensor<f32>
  %v53 = tensor.empty() : tensor<2x4xf32>
  %v54 = linalg.generic {indexing_maps = [#m4, #m5, #m5, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v50, %v51, %v52 : tensor<2x4xi1>, tensor<f32>, tensor<f32>)
    outs(%v53 : tensor<2x4xf32>) {
^bb0(%a0: i1, %a1: f32, %a2: f32, %o: f32):
    %r = arith.select %a0, %a1, %a2 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v55 = tensor.empty() : tensor<2x4xf32>
  %v56 = linalg.generic {indexing_maps = [#m4, #m5, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v54, %v45 : tensor<2x4xf32>, tensor<f32>)
    outs(%v55 : tensor<2x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.mulf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v57 = tensor.empty() : tensor<2x4xf32>
  %v58 = linalg.generic {indexing_maps = [#m4, #m4, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v56, %v29 : tensor<2x4xf32>, tensor<2x4xf32>)
    outs(%v57 : tensor<2x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v59 = tensor.empty() : tensor<2x4xf32>
  %v60 = linalg.generic {indexing_maps = [#m4, #m4, #m4],
    iterator_types = ["parallel", "parallel"]}
    ins(%v29, %v58 : tensor<2x4xf32>, tensor<2x4xf32>)
    outs(%v59 : tensor<2x4xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4xf32>
  %v61 = tensor.empty() : tensor<4x2xf32>
  %v62 = linalg.transpose
    ins(%v60 : tensor<2x4xf32>)
    outs(%v61 : tensor<4x2xf32>) permutation = [1, 0]
  %v63 = arith.constant 0.0 : f32
  %v64 = tensor.empty() : tensor<1x3x2xf32>
  %v65 = linalg.fill ins(%v63 : f32) outs(%v64 : tensor<1x3x2xf32>) -> tensor<1x3x2xf32>
  %v66 = linalg.generic {indexing_maps = [#m7, #m8, #m9],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
    ins(%v28, %v62 : tensor<1x3x4xf32>, tensor<4x2xf32>)
    outs(%v65 : tensor<1x3x2xf32>) {
^bb0(%a: f32, %b: f32, %o: f32):
  %p = arith.mulf %a, %b : f32
  %q = arith.addf %o, %p : f32
  linalg.yield %q : f32
} -> tensor<1x3x2xf32> loc("q_proj")
  %v67 = arith.constant dense<[[0.9921875, 0.09375], [-0.0234375, 0.0078125], [0.0390625, -0.0078125], [0.0, -0.9921875]]> : tensor<4x2xf32>
  %v68 = arith.constant 0.0 : f32
  %v69 = tensor.empty() : tensor<1x3x2xf32>
  %v70 = linalg.fill ins(%v68 : f32) outs(%v69 : tensor<1x3x2xf32>) -> tensor<1x3x2xf32>
  %v71 = linalg.generic {indexing_maps = [#m7, #m8, #m9],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
    ins(%v28, %v67 : tensor<1x3x4xf32>, tensor<4x2xf32>)
    outs(%v70 : tensor<1x3x2xf32>) {
^bb0(%a: f32, %b: f32, %o: f32):
  %p = arith.mulf %a, %b : f32
  %q = arith.addf %o, %p : f32
  linalg.yield %q : f32
} -> tensor<1x3x2xf32> loc("k_proj")
  %v72 = tensor.empty() : tensor<1x3x2xf32>
  %v73 = linalg.generic {indexing_maps = [#m0, #m0, #m0],
    iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%v66, %v71 : tensor<1x3x2xf32>, tensor<1x3x2xf32>)
    outs(%v72 : tensor<1x3x2xf32>) {
^bb0(%a0: f32, %a1: f32, %o: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x3x2xf32>
  return %v73 : tensor<1x3x2xf32>
}
