// RUN: pquant-opt %s --pquant-linalg-to-loops --canonicalize -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-linalg-to-loops=grain-work=64 --canonicalize -split-input-file | FileCheck %s --check-prefix=OPTION

// Rows go to threads, as many at once as have 16384 elements or what the option
// says; a row of none counts as one element.

#id = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func.func @elementwise(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<?x?xf32>, %[[Y:[a-z0-9]+]]: memref<?x?xf32>)
// CHECK-DAG:     %[[WORK:.+]] = arith.constant 16384 : index
// CHECK-DAG:     %[[C0:.+]] = arith.constant 0 : index
// CHECK-DAG:     %[[C1:.+]] = arith.constant 1 : index
// CHECK-DAG:     %[[ROWS:.+]] = memref.dim %[[X]], %[[C0]]
// CHECK-DAG:     %[[COLUMNS:.+]] = memref.dim %[[X]], %[[C1]]
// CHECK:         %[[ROW:.+]] = arith.maxui %[[COLUMNS]], %[[C1]]
// CHECK:         %[[GRAIN:.+]] = arith.ceildivui %[[WORK]], %[[ROW]]
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %[[ROWS]] grain %[[GRAIN]]
// CHECK-NEXT:      scf.for %[[I:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-NEXT:        scf.for %[[J:.+]] = %[[C0]] to %[[COLUMNS]]
// CHECK-NEXT:          %[[V:.+]] = memref.load %[[X]][%[[I]], %[[J]]]
// CHECK-NEXT:          %[[S:.+]] = arith.addf %[[V]], %[[V]] : f32
// CHECK-NEXT:          memref.store %[[S]], %[[Y]][%[[I]], %[[J]]]
// OPTION-LABEL: func.func @elementwise(
// OPTION:         %[[WORK:.+]] = arith.constant 64 : index
// OPTION:         arith.ceildivui %[[WORK]],
func.func @elementwise(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Of three loops, two are one range: the index of it is taken apart. A range of
// the default is larger than the whole, and one of 64 elements is 13 rows of 5.

#id3 = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @three_loops(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<2x3x5xf32>
// CHECK-DAG:     %[[C6:.+]] = arith.constant 6 : index
// CHECK-DAG:     %[[C3:.+]] = arith.constant 3 : index
// CHECK-DAG:     %[[C5:.+]] = arith.constant 5 : index
// CHECK-DAG:     %[[GRAIN:.+]] = arith.constant 3277 : index
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %[[C6]] grain %[[GRAIN]]
// CHECK-NEXT:      scf.for %[[L:.+]] = %[[BEGIN]] to %[[END]]
// CHECK-DAG:         %[[J:.+]] = arith.remui %[[L]], %[[C3]]
// CHECK-DAG:         %[[I:.+]] = arith.divui %[[L]], %[[C3]]
// CHECK:             scf.for %[[K:.+]] = %{{.+}} to %[[C5]]
// CHECK-NEXT:          memref.load %[[X]][%[[I]], %[[J]], %[[K]]]
// OPTION-LABEL: func.func @three_loops(
// OPTION-DAG:     %[[GRAIN:.+]] = arith.constant 13 : index
// OPTION:         pqk.parallel (%{{.+}}, %{{.+}}) in %{{.+}} grain %[[GRAIN]]
func.func @three_loops(%x: memref<2x3x5xf32>, %y: memref<2x3x5xf32>) {
  linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : memref<2x3x5xf32>) outs(%y : memref<2x3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A sum of rows is in the range of its row and counts as work: 64 / 32 rows. Its
// additions may be reassociated; what is no sum or product takes no flags.

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @sum_of_rows(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<4x32xf32>, %[[Y:[a-z0-9]+]]: memref<4xf32>)
// CHECK:         pqk.parallel
// CHECK-NEXT:      scf.for %[[I:.+]] =
// CHECK-NEXT:        scf.for %[[K:.+]] =
// CHECK-NEXT:          %[[V:.+]] = memref.load %[[X]][%[[I]], %[[K]]]
// CHECK-NEXT:          %[[ACC:.+]] = memref.load %[[Y]][%[[I]]]
// CHECK-NEXT:          %[[D:.+]] = arith.divf %[[V]], %[[V]] : f32
// CHECK-NEXT:          %[[S:.+]] = arith.addf %[[ACC]], %[[D]] fastmath<reassoc,contract> : f32
// CHECK-NEXT:          memref.store %[[S]], %[[Y]][%[[I]]]
// OPTION-LABEL: func.func @sum_of_rows(
// OPTION-DAG:     %[[GRAIN:.+]] = arith.constant 2 : index
// OPTION:         pqk.parallel (%{{.+}}, %{{.+}}) in %{{.+}} grain %[[GRAIN]]
func.func @sum_of_rows(%x: memref<4x32xf32>, %y: memref<4xf32>) {
  linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<4x32xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %d = arith.divf %a, %a : f32
    %r = arith.addf %o, %d : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Of a batch of one, a reduction shares the rows: its own loop is the one for
// vectors.

// CHECK-LABEL: func.func @sum_of_rows_of_one(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<1x4x32xf32>, %[[Y:[a-z0-9]+]]: memref<1x4xf32>)
// CHECK-DAG:     %[[C4:.+]] = arith.constant 4 : index
// CHECK:         pqk.parallel (%[[BEGIN:.+]], %[[END:.+]]) in %[[C4]] grain
// CHECK-NEXT:      scf.for %[[I:.+]] = %[[BEGIN]] to %[[END]]
// CHECK:             scf.for %[[K:.+]] =
// CHECK-NEXT:          memref.load %[[X]][%{{.+}}, %{{.+}}, %[[K]]]
func.func @sum_of_rows_of_one(%x: memref<1x4x32xf32>, %y: memref<1x4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(b, m, k) -> (b, m, k)>, affine_map<(b, m, k) -> (b, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x : memref<1x4x32xf32>) outs(%y : memref<1x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %o, %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A sum of everything has no parallel loop.

// CHECK-LABEL: func.func @sum_of_all(
// CHECK-NOT:     pqk.parallel
// CHECK:         scf.for
// CHECK:           arith.addf %{{.+}}, %{{.+}} fastmath<reassoc,contract> : f32
func.func @sum_of_all(%x: memref<4xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]}
      ins(%x : memref<4xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %o, %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Named ops, and loops around them.

// CHECK-LABEL: func.func @fill_in_loop(
// CHECK:         scf.for
// CHECK:           pqk.parallel
// CHECK-NOT:       pqk.parallel
// CHECK:           memref.store
// CHECK-NOT:     {{linalg|scf.parallel}}
func.func @fill_in_loop(%n: index, %y: memref<?xf32>, %v: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    linalg.fill ins(%v : f32) outs(%y : memref<?xf32>)
  }
  return
}

// -----

// Contiguous buffers are copied by memcpy, so their copy stays; others are copied
// element by element, whichever of the two is strided.

!strided = memref<4x8xf32, strided<[16, 1], offset: ?>>
// CHECK-LABEL: func.func @copies(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: memref<4x8xf32>, %[[B:[a-z0-9]+]]: memref<4x8xf32>, %[[S:[a-z0-9]+]]: memref<4x8xf32, strided{{[^%]+}}%[[T:[a-z0-9]+]]: memref<4x8xf32, strided
// CHECK:         memref.copy %[[A]], %[[B]]
// CHECK-NOT:     memref.copy
// CHECK:         %[[V:.+]] = memref.load %[[S]][%[[I:[a-z0-9]+]], %[[J:[a-z0-9]+]]]
// CHECK-NEXT:    memref.store %[[V]], %[[B]][%[[I]], %[[J]]]
// CHECK:         %[[V2:.+]] = memref.load %[[B]][%[[I:[a-z0-9]+]], %[[J:[a-z0-9]+]]]
// CHECK-NEXT:    memref.store %[[V2]], %[[T]][%[[I]], %[[J]]]
// CHECK-NOT:     memref.copy
func.func @copies(%a: memref<4x8xf32>, %b: memref<4x8xf32>, %s: !strided, %t: !strided) {
  memref.copy %a, %b : memref<4x8xf32> to memref<4x8xf32>
  memref.copy %s, %b : !strided to memref<4x8xf32>
  memref.copy %b, %t : memref<4x8xf32> to !strided
  return
}
