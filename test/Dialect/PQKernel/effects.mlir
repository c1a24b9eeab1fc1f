// RUN: pquant-opt %s --canonicalize --cse | FileCheck %s

// On tensors a kernel has no effects: it may be dropped.
// CHECK-LABEL: @unused_tensor
func.func @unused_tensor(%x: tensor<4x100xf32>, %w: tensor<1600xf32>, %y: tensor<4x16xf32>) {
  // CHECK-NOT: pqk
  %0 = pqk.float_linear ins(%x, %w : tensor<4x100xf32>, tensor<1600xf32>) outs(%y : tensor<4x16xf32>) -> tensor<4x16xf32>
  return
}

// On memrefs it writes.
// CHECK-LABEL: @written_memref
func.func @written_memref(%x: memref<4x100xf32>, %w: memref<1600xf32>, %y: memref<4x16xf32>) -> f32 {
  // CHECK: memref.load
  // CHECK-NEXT: pqk.float_linear
  // CHECK-NEXT: memref.load
  %c0 = arith.constant 0 : index
  %0 = memref.load %y[%c0, %c0] : memref<4x16xf32>
  pqk.float_linear ins(%x, %w : memref<4x100xf32>, memref<1600xf32>) outs(%y : memref<4x16xf32>)
  %1 = memref.load %y[%c0, %c0] : memref<4x16xf32>
  %2 = arith.addf %0, %1 : f32
  return %2 : f32
}

// A parallel loop without effects in it has none.
// CHECK-LABEL: @empty_parallel
func.func @empty_parallel(%n: index) {
  // CHECK-NOT: pqk.parallel
  pqk.parallel (%begin, %end) in %n grain %n {
    %0 = arith.addi %begin, %end : index
  }
  return
}
