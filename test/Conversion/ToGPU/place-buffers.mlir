// Tensors move to the GPU; what host code reads is computed on the host.

// RUN: pquant-opt %s --pquant-place-buffers --canonicalize | FileCheck %s

#row = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>

// CHECK-LABEL: func.func @copies_in_and_out
// CHECK-SAME:    (%{{.+}}: memref<?xi8>, %[[X:.+]]: memref<?xf32>)
// CHECK:         %[[IN:.+]] = gpu.alloc  (%{{.+}}) : memref<?xf32>
// CHECK:         gpu.memcpy  %[[IN]], %[[X]]
// CHECK:         %[[Y:.+]] = gpu.alloc  (%{{.+}}) : memref<?xf32>
// CHECK:         linalg.generic {{.*}} ins(%[[IN]] : memref<?xf32>) outs(%[[Y]]
// CHECK:         %[[OUT:.+]] = memref.alloc(%{{.+}}) : memref<?xf32>
// CHECK:         gpu.memcpy  %[[OUT]], %[[Y]]
// CHECK:         return %[[OUT]]
func.func @copies_in_and_out(%w: memref<?xi8>, %x: memref<?xf32>) -> memref<?xf32> {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  %y = memref.alloc(%n) : memref<?xf32>
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.negf %in : f32
    linalg.yield %0 : f32
  }
  return %y : memref<?xf32>
}

// A state is the GPU's, and what comes with it stays there.
// CHECK-LABEL: func.func @with_state
// CHECK-SAME:    (%{{.+}}: memref<?xi8>, %[[X:.+]]: memref<8xf32>, %[[STATE:.+]]: memref<8xf32>
// CHECK:         %[[Z:.+]] = gpu.alloc
// CHECK:         gpu.memcpy  %[[Z]], %[[X]]
// CHECK:         %[[Y:.+]] = gpu.alloc
// CHECK:         memref.copy %[[STATE]], %[[Y]]
// CHECK:         return %[[Y]], %[[Z]]
func.func @with_state(%w: memref<?xi8>, %x: memref<8xf32>, %state: memref<8xf32> {pquant.state}) -> (memref<8xf32>, memref<8xf32>) {
  %y = memref.alloc() : memref<8xf32>
  memref.copy %state, %y : memref<8xf32> to memref<8xf32>
  return %y, %x : memref<8xf32>, memref<8xf32>
}

// The check of the indices needs no GPU; the gather does.
// CHECK-LABEL: func.func @check_on_host
// CHECK-SAME:    (%[[W:.+]]: memref<?xi8>, %[[IDS:.+]]: memref<4xi64>)
// CHECK:         %[[DEVICE:.+]] = gpu.alloc  () : memref<4xi64>
// CHECK:         %[[FLAG:.+]] = memref.alloc() : memref<i1>
// CHECK:         linalg.generic {{.*}} ins(%[[IDS]] : memref<4xi64>) outs(%[[FLAG]] : memref<i1>) attrs = {pquant.host}
// CHECK:         %[[OK:.+]] = memref.load %[[FLAG]][]
// CHECK:         cf.assert %[[OK]]
// CHECK:         linalg.generic {{.*}} ins(%[[DEVICE]] : memref<4xi64>)
func.func @check_on_host(%w: memref<?xi8>, %ids: memref<4xi64>) -> memref<4xf32> {
  %true = arith.constant true
  %c9 = arith.constant 9 : i64
  %ok = memref.alloc() : memref<i1>
  linalg.fill ins(%true : i1) outs(%ok : memref<i1>)
  linalg.generic {indexing_maps = [#row, #one], iterator_types = ["reduction"]} ins(%ids : memref<4xi64>) outs(%ok : memref<i1>) {
  ^bb0(%in: i64, %out: i1):
    %0 = arith.cmpi slt, %in, %c9 : i64
    %1 = arith.andi %out, %0 : i1
    linalg.yield %1 : i1
  }
  %flag = memref.load %ok[] : memref<i1>
  cf.assert %flag, "expected indices in range"
  %y = memref.alloc() : memref<4xf32>
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%ids : memref<4xi64>) outs(%y : memref<4xf32>) {
  ^bb0(%in: i64, %out: f32):
    %0 = arith.sitofp %in : i64 to f32
    linalg.yield %0 : f32
  }
  return %y : memref<4xf32>
}

// What depends on memory of the GPU is read back.
// CHECK-LABEL: func.func @read_back
// CHECK:         gpu.launch
// CHECK:         gpu.memcpy  %[[READ:.+]], %{{.+}} : memref<f32>, memref<f32>
// CHECK:         memref.load %[[READ]][]
func.func @read_back(%w: memref<?xi8>, %state: memref<4xf32> {pquant.state}) -> f32 {
  %c1 = arith.constant 1 : index
  %0 = memref.load %state[%c1] : memref<4xf32>
  return %0 : f32
}

// A function without tensor work keeps its memory, and its callers give it theirs.
// CHECK-LABEL: func.func private @compare
// CHECK:         memref.load
// CHECK-NOT:     gpu.
func.func private @compare(%a: memref<?xindex>) -> index {
  %c0 = arith.constant 0 : index
  %0 = memref.load %a[%c0] : memref<?xindex>
  return %0 : index
}

// CHECK-LABEL: func.func @calls_host_code
// CHECK:         %[[LIST:.+]] = memref.alloc{{.*}}() : memref<1xindex>
// CHECK:         memref.store %{{.+}}, %[[LIST]]
func.func @calls_host_code(%w: memref<?xi8>) -> index {
  %c0 = arith.constant 0 : index
  %list = memref.alloc() : memref<1xindex>
  memref.store %c0, %list[%c0] : memref<1xindex>
  %cast = memref.cast %list : memref<1xindex> to memref<?xindex>
  %0 = call @compare(%cast) : (memref<?xindex>) -> index
  return %0 : index
}
