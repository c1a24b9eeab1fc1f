// Ops on the same rows, however many, share a launch of a block for each row.

// RUN: pquant-opt %s --pquant-linalg-to-gpu --canonicalize --cse | FileCheck %s

#row = affine_map<(d0, d1) -> (d0, d1)>
#one = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
#rows = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#head = affine_map<(d0, d1, d2) -> (d1, d0, d2)>

// The block of 1024 threads loads its row once; what is only for the ops behind is not stored.
// CHECK-LABEL: func.func @norm
// CHECK-SAME:      %[[X:.+]]: memref<1x?x4096xf32>, %[[G:.+]]: memref<4096xf32>, %[[Q:[^:]+]]: {{.*}}, %[[ROWS:[^:]+]]: index)
// CHECK-NOT:     gpu.alloc
// CHECK:         gpu.launch blocks(%[[ROW:.+]], %{{.+}}, %{{.+}}) in (%{{.+}} = %[[ROWS]], %{{.+}} = %c1, {{.*}} threads({{.*}}) in (%{{.+}} = %c1024
// CHECK:           %[[OURS:.+]] = memref.subview %[[X]][0, %[[ROW]], 0] [1, 1, 4096] [1, 1, 1]
// CHECK:           %[[BYTES:.+]] = memref.subview %[[Q]][%[[ROW]], 0] [1, 4096] [1, 1]
// CHECK:           vector.load %[[OURS]][%{{.+}}] {alignment = 16 : i64}
// CHECK:           vector.load %[[G]]
// CHECK-NOT:       .load %
// CHECK:           gpu.barrier
// CHECK:           math.sqrt
// CHECK:           gpu.barrier
// CHECK-COUNT-4:   math.roundeven
// CHECK-NOT:       store
// CHECK:           vector.store %{{.+}}, %[[BYTES]][%{{.+}}] {alignment = 4 : i64}
// CHECK:           gpu.terminator
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @norm(%x: memref<1x?x4096xf32>, %g: memref<4096xf32>, %q: memref<?x4096xi8>, %s: memref<?xf32>, %t: memref<?xi32>,
                %n: index) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %sum = gpu.alloc(%n) : memref<1x?xf32>
  %y = gpu.alloc(%n) : memref<1x?x4096xf32>
  linalg.fill ins(%zero : f32) outs(%sum : memref<1x?xf32>)
  linalg.generic {indexing_maps = [#rows, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x : memref<1x?x4096xf32>) outs(%sum : memref<1x?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.mulf %in, %in : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  }
  linalg.generic {indexing_maps = [#rows, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d2)>, #rows],
                  iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %sum, %g : memref<1x?x4096xf32>, memref<1x?xf32>, memref<4096xf32>) outs(%y : memref<1x?x4096xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %out: f32):
    %0 = math.sqrt %b : f32
    %1 = arith.mulf %a, %0 : f32
    %2 = arith.mulf %1, %c : f32
    linalg.yield %2 : f32
  }
  gpu.dealloc %sum : memref<1x?xf32>
  %flat = memref.collapse_shape %y [[0, 1], [2]] : memref<1x?x4096xf32> into memref<?x4096xf32>
  %dim = memref.dim %flat, %c0 : memref<?x4096xf32>
  pqk.quantize ins(%flat : memref<?x4096xf32>) outs(%q, %s, %t : memref<?x4096xi8>, memref<?xf32>, memref<?xi32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  gpu.dealloc %y : memref<1x?x4096xf32>
  return
}

// Rows that are not the outermost dimension, and rows of memory that go on where others end: four elements at a time, as
// the open size divides nothing. The number of the row is that of the loop.
// CHECK-LABEL: func.func @heads
// CHECK-SAME:      %[[X:.+]]: memref<?x8x64xf32>, %[[CACHE:.+]]: memref<8x?x64xf32>, %[[AT:.+]]: index, %[[Y:.+]]: memref<
// CHECK:         gpu.launch blocks(%[[ROW:.+]], %{{.+}}, %{{.+}}) in ({{.*}} threads({{.*}}) in (%{{.+}} = %c128,
// CHECK-DAG:       %[[OURS:.+]] = memref.subview %[[X]][%[[ROW]], 0, 0] [1, 8, 64] [1, 1, 1]
// CHECK-DAG:       %[[PLACE:.+]] = arith.addi %[[ROW]], %[[AT]]
// CHECK-DAG:       memref.subview %[[CACHE]][0, %[[PLACE]], 0] [8, 1, 64] [1, 1, 1]
// CHECK:           vector.load %[[OURS]]{{.*}} {alignment = 16 : i64}
// CHECK:           vector.store {{.*}} {alignment = 16 : i64} : memref<8x1x64xf32,
// CHECK:           arith.index_cast %[[ROW]] : index to i32
// CHECK:           gpu.terminator
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @heads(%x: memref<?x8x64xf32>, %cache: memref<8x?x64xf32>, %at: index, %y: memref<?x8x64xf32>) {
  %c0 = arith.constant 0 : index
  %rows = memref.dim %x, %c0 : memref<?x8x64xf32>
  %new = memref.subview %cache[0, %at, 0] [8, %rows, 64] [1, 1, 1] : memref<8x?x64xf32> to memref<8x?x64xf32, strided<[?, 64, 1], offset: ?>>
  linalg.generic {indexing_maps = [#rows, #head], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : memref<?x8x64xf32>) outs(%new : memref<8x?x64xf32, strided<[?, 64, 1], offset: ?>>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  linalg.generic {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : memref<?x8x64xf32>) outs(%y : memref<?x8x64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = linalg.index 0 : index
    %1 = arith.index_cast %0 : index to i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.addf %in, %2 : f32
    linalg.yield %3 : f32
  }
  return
}

// Of few elements, the largest and its place are found by every thread.
// CHECK-LABEL: func.func @arg_max
// CHECK:         gpu.launch
// CHECK:           gpu.barrier
// CHECK-COUNT-4:   arith.cmpf ogt
// CHECK:           gpu.terminator
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @arg_max(%x: memref<?x4xf32>, %y: memref<?x4xf32>, %v: memref<?xf32>, %i: memref<?xi64>) {
  memref.copy %x, %y : memref<?x4xf32> to memref<?x4xf32>
  linalg.generic {indexing_maps = [#row, #one, #one], iterator_types = ["parallel", "reduction"]}
      ins(%y : memref<?x4xf32>) outs(%v, %i : memref<?xf32>, memref<?xi64>) {
  ^bb0(%in: f32, %value: f32, %place: i64):
    %0 = arith.cmpf ogt, %in, %value : f32
    %1 = linalg.index 1 : index
    %2 = arith.index_cast %1 : index to i64
    %3 = arith.select %0, %in, %value : f32
    %4 = arith.select %0, %2, %place : i64
    linalg.yield %3, %4 : f32, i64
  }
  return
}

// Work in between that has nothing to do with the rows does not part them.
// CHECK-LABEL: func.func @around
// CHECK-NOT:     gpu.launch
// CHECK:         pqk.float_linear
// CHECK:         gpu.launch
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @around(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %z: memref<?x64xf32>, %w: memref<1024xf32>, %p: memref<?x16xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  pqk.float_linear ins(%x, %w : memref<?x64xf32>, memref<1024xf32>) outs(%p : memref<?x16xf32>)
  memref.copy %y, %z : memref<?x64xf32> to memref<?x64xf32>
  return
}

// Near misses: work in between that reads the rows,
// CHECK-LABEL: func.func @between
// CHECK:         gpu.launch
// CHECK:         pqk.float_linear
// CHECK:         gpu.launch
func.func @between(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %z: memref<?x64xf32>, %w: memref<1024xf32>, %p: memref<?x16xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  pqk.float_linear ins(%y, %w : memref<?x64xf32>, memref<1024xf32>) outs(%p : memref<?x16xf32>)
  memref.copy %y, %z : memref<?x64xf32> to memref<?x64xf32>
  return
}

// other rows of what was written,
// CHECK-LABEL: func.func @other_rows
// CHECK-COUNT-2: gpu.launch
func.func @other_rows(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %z: memref<?x64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = memref.dim %x, %c0 : memref<?x64xf32>
  %fewer = arith.subi %rows, %c1 : index
  %shifted = memref.subview %y[1, 0] [%fewer, 64] [1, 1] : memref<?x64xf32> to memref<?x64xf32, strided<[64, 1], offset: 64>>
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  memref.copy %shifted, %z : memref<?x64xf32, strided<[64, 1], offset: 64>> to memref<?x64xf32>
  return
}

// other numbers of rows,
// CHECK-LABEL: func.func @other_counts
// CHECK-COUNT-2: gpu.launch
func.func @other_counts(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %u: memref<?x64xf32>, %v: memref<?x64xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  memref.copy %u, %v : memref<?x64xf32> to memref<?x64xf32>
  return
}

// a sum over the rows, and a row that is for all.
// CHECK-LABEL: func.func @over_rows
// CHECK-COUNT-2: gpu.launch
func.func @over_rows(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %sums: memref<64xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, #one], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x64xf32>) outs(%sums : memref<64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in : f32
    linalg.yield %0 : f32
  }
  return
}

// A block has the threads that the shortest row of single elements wants as well, so that sums are those of one row.
// CHECK-LABEL: func.func @threads
// CHECK:         gpu.launch {{.*}} threads({{.*}}) in (%{{.+}} = %c1024,
func.func @threads(%x: memref<?x1000xf32>, %y: memref<?x999xf32>, %p: memref<?xf32>) {
  linalg.generic {indexing_maps = [#row, #one], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x1000xf32>) outs(%p : memref<?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#row, #one], iterator_types = ["parallel", "reduction"]}
      ins(%y : memref<?x999xf32>) outs(%p : memref<?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  }
  return
}

// Not by rows: memory of known size that the loop goes over, and sums that are elements of a longer row.
// CHECK-LABEL: func.func @known_size
// CHECK-COUNT-2: gpu.launch
func.func @known_size(%x: memref<?x8xf32>, %w: memref<8x8xf32>, %y: memref<?x8xf32>, %z: memref<?x8xf32>) {
  linalg.generic {indexing_maps = [#row, #row, affine_map<(d0, d1) -> (0, d1)>, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x, %w, %w : memref<?x8xf32>, memref<8x8xf32>, memref<8x8xf32>) outs(%y : memref<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    %1 = arith.mulf %0, %c : f32
    linalg.yield %1 : f32
  }
  memref.copy %x, %z : memref<?x8xf32> to memref<?x8xf32>
  return
}

// CHECK-LABEL: func.func @element
// CHECK-COUNT-2: gpu.launch
func.func @element(%x: memref<?x64xf32>, %s: memref<?x8xf32>, %y: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [#row, affine_map<(d0, d1) -> (d0, 3)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x64xf32>) outs(%s : memref<?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#row, affine_map<(d0, d1) -> (d0, 3)>, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : memref<?x64xf32>, memref<?x8xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// The size of a view is that of its own dimension, not of one of its source.
// CHECK-LABEL: func.func @sizes
// CHECK-SAME:      %{{.+}}: memref<4x?x?xf32>, %[[N:.+]]: index, %[[M:.+]]: index, %{{.+}}: index
// CHECK:         return %[[N]], %[[M]]
func.func @sizes(%x: memref<4x?x?xf32>, %n: index, %m: index, %i: index) -> (index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %v = memref.subview %x[%i, 0, 0] [1, %n, %m] [1, 1, 1] : memref<4x?x?xf32> to memref<?x?xf32, strided<[?, 1], offset: ?>>
  %d0 = memref.dim %v, %c0 : memref<?x?xf32, strided<[?, 1], offset: ?>>
  %d1 = memref.dim %v, %c1 : memref<?x?xf32, strided<[?, 1], offset: ?>>
  return %d0, %d1 : index, index
}
