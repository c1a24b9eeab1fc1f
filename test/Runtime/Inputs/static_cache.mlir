// A layer of attention over a static cache of 8 positions, as a frontend writes it.
#h = affine_map<(b, g, s, d) -> (b, g, s, d)>
#at = affine_map<(b, z, s, t) -> (s)>
#y = affine_map<(s, v, g, d) -> (0, g, s, d)>
#l = affine_map<(s, v, g, d) -> (0, s, v)>
func.func @main(%ids: tensor<1x?xi64> {pquant.name = "ids", pquant.dims = [1, "n"]},
                %pos: tensor<?xi64> {pquant.name = "cache_position", pquant.dims = ["n"]},
                %k: tensor<1x2x8x4xf32> {pquant.name = "k"}, %v: tensor<1x2x8x4xf32> {pquant.name = "v"})
    -> (tensor<1x?x16xf32> {pquant.name = "logits"}, tensor<1x2x8x4xf32> {pquant.name = "k.next"},
        tensor<1x2x8x4xf32> {pquant.name = "v.next"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %table = arith.constant dense<[
[0.13, -0.13, 0.64, 0.10, -0.54, 0.36, 1.30, 0.95], [-0.70, -1.27, -0.62, 0.04, -2.33, -0.22, -1.25,
-0.73], [-0.54, -0.32, 0.41, 1.04, -0.13, 1.37, -0.67, 0.35], [0.90, 0.09, -0.74, -0.92, -0.46,
0.22, -1.01, -0.21], [-0.16, 0.54, 0.21, 0.36, -0.65, -0.13, 0.78, 1.49], [-1.26, 1.51, 1.35, 0.78,
0.26, -0.31, 1.46, 1.96], [1.80, 1.32, 0.36, -1.21, -0.00, 0.66, -1.29, 0.40], [0.43, 0.70, -1.18,
-0.66, -0.44, -1.17, 1.74, -0.50], [0.33, -0.26, 1.58, 1.32, 0.63, -2.20, 0.05, 0.68], [1.00, -0.62,
1.82, -1.32, -0.66, 0.94, 0.05, 2.00], [0.19, -0.63, -0.38, -1.09, -1.28, 0.63, 0.58, 1.29], [-0.75,
1.69, -0.29, 1.57, -0.43, -0.74, 0.25, 1.03], [0.16, -0.59, -1.34, -1.40, 0.50, 0.99, -0.16, -1.07],
[0.87, -1.28, -0.71, 0.62, -2.25, 0.39, -0.58, 0.11], [-0.08, 0.20, 0.69, -0.76, 1.42, 0.73, 0.84,
1.16], [0.79, 0.84, 0.08, -1.43, -0.14, -0.77, -1.42, 0.26]]> : tensor<16x8xf32>
  %s = tensor.dim %ids, %c1 : tensor<1x?xi64>
  %he = tensor.empty(%s) : tensor<1x2x?x4xf32>
  %h = linalg.generic {indexing_maps = [#h], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%he : tensor<1x2x?x4xf32>) {
  ^bb0(%out: f32):
    %g = linalg.index 1 : index
    %i = linalg.index 2 : index
    %d = linalg.index 3 : index
    %id = tensor.extract %ids[%c0, %i] : tensor<1x?xi64>
    %row = arith.index_cast %id : i64 to index
    %column = affine.apply affine_map<(g, d) -> (4 * g + d)>(%g, %d)
    %e = tensor.extract %table[%row, %column] : tensor<16x8xf32>
    linalg.yield %e : f32
  } -> tensor<1x2x?x4xf32>
  %k1 = scf.for %g = %c0 to %c2 step %c1 iter_args(%a = %k) -> (tensor<1x2x8x4xf32>) {
    %x = scf.for %i = %c0 to %s step %c1 iter_args(%b = %a) -> (tensor<1x2x8x4xf32>) {
      %y = scf.for %d = %c0 to %c4 step %c1 iter_args(%c = %b) -> (tensor<1x2x8x4xf32>) {
        %p = tensor.extract %pos[%i] : tensor<?xi64>
        %q = arith.index_cast %p : i64 to index
        %e = tensor.extract %h[%c0, %g, %i, %d] : tensor<1x2x?x4xf32>
        %n = tensor.insert %e into %c[%c0, %g, %q, %d] : tensor<1x2x8x4xf32>
        scf.yield %n : tensor<1x2x8x4xf32>
      }
      scf.yield %y : tensor<1x2x8x4xf32>
    }
    scf.yield %x : tensor<1x2x8x4xf32>
  }
  %v1 = scf.for %g = %c0 to %c2 step %c1 iter_args(%a = %v) -> (tensor<1x2x8x4xf32>) {
    %x = scf.for %i = %c0 to %s step %c1 iter_args(%b = %a) -> (tensor<1x2x8x4xf32>) {
      %y = scf.for %d = %c0 to %c4 step %c1 iter_args(%c = %b) -> (tensor<1x2x8x4xf32>) {
        %p = tensor.extract %pos[%i] : tensor<?xi64>
        %q = arith.index_cast %p : i64 to index
        %e = tensor.extract %h[%c0, %g, %i, %d] : tensor<1x2x?x4xf32>
        %n = tensor.insert %e into %c[%c0, %g, %q, %d] : tensor<1x2x8x4xf32>
        scf.yield %n : tensor<1x2x8x4xf32>
      }
      scf.yield %y : tensor<1x2x8x4xf32>
    }
    scf.yield %x : tensor<1x2x8x4xf32>
  }
  %me = tensor.empty(%s) : tensor<1x1x?x8xf32>
  %m = linalg.generic {indexing_maps = [#at, #h], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%pos : tensor<?xi64>) outs(%me : tensor<1x1x?x8xf32>) {
  ^bb0(%p: i64, %out: f32):
    %t = linalg.index 3 : index
    %ti = arith.index_cast %t : index to i64
    %visible = arith.cmpi sle, %ti, %p : i64
    %hidden = arith.constant 0xFF800000 : f32
    %w = arith.select %visible, %zero, %hidden : f32
    linalg.yield %w : f32
  } -> tensor<1x1x?x8xf32>
  %y = pquant.attention %h, %k1, %v1 mask(%m : tensor<1x1x?x8xf32>) {scale = 0.5 : f32}
      : tensor<1x2x?x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x?x4xf32>
  %le = tensor.empty(%s) : tensor<1x?x16xf32>
  %li = linalg.fill ins(%zero : f32) outs(%le : tensor<1x?x16xf32>) -> tensor<1x?x16xf32>
  %logits = linalg.generic {indexing_maps = [#y, #l], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%y : tensor<1x2x?x4xf32>) outs(%li : tensor<1x?x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %v2 = linalg.index 1 : index
    %g = linalg.index 2 : index
    %d = linalg.index 3 : index
    %column = affine.apply affine_map<(g, d) -> (4 * g + d)>(%g, %d)
    %e = tensor.extract %table[%v2, %column] : tensor<16x8xf32>
    %product = arith.mulf %in, %e : f32
    %sum = arith.addf %out, %product : f32
    linalg.yield %sum : f32
  } -> tensor<1x?x16xf32>
  return %logits, %k1, %v1 : tensor<1x?x16xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>
}
