// RUN: pquant-opt %s --pquant-merge-launches | FileCheck %s

// Probes are not in the way; what was between the first ones goes to the second.

// CHECK-LABEL: func.func @probed
// CHECK:         pqk.probe begin "/first"
// CHECK-NEXT:    pqk.probe end "/first"
// CHECK-NEXT:    pqk.probe begin "/second"
// CHECK-NEXT:    gpu.launch
// CHECK:           memref.store
// CHECK-NEXT:      gpu.barrier
// CHECK-NEXT:      memref.store
// CHECK:         pqk.probe end "/second"
// CHECK-NOT:     gpu.launch
func.func @probed(%x: memref<1024xf32>, %y: memref<1024xf32>, %value: f32) {
  %c1 = arith.constant 1 : index
  %c1024 = arith.constant 1024 : index
  pqk.probe begin "/first" kind "quantize" rows %c1
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1024, %sy = %c1, %sz = %c1) {
    memref.store %value, %x[%tx] : memref<1024xf32>
    gpu.terminator
  }
  pqk.probe end "/first" kind "quantize" rows %c1
  pqk.probe begin "/second" kind "quantize" rows %c1
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1024, %sy = %c1, %sz = %c1) {
    memref.store %value, %y[%tx] : memref<1024xf32>
    gpu.terminator
  }
  pqk.probe end "/second" kind "quantize" rows %c1
  return
}
