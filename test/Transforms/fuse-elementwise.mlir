// RUN: pquant-opt %s --pquant-fuse-elementwise -split-input-file | FileCheck %s

// Maximum, exp(x - maximum), sum, quotient. The exponentials have two readers
// and stay a pass of their own.

// CHECK-LABEL: func.func @softmax(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<2x?xf32>
// CHECK-NOT:     linalg.softmax
// CHECK:         %[[MAX:.+]] = linalg.generic {{.*}}"parallel", "reduction"]} ins(%[[X]] : {{.*}}) outs(%{{.+}} : tensor<2xf32>)
// CHECK:           arith.maxnumf
// CHECK:         %[[EXP:.+]] = linalg.generic {{.*}} ins(%[[X]], %[[MAX]]
// CHECK:           %[[D:.+]] = arith.subf
// CHECK-NEXT:      math.exp %[[D]]
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}}"parallel", "reduction"]} ins(%[[EXP]]
// CHECK:           arith.addf
// CHECK:         %[[Y:.+]] = linalg.generic {{.*}} ins(%[[EXP]], %[[SUM]]
// CHECK:           arith.divf
// CHECK:         return %[[Y]]
func.func @softmax(%x: tensor<2x?xf32>, %d: index) -> tensor<2x?xf32> {
  %e = tensor.empty(%d) : tensor<2x?xf32>
  %y = linalg.softmax dimension(1) ins(%x : tensor<2x?xf32>) outs(%e : tensor<2x?xf32>) -> tensor<2x?xf32>
  return %y : tensor<2x?xf32>
}

// -----

// CHECK-LABEL: func.func @concat(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: tensor<2x?xf32>, %[[B:[a-z0-9]+]]: tensor<2x3xf32>
// CHECK-NOT:     tensor.concat
// CHECK:         %[[D:.+]] = tensor.dim %[[A]],
// CHECK:         %[[T:.+]] = tensor.insert_slice %[[A]] into %{{.+}}[0, 0] [2, %[[D]]] [1, 1]
// CHECK:         %[[Y:.+]] = tensor.insert_slice %[[B]] into %[[T]][0, %[[D]]] [2, 3] [1, 1]
// CHECK:         return %[[Y]]
func.func @concat(%a: tensor<2x?xf32>, %b: tensor<2x3xf32>) -> tensor<2x?xf32> {
  %y = tensor.concat dim(1) %a, %b : (tensor<2x?xf32>, tensor<2x3xf32>) -> tensor<2x?xf32>
  return %y : tensor<2x?xf32>
}

// -----

// The exponent comes as a tensor of one element, as the frontend writes it.

#id = affine_map<(d0) -> (d0)>
#scalar = affine_map<(d0) -> ()>
// CHECK-LABEL: func.func @square(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<4xf32>)
// CHECK:         linalg.generic {{.*}} ins(%[[X]] : tensor<4xf32>)
// CHECK-NEXT:    ^bb0(%[[IN:.+]]: f32, %{{.+}}: f32):
// CHECK-NEXT:      %[[SQUARE:.+]] = arith.mulf %[[IN]], %[[IN]]
// CHECK-NEXT:      linalg.yield %[[SQUARE]]
func.func @square(%x: tensor<4xf32>) -> tensor<4xf32> {
  %two = arith.constant dense<2.0> : tensor<f32>
  %e = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [#id, #scalar, #id], iterator_types = ["parallel"]}
      ins(%x, %two : tensor<4xf32>, tensor<f32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = math.powf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @powers(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: f32)
// CHECK:         %[[SQUARE:.+]] = arith.mulf %[[X]], %[[X]]
// CHECK-NEXT:    %[[CUBE:.+]] = arith.mulf %[[X]], %[[SQUARE]]
// CHECK-NEXT:    %[[ROOT:.+]] = math.sqrt %[[X]]
// CHECK-NEXT:    return %[[CUBE]], %[[ROOT]]
func.func @powers(%x: f32) -> (f32, f32) {
  %three = arith.constant 3.0 : f32
  %half = arith.constant 0.5 : f32
  %0 = math.powf %x, %three : f32
  %1 = math.powf %x, %half : f32
  return %0, %1 : f32, f32
}

// Near misses: an exponent that is large, and one that is no constant.

// CHECK-LABEL: func.func @powers_stay(
// CHECK-COUNT-2: math.powf
// CHECK-NOT:     arith.mulf
func.func @powers_stay(%x: f32, %y: f32) -> (f32, f32) {
  %seven = arith.constant 7.0 : f32
  %0 = math.powf %x, %seven : f32
  %1 = math.powf %x, %y : f32
  return %0, %1 : f32, f32
}

// -----

// Named ops fuse as well; a user may read in another order.

#id = affine_map<(d0, d1) -> (d0, d1)>
#transposed = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG:   #[[$ID:.+]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG:   #[[$TRANSPOSED:.+]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-LABEL: func.func @chain(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: tensor<4x8xf32>, %[[B:[a-z0-9]+]]: tensor<4x8xf32>, %[[C:[a-z0-9]+]]: tensor<8x4xf32>
// CHECK:         %[[Y:.+]] = linalg.generic {indexing_maps = [#[[$ID]], #[[$ID]], #[[$TRANSPOSED]], #[[$ID]]]
// CHECK-SAME:      ins(%[[A]], %[[B]], %[[C]]
// CHECK-NEXT:    ^bb0(%[[IA:.+]]: f32, %[[IB:.+]]: f32, %[[IC:.+]]: f32, %{{.+}}: f32):
// CHECK-NEXT:      %[[SUM:.+]] = arith.addf %[[IA]], %[[IB]]
// CHECK-NEXT:      %[[PRODUCT:.+]] = arith.mulf %[[SUM]], %[[IC]]
// CHECK-NEXT:      linalg.yield %[[PRODUCT]]
// CHECK:         return %[[Y]]
func.func @chain(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>, %c: tensor<8x4xf32>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %et = tensor.empty() : tensor<8x4xf32>
  %0 = linalg.add ins(%a, %b : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = linalg.transpose ins(%0 : tensor<4x8xf32>) outs(%et : tensor<8x4xf32>) permutation = [1, 0]
  %2 = linalg.generic {indexing_maps = [#transposed, #transposed, #id], iterator_types = ["parallel", "parallel"]}
      ins(%1, %c : tensor<8x4xf32>, tensor<8x4xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.mulf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// A reduction over rows reads each element once, so the squares go into it.

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @into_reduction(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: tensor<4x8xf32>,
// CHECK:         linalg.generic {{.*}}["parallel", "reduction"]} ins(%[[A]]
// CHECK-NEXT:    ^bb0(%[[IN:.+]]: f32, %[[ACC:.+]]: f32):
// CHECK-NEXT:      %[[SQUARE:.+]] = arith.mulf %[[IN]], %[[IN]]
// CHECK-NEXT:      arith.addf %[[ACC]], %[[SQUARE]]
// CHECK-NOT:     linalg.generic
func.func @into_reduction(%a: tensor<4x8xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = linalg.square ins(%a : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%0 : tensor<4x8xf32>) outs(%z : tensor<4xf32>) {
  ^bb0(%p: f32, %o: f32):
    %r = arith.addf %o, %p : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Near miss: each exponential is read by 8 columns.

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @broadcast_stays(
// CHECK:         %[[EXP:.+]] = linalg.generic {{.*}} ins(%{{.+}} : tensor<4xf32>)
// CHECK:           math.exp
// CHECK:         linalg.generic {{.*}} ins(%[[EXP]], %{{.+}} : tensor<4xf32>, tensor<4x8xf32>)
// CHECK-NOT:       math.exp
// CHECK:           arith.mulf
func.func @broadcast_stays(%a: tensor<4xf32>, %b: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %e1 = tensor.empty() : tensor<4xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = linalg.exp ins(%a : tensor<4xf32>) outs(%e1 : tensor<4xf32>) -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#row, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %b : tensor<4xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.mulf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// Near miss: a matrix product reads each exponential 5 times; a product is no
// elementwise op, so nothing after it goes into it either.

// CHECK-LABEL: func.func @product_stays(
// CHECK:         %[[EXP:.+]] = linalg.generic {{.*}} ins(%{{.+}} : tensor<4x8xf32>)
// CHECK:           math.exp
// CHECK:         %[[PRODUCT:.+]] = linalg.generic {{.*}} ins(%[[EXP]], %{{.+}} : tensor<4x8xf32>, tensor<8x5xf32>)
// CHECK:         linalg.generic {{.*}} ins(%[[PRODUCT]]
// CHECK:           math.tanh
func.func @product_stays(%a: tensor<4x8xf32>, %w: tensor<8x5xf32>, %z: tensor<4x5xf32>) -> tensor<4x5xf32> {
  %e1 = tensor.empty() : tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x5xf32>
  %0 = linalg.exp ins(%a : tensor<4x8xf32>) outs(%e1 : tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = linalg.matmul ins(%0, %w : tensor<4x8xf32>, tensor<8x5xf32>) outs(%z : tensor<4x5xf32>) -> tensor<4x5xf32>
  %2 = linalg.tanh ins(%1 : tensor<4x5xf32>) outs(%e : tensor<4x5xf32>) -> tensor<4x5xf32>
  return %2 : tensor<4x5xf32>
}

// Near miss: two users.

// CHECK-LABEL: func.func @two_users_stay(
// CHECK:         %[[EXP:.+]] = linalg.generic
// CHECK:         linalg.generic {{.*}} ins(%[[EXP]]
// CHECK:         linalg.generic {{.*}} ins(%[[EXP]]
func.func @two_users_stay(%a: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.exp ins(%a : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %1 = linalg.tanh ins(%0 : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %2 = linalg.sqrt ins(%0 : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %1, %2 : tensor<4xf32>, tensor<4xf32>
}

// -----

// Constant sizes become part of the type; a size of a source whose own size is open stays so.
// CHECK-LABEL: func.func @expand(
// CHECK-SAME:    %[[X:.+]]: tensor<?x8xf32>, %[[N:.+]]: index
// CHECK:         %[[A:.+]] = tensor.expand_shape %[[X]] {{\[\[}}0, 1], [2]] output_shape [1, %[[N]], 8] : tensor<?x8xf32> into tensor<1x?x8xf32>
// CHECK:         %[[B:.+]] = tensor.cast %[[A]] : tensor<1x?x8xf32> to tensor<?x?x8xf32>
// CHECK:         %[[C:.+]] = tensor.expand_shape %[[X]] {{\[\[}}0], [1, 2]] output_shape [%c1, 2, 4] : tensor<?x8xf32> into tensor<?x2x4xf32>
// CHECK:         %[[D:.+]] = tensor.expand_shape %[[X]] {{.*}} into tensor<?x?x8xf32>
// CHECK:         return %[[B]], %[[C]], %[[D]]
func.func @expand(%x: tensor<?x8xf32>, %n: index) -> (tensor<?x?x8xf32>, tensor<?x2x4xf32>, tensor<?x?x8xf32>) {
  %c1 = arith.constant 1 : index
  %negative = arith.constant -1 : index
  %a = tensor.expand_shape %x [[0, 1], [2]] output_shape [%c1, %n, 8] : tensor<?x8xf32> into tensor<?x?x8xf32>
  %b = tensor.expand_shape %x [[0], [1, 2]] output_shape [%c1, 2, 4] : tensor<?x8xf32> into tensor<?x2x4xf32>
  %d = tensor.expand_shape %x [[0, 1], [2]] output_shape [%negative, %n, 8] : tensor<?x8xf32> into tensor<?x?x8xf32>
  return %a, %b, %d : tensor<?x?x8xf32>, tensor<?x2x4xf32>, tensor<?x?x8xf32>
}
