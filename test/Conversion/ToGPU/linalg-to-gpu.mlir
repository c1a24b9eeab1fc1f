// linalg ops become launches: of one block when they are small, else of many.

// RUN: pquant-opt %s --pquant-linalg-to-gpu --canonicalize --cse | FileCheck %s
// RUN: pquant-opt %s --pquant-linalg-to-gpu --pquant-merge-launches --canonicalize --cse | FileCheck %s --check-prefix=MERGED

#map = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// CHECK-LABEL: func.func @small
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %c1, %{{.+}} = %c1, {{.*}} threads({{.*}}) in (%{{.+}} = %c1024
// CHECK-NOT:       scf.for
// CHECK:           vector.load %{{.+}} {alignment = 16 : i64} : memref<2x2048xf32>, vector<4xf32>
// CHECK-COUNT-4:   arith.negf
// CHECK:           vector.store %{{.+}} {alignment = 16 : i64} : memref<2x2048xf32>, vector<4xf32>
func.func @small(%x: memref<2x2048xf32>, %y: memref<2x2048xf32>) {
  linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<2x2048xf32>) outs(%y : memref<2x2048xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.negf %in : f32
    linalg.yield %0 : f32
  }
  return
}

// A thread has four points, whose loads come before all stores.
// CHECK-LABEL: func.func @dynamic
// CHECK:         %[[BLOCKS:.+]] = arith.divui %{{.+}}, %c1024
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %[[BLOCKS]], %{{.+}} = %c1, {{.*}} threads({{.*}}) in (%{{.+}} = %c256
// CHECK-COUNT-4:   memref.load
// CHECK-COUNT-4:   scf.if
func.func @dynamic(%x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  return
}

// Points are divided by constants only: the outermost dimension is the grid's.
// CHECK-LABEL: func.func @dynamic_batch
// CHECK:         %[[BATCHES:.+]] = memref.dim %{{.+}}, %c0
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %{{.+}}, %{{.+}} = %[[BATCHES]],
// CHECK-COUNT-4:   arith.remui %{{.+}}, %c64
// CHECK-NOT:       arith.remui
// CHECK:           gpu.terminator
func.func @dynamic_batch(%x: memref<?x?x64xf32>, %y: memref<?x?x64xf32>) {
  memref.copy %x, %y : memref<?x?x64xf32> to memref<?x?x64xf32>
  return
}

// A long sum is a block's; the last step adds what was in the output.
// CHECK-LABEL: func.func @row_sums
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %[[ROWS:.+]], {{.*}} workgroup(%{{.+}} : memref<32xf32, #gpu.address_space<workgroup>>)
// CHECK:           scf.for %{{.+}} = %{{.+}} to %c4096 step %c4096
// CHECK-COUNT-4:     arith.addf
// CHECK:             scf.yield
// CHECK-COUNT-5:   gpu.shuffle  xor
// CHECK:           gpu.barrier
// CHECK-COUNT-5:   gpu.shuffle  xor
func.func @row_sums(%x: memref<?x4096xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [#map, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x4096xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in : f32
    linalg.yield %0 : f32
  }
  return
}

// Near miss: two results that depend on each other (the largest and its place) stay with one thread where the row is long.
// CHECK-LABEL: func.func @arg_max
// CHECK-NOT:     gpu.shuffle
// CHECK:         return
func.func @arg_max(%x: memref<1x4096xf32>, %y: memref<1xf32>, %i: memref<1xi64>) {
  linalg.generic {indexing_maps = [#map, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<1x4096xf32>) outs(%y, %i : memref<1xf32>, memref<1xi64>) {
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

// The host's stay.
// CHECK-LABEL: func.func @on_host
// CHECK-NOT:     gpu.launch
// CHECK:         linalg.fill
func.func @on_host(%x: memref<4xf32>) {
  %cst = arith.constant 0.0 : f32
  linalg.fill {pquant.host} ins(%cst : f32) outs(%x : memref<4xf32>)
  return
}

// Memory that is freed between two launches is freed behind the merged one.
// MERGED-LABEL: func.func @two
// MERGED:         gpu.launch
// MERGED:           gpu.terminator
// MERGED-NOT:     gpu.launch
// MERGED:         gpu.dealloc
func.func @two(%x: memref<64xf32>, %y: memref<64xf32>, %t: memref<64xf32>) {
  memref.copy %x, %t : memref<64xf32> to memref<64xf32>
  gpu.dealloc %t : memref<64xf32>
  memref.copy %x, %y : memref<64xf32> to memref<64xf32>
  return
}

// Sums of two rows and a copy are each a launch of one block, and merged.
// MERGED-LABEL: func.func @unlike
// MERGED:         gpu.launch
// MERGED:           gpu.barrier
// MERGED:           gpu.terminator
// MERGED-NOT:     gpu.launch
// MERGED:         return
func.func @unlike(%x: memref<2x4096xf32>, %y: memref<2xf32>, %z: memref<2xf32>) {
  linalg.generic {indexing_maps = [#map, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<2x4096xf32>) outs(%y : memref<2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in : f32
    linalg.yield %0 : f32
  }
  memref.copy %y, %z : memref<2xf32> to memref<2xf32>
  return
}

// Memory that nobody reads, here because the copy of it is in registers, is not written and not there.
// CHECK-LABEL: func.func @unread
// CHECK-SAME:      %[[X:.+]]: memref<64xf32>, %[[Y:.+]]: memref<64xf32>
// CHECK-NOT:     gpu.alloc
// CHECK:         vector.load %[[X]]
// CHECK-NOT:     store
// CHECK:         vector.store %{{.+}}, %[[Y]]
// CHECK-NOT:     store
// CHECK-NOT:     gpu.dealloc
// CHECK:         return
func.func @unread(%x: memref<64xf32>, %y: memref<64xf32>) {
  %t = gpu.alloc() : memref<64xf32>
  memref.copy %x, %t : memref<64xf32> to memref<64xf32>
  memref.copy %t, %y : memref<64xf32> to memref<64xf32>
  gpu.dealloc %t : memref<64xf32>
  return
}

// Near miss: somebody asks where it is.
// CHECK-LABEL: func.func @asked
// CHECK:         gpu.alloc
// CHECK:         return
func.func @asked(%x: memref<64xf32>) -> index {
  %t = gpu.alloc() : memref<64xf32>
  memref.copy %x, %t : memref<64xf32> to memref<64xf32>
  %at = memref.extract_aligned_pointer_as_index %t : memref<64xf32> -> index
  gpu.dealloc %t : memref<64xf32>
  return %at : index
}

// MERGED-LABEL: func.func @apart
// MERGED-COUNT-2: gpu.launch
func.func @apart(%x: memref<64xf32>, %y: memref<64xf32>, %host: memref<64xf32>) {
  memref.copy %x, %y : memref<64xf32> to memref<64xf32>
  gpu.memcpy %host, %y : memref<64xf32>, memref<64xf32>
  memref.copy %y, %x : memref<64xf32> to memref<64xf32>
  return
}
