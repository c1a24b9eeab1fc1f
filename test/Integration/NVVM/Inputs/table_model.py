"""A step whose logits are a row of a table, by the token: `table_model.py > MODEL.mlir`. The rows are in sampling.py."""

import numpy as np
import sampling

rows, size = sampling.TABLE.shape
bits = ", ".join("[" + ", ".join(f"0x{bits:08X}" for bits in row) + "]" for row in sampling.TABLE.view(np.uint32))
print(
    f"""
#h = affine_map<(b, g, s, d) -> (b, g, s, d)>
#l = affine_map<(b, s, v) -> (b, s, v)>
func.func @main(%ids: tensor<1x?xi64> {{pquant.name = "ids", pquant.dims = [1, "n"]}},
                %k: tensor<1x1x?x4xf32> {{pquant.name = "k"}}, %v: tensor<1x1x?x4xf32> {{pquant.name = "v"}})
    -> (tensor<1x?x{size}xf32> {{pquant.name = "logits"}}, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %table = arith.constant dense<[{bits}]> : tensor<{rows}x{size}xf32>
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %he = tensor.empty(%s) : tensor<1x1x?x4xf32>
  %h = linalg.generic {{indexing_maps = [#h], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}}
      outs(%he : tensor<1x1x?x4xf32>) {{
  ^bb0(%out: f32):
    %i = linalg.index 2 : index
    %id = tensor.extract %ids[%c0, %i] : tensor<1x?xi64>
    %e = arith.sitofp %id : i64 to f32
    linalg.yield %e : f32
  }} -> tensor<1x1x?x4xf32>
  %k1 = tensor.concat dim(2) %k, %h : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %v1 = tensor.concat dim(2) %v, %h : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %y = pquant.attention %h, %k1, %v1 causal {{scale = 0.5 : f32}}
      : tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32> -> tensor<1x1x?x4xf32>
  %le = tensor.empty(%s) : tensor<1x?x{size}xf32>
  %logits = linalg.generic {{indexing_maps = [#l], iterator_types = ["parallel", "parallel", "parallel"]}}
      outs(%le : tensor<1x?x{size}xf32>) {{
  ^bb0(%out: f32):
    %i = linalg.index 1 : index
    %n = linalg.index 2 : index
    %id = tensor.extract %ids[%c0, %i] : tensor<1x?xi64>
    %row = arith.index_cast %id : i64 to index
    %e = tensor.extract %table[%row, %n] : tensor<{rows}x{size}xf32>
    %a = tensor.extract %y[%c0, %c0, %i, %c0] : tensor<1x1x?x4xf32>
    %is = arith.cmpf oeq, %a, %a : f32
    %x = arith.select %is, %e, %a : f32
    linalg.yield %x : f32
  }} -> tensor<1x?x{size}xf32>
  return %logits, %k1, %v1 : tensor<1x?x{size}xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>
}}"""
)
