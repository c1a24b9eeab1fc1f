// RUN: pquant-opt %s --pquant-linalg-to-loops --canonicalize -split-input-file | FileCheck %s

// The right operand is contiguous in n, so n is innermost: m, k, n. Products and
// sums may be reassociated and contracted. A row is 8 * 16 multiplications, and
// 128 rows are worth a thread.

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func.func @columns_contiguous(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: memref<4x8xf32>, %[[B:[a-z0-9]+]]: memref<8x16xf32>, %[[Y:[a-z0-9]+]]: memref<4x16xf32>)
// CHECK-DAG:     %[[C0:.+]] = arith.constant 0 : index
// CHECK-DAG:     %[[C4:.+]] = arith.constant 4 : index
// CHECK-DAG:     %[[C8:.+]] = arith.constant 8 : index
// CHECK-DAG:     %[[C16:.+]] = arith.constant 16 : index
// CHECK-DAG:     %[[GRAIN:.+]] = arith.constant 128 : index
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %[[C4]] grain %[[GRAIN]]
// CHECK-NEXT:      scf.for %[[M:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-NEXT:        scf.for %[[K:.+]] = %[[C0]] to %[[C8]]
// CHECK-NEXT:          scf.for %[[N:.+]] = %[[C0]] to %[[C16]]
// CHECK-NEXT:            %[[LHS:.+]] = memref.load %[[A]][%[[M]], %[[K]]]
// CHECK-NEXT:            %[[RHS:.+]] = memref.load %[[B]][%[[K]], %[[N]]]
// CHECK-NEXT:            %[[ACC:.+]] = memref.load %[[Y]][%[[M]], %[[N]]]
// CHECK-NEXT:            %[[P:.+]] = arith.mulf %[[LHS]], %[[RHS]] fastmath<reassoc,contract>
// CHECK-NEXT:            %[[S:.+]] = arith.addf %[[ACC]], %[[P]] fastmath<reassoc,contract>
// CHECK-NEXT:            memref.store %[[S]], %[[Y]][%[[M]], %[[N]]]
// CHECK-NOT:     linalg
func.func @columns_contiguous(%a: memref<4x8xf32>, %b: memref<8x16xf32>, %y: memref<4x16xf32>) {
  linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x8xf32>, memref<8x16xf32>) outs(%y : memref<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    %r = arith.addf %o, %m : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Of a batch, the threads share the outer loops; the innermost parallel one, m
// here, is theirs.

#bmk = affine_map<(b, m, n, k) -> (b, m, k)>
#bkn = affine_map<(b, m, n, k) -> (b, k, n)>
#bmn = affine_map<(b, m, n, k) -> (b, m, n)>
// CHECK-LABEL: func.func @batch(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: memref<3x4x8xf32>
// CHECK-DAG:     %[[C4:.+]] = arith.constant 4 : index
// CHECK-DAG:     %[[C3:.+]] = arith.constant 3 : index
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %[[C3]] grain
// CHECK-NEXT:      scf.for %[[B:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-NEXT:        scf.for %[[M:.+]] = %{{.+}} to %[[C4]]
// CHECK-NEXT:          scf.for %[[K:.+]] =
// CHECK-NEXT:            scf.for %[[N:.+]] =
// CHECK-NEXT:              memref.load %[[A]][%[[B]], %[[M]], %[[K]]]
func.func @batch(%a: memref<3x4x8xf32>, %b: memref<3x8x16xf32>, %y: memref<3x4x16xf32>) {
  linalg.generic {indexing_maps = [#bmk, #bkn, #bmn], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<3x4x8xf32>, memref<3x8x16xf32>) outs(%y : memref<3x4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    %r = arith.addf %o, %m : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Near miss: the right operand is contiguous in k, so the order stays m, n, k.
// One row has 16 * 8 innermost iterations: 128 rows are worth a thread.

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func.func @rows_contiguous(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: memref<4x8xf32>, %[[B:[a-z0-9]+]]: memref<16x8xf32>, %[[Y:[a-z0-9]+]]: memref<4x16xf32>)
// CHECK-DAG:     %[[C128:.+]] = arith.constant 128 : index
// CHECK:         pqk.parallel (%{{.+}}, %{{.+}}) in %{{.+}} grain %[[C128]]
// CHECK-NEXT:      scf.for %[[M:.+]] =
// CHECK-NEXT:        scf.for %[[N:.+]] =
// CHECK-NEXT:          scf.for %[[K:.+]] =
// CHECK-NEXT:            memref.load %[[A]][%[[M]], %[[K]]]
// CHECK-NEXT:            memref.load %[[B]][%[[N]], %[[K]]]
// CHECK-NEXT:            memref.load %[[Y]][%[[M]], %[[N]]]
func.func @rows_contiguous(%a: memref<4x8xf32>, %b: memref<16x8xf32>, %y: memref<4x16xf32>) {
  linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x8xf32>, memref<16x8xf32>) outs(%y : memref<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    %r = arith.addf %o, %m : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Integers are exact in any order and take no flags.

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func.func @integers(
// CHECK:         arith.muli
// CHECK:         arith.addi
// CHECK-NOT:     fastmath
func.func @integers(%a: memref<4x8xi32>, %b: memref<16x8xi32>, %y: memref<4x16xi32>) {
  linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x8xi32>, memref<16x8xi32>) outs(%y : memref<4x16xi32>) {
  ^bb0(%p: i32, %q: i32, %o: i32):
    %m = arith.muli %p, %q : i32
    %r = arith.addi %o, %m : i32
    linalg.yield %r : i32
  }
  return
}

// -----

// No product: a row reduction with an operand for each row keeps its order.

#xk = affine_map<(i, k) -> (i, k)>
#row = affine_map<(i, k) -> (i)>
// CHECK-LABEL: func.func @row_reduction(
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %{{.+}} grain
// CHECK-NEXT:      scf.for %[[I:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-NEXT:        scf.for %[[K:.+]] = %{{.+}} to
// CHECK-NEXT:          memref.load %arg0[%[[I]], %[[K]]]
func.func @row_reduction(%x: memref<?x?xf32>, %mean: memref<?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [#xk, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x, %mean : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %d = arith.subf %p, %q : f32
    %r = arith.addf %o, %d : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Nor without m: threads share n, not k.

#k = affine_map<(n, k) -> (k)>
#kn = affine_map<(n, k) -> (k, n)>
#n = affine_map<(n, k) -> (n)>
// CHECK-LABEL: func.func @one_row(
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %{{.+}} grain
// CHECK-NEXT:      scf.for %[[N:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-NEXT:        scf.for %[[K:.+]] = %{{.+}} to
// CHECK-NEXT:          memref.load %arg0[%[[K]]]
func.func @one_row(%x: memref<8xf32>, %w: memref<8x16xf32>, %y: memref<16xf32>) {
  linalg.generic {indexing_maps = [#k, #kn, #n], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : memref<8xf32>, memref<8x16xf32>) outs(%y : memref<16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    %r = arith.addf %o, %m : f32
    linalg.yield %r : f32
  }
  return
}
