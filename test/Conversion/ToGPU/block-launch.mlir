// Small ops that follow one another share a block; what a thread has computed stays in its registers.

// RUN: pquant-opt %s --pquant-linalg-to-gpu --canonicalize --cse | FileCheck %s

#row = affine_map<(d0, d1) -> (d0, d1)>
#one = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>

// A sum of squares scales its row, which is quantised: each element is loaded once, all loads come first.
// CHECK-LABEL: func.func @norm
// CHECK-SAME:      %[[X:.+]]: memref<1x4096xf32>, %[[G:.+]]: memref<4096xf32>
// CHECK:         gpu.launch
// CHECK:           vector.load %[[X]]
// CHECK-COUNT-4:   vector.extract
// CHECK:           vector.load %[[G]]
// CHECK-NOT:       vector.load
// CHECK:           gpu.barrier
// CHECK:           math.sqrt
// CHECK:           gpu.barrier
// CHECK-COUNT-4:   math.roundeven
// CHECK:           vector.store %{{.+}} {alignment = 4 : i64} : memref<1x4096xi8>, vector<4xi8>
// CHECK:           gpu.barrier
// CHECK-NOT:       gpu.barrier
// CHECK:           gpu.terminator
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @norm(%x: memref<1x4096xf32>, %g: memref<4096xf32>, %q: memref<1x4096xi8>, %s: memref<1xf32>, %t: memref<1xi32>) {
  %zero = arith.constant 0.0 : f32
  %sum = gpu.alloc() : memref<1xf32>
  %y = gpu.alloc() : memref<1x4096xf32>
  linalg.fill ins(%zero : f32) outs(%sum : memref<1xf32>)
  linalg.generic {indexing_maps = [#row, #one], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<1x4096xf32>) outs(%sum : memref<1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.mulf %in, %in : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  }
  linalg.generic {indexing_maps = [#row, #one, #column, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x, %sum, %g : memref<1x4096xf32>, memref<1xf32>, memref<4096xf32>) outs(%y : memref<1x4096xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %out: f32):
    %0 = math.sqrt %b : f32
    %1 = arith.mulf %a, %0 : f32
    %2 = arith.mulf %1, %c : f32
    linalg.yield %2 : f32
  }
  gpu.dealloc %sum : memref<1xf32>
  pqk.quantize ins(%y : memref<1x4096xf32>) outs(%q, %s, %t : memref<1x4096xi8>, memref<1xf32>, memref<1xi32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  gpu.dealloc %y : memref<1x4096xf32>
  return
}

// The halves of a row do not meet, so no barrier stands between them.
// CHECK-LABEL: func.func @halves
// CHECK:         gpu.launch
// CHECK-NOT:       gpu.barrier
// CHECK:           gpu.terminator
func.func @halves(%x: memref<32x64xf32>, %y: memref<32x128xf32>) {
  %low = memref.subview %y[0, 0] [32, 64] [1, 1] : memref<32x128xf32> to memref<32x64xf32, strided<[128, 1]>>
  %high = memref.subview %y[0, 64] [32, 64] [1, 1] : memref<32x128xf32> to memref<32x64xf32, strided<[128, 1], offset: 64>>
  memref.copy %x, %low : memref<32x64xf32> to memref<32x64xf32, strided<[128, 1]>>
  memref.copy %x, %high : memref<32x64xf32> to memref<32x64xf32, strided<[128, 1], offset: 64>>
  return
}

// Near miss: a transpose reads what other threads wrote.
// CHECK-LABEL: func.func @crossing
// CHECK:         gpu.launch
// CHECK:           vector.store
// CHECK:           gpu.barrier
// CHECK:           memref.load
// CHECK:           gpu.terminator
func.func @crossing(%x: memref<64x64xf32>, %y: memref<64x64xf32>) {
  %t = gpu.alloc() : memref<64x64xf32>
  memref.copy %x, %t : memref<64x64xf32> to memref<64x64xf32>
  linalg.transpose ins(%t : memref<64x64xf32>) outs(%y : memref<64x64xf32>) permutation = [1, 0]
  gpu.dealloc %t : memref<64x64xf32>
  return
}

// What is read may not be overwritten before all threads have read it.
// CHECK-LABEL: func.func @overwritten
// CHECK:           memref.load
// CHECK:           gpu.barrier
// CHECK:           vector.store
func.func @overwritten(%x: memref<64x64xf32>, %y: memref<64x64xf32>) {
  linalg.transpose ins(%x : memref<64x64xf32>) outs(%y : memref<64x64xf32>) permutation = [1, 0]
  memref.copy %y, %x : memref<64x64xf32> to memref<64x64xf32>
  return
}

// 65 elements are no multiple of 4: one each, and threads without one store nothing and add nothing.
// CHECK-LABEL: func.func @odd
// CHECK:         %[[INSIDE:.+]] = arith.cmpi ult, %{{.+}}, %c65
// CHECK:         %[[PLACE:.+]] = arith.select %[[INSIDE]], %{{.+}}, %c0
// CHECK:         memref.load %{{.+}}[%{{.+}}, %[[PLACE]]]
// CHECK:         arith.select %[[INSIDE]]
// CHECK:         gpu.barrier
func.func @odd(%x: memref<1x65xf32>, %y: memref<1xf32>) {
  linalg.generic {indexing_maps = [#row, #one], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<1x65xf32>) outs(%y : memref<1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in : f32
    linalg.yield %0 : f32
  }
  return
}

// Two quantisers that share an output: no thread writes before all are done with the first.
// CHECK-LABEL: func.func @again
// CHECK-COUNT-4: gpu.barrier
func.func @again(%x: memref<1x64xf32>, %q: memref<1x64xi8>, %s: memref<1xf32>, %t: memref<1xi32>) {
  pqk.quantize ins(%x : memref<1x64xf32>) outs(%q, %s, %t : memref<1x64xi8>, memref<1xf32>, memref<1xi32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  pqk.quantize ins(%x : memref<1x64xf32>) outs(%q, %s, %t : memref<1x64xi8>, memref<1xf32>, memref<1xi32>)
      {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// Four at a time only where their address is a multiple of 16 bytes: not from an offset or by a stride that nobody knows,
// nor by 6.
// CHECK-LABEL: func.func @unaligned
// CHECK-NOT:     vector.load
// CHECK:         return
func.func @unaligned(%x: memref<8x64xf32>, %y: memref<8x64xf32>, %rows: memref<?x64xf32>, %z: memref<4x2x4xf32>, %at: index, %b: index) {
  %moved = memref.reinterpret_cast %x to offset: [%at], sizes: [8, 64], strides: [64, 1] : memref<8x64xf32> to memref<8x64xf32, strided<[64, 1], offset: ?>>
  memref.copy %moved, %y : memref<8x64xf32, strided<[64, 1], offset: ?>> to memref<8x64xf32>
  %apart = memref.reinterpret_cast %x to offset: [0], sizes: [8, 64], strides: [%b, 1] : memref<8x64xf32> to memref<8x64xf32, strided<[?, 1]>>
  memref.copy %apart, %y : memref<8x64xf32, strided<[?, 1]>> to memref<8x64xf32>
  %flat = memref.collapse_shape %rows [[0, 1]] : memref<?x64xf32> into memref<?xf32>
  %split = memref.expand_shape %flat [[0, 1, 2]] output_shape [%at, %b, 6] : memref<?xf32> into memref<?x?x6xf32>
  %part = memref.subview %split[0, 0, 0] [4, 2, 4] [1, 1, 1] : memref<?x?x6xf32> to memref<4x2x4xf32, strided<[?, 6, 1]>>
  memref.copy %part, %z : memref<4x2x4xf32, strided<[?, 6, 1]>> to memref<4x2x4xf32>
  return
}

// A few results together: each thread has its parts of all, the lanes of a warp share nine shuffles instead of forty, and
// one barrier is for all. The output is known to begin with zeros, so it is not loaded.
// CHECK-LABEL: func.func @router
// CHECK-SAME:      %[[X:.+]]: memref<1x4096xf32>, %[[W:.+]]: memref<8x4096xf32>, %[[Y:.+]]: memref<1x8xf32>
// CHECK:         gpu.launch {{.*}} memref<8x32xf32, #gpu.address_space<workgroup>>
// CHECK-DAG:       vector.load %[[X]]
// CHECK-DAG:       vector.load %[[W]][%c0
// CHECK-DAG:       vector.load %[[W]][%c7
// CHECK-COUNT-9:   gpu.shuffle xor
// CHECK-NOT:       gpu.shuffle
// CHECK:           gpu.barrier
// CHECK-NOT:       load %[[Y]]
// CHECK-COUNT-5:   gpu.shuffle xor
// CHECK-NOT:       gpu.shuffle
// CHECK:           memref.store %{{.+}}, %[[Y]]
// CHECK:           gpu.terminator
// CHECK-NOT:     gpu.launch
// CHECK:         return
func.func @router(%x: memref<1x4096xf32>, %w: memref<8x4096xf32>, %y: memref<1x8xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<1x8xf32>)
  linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>,
                                   affine_map<(d0, d1, d2) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<1x4096xf32>, memref<8x4096xf32>) outs(%y : memref<1x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// Near miss: more parts than a thread has registers for.
// CHECK-LABEL: func.func @large_router
// CHECK:         scf.for
// CHECK:         return
func.func @large_router(%x: memref<1x4096xf32>, %w: memref<16x4096xf32>, %y: memref<1x16xf32>) {
  linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>,
                                   affine_map<(d0, d1, d2) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<1x4096xf32>, memref<16x4096xf32>) outs(%y : memref<1x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  }
  return
}
