// RUN: pquant-opt %s --pquant-to-llvm -split-input-file | FileCheck %s

// Memory comes from the runtime, not from malloc.

// CHECK-DAG:   llvm.func @_mlir_memref_to_llvm_alloc(i64) -> !llvm.ptr
// CHECK-DAG:   llvm.func @_mlir_memref_to_llvm_free(!llvm.ptr)
// CHECK-NOT:   {{@malloc|@aligned_alloc|@free}}
// CHECK-LABEL: llvm.func @memory(
// CHECK-SAME:    %[[N:[a-z0-9]+]]: i64) -> f32
// CHECK:         %[[P:.+]] = llvm.call @_mlir_memref_to_llvm_alloc(%{{.+}}) : (i64) -> !llvm.ptr
// CHECK:         llvm.insertvalue %[[P]], %{{.+}}[0]
// CHECK:         llvm.call @_mlir_memref_to_llvm_free(%{{.+}}) : (!llvm.ptr) -> ()
// CHECK:         llvm.return %{{.+}} : f32
func.func @memory(%n: index) -> f32 {
  %c0 = arith.constant 0 : index
  %m = memref.alloc(%n) {alignment = 64 : i64} : memref<?xf32>
  %v = memref.load %m[%c0] : memref<?xf32>
  memref.dealloc %m : memref<?xf32>
  return %v : f32
}

// -----

// Each assertion goes to the rest or to a block of its own that fails with its
// text, which ends in a zero. Equal texts are one global.

// CHECK-DAG:   llvm.mlir.global internal constant @[[$A:pquant_message_[0-9A-F]+]]("expected a\00")
// CHECK-DAG:   llvm.mlir.global internal constant @[[$B:pquant_message_[0-9A-F]+]]("expected b, but got \22c\22\00")
// CHECK-DAG:   llvm.func @pquant_rt_fail(!llvm.ptr)
// CHECK-NOT:   llvm.mlir.global
// CHECK-NOT:   @abort
// CHECK-LABEL: llvm.func @asserts(
// CHECK-SAME:    %[[OK1:[a-z0-9]+]]: i1, %[[OK2:[a-z0-9]+]]: i1) -> i1
// CHECK:         %[[T1:.+]] = llvm.mlir.addressof @[[$A]]
// CHECK:         llvm.cond_br %[[OK1]], ^[[REST1:.+]], ^[[FAIL1:.+]]
// CHECK:       ^[[REST1]]:
// CHECK:         %[[T2:.+]] = llvm.mlir.addressof @[[$B]]
// CHECK:         llvm.cond_br %[[OK2]], ^[[REST2:.+]], ^[[FAIL2:.+]]
// CHECK:       ^[[REST2]]:
// CHECK:         %[[T3:.+]] = llvm.mlir.addressof @[[$A]]
// CHECK:         llvm.cond_br %[[OK2]], ^[[REST3:.+]], ^[[FAIL3:.+]]
// CHECK:       ^[[REST3]]:
// CHECK:         llvm.return %[[OK1]]
// CHECK:       ^[[FAIL1]]:
// CHECK-NEXT:    llvm.call @pquant_rt_fail(%[[T1]]) : (!llvm.ptr) -> ()
// CHECK-NEXT:    llvm.unreachable
// CHECK:       ^[[FAIL2]]:
// CHECK-NEXT:    llvm.call @pquant_rt_fail(%[[T2]]) : (!llvm.ptr) -> ()
// CHECK-NEXT:    llvm.unreachable
// CHECK:       ^[[FAIL3]]:
// CHECK-NEXT:    llvm.call @pquant_rt_fail(%[[T3]]) : (!llvm.ptr) -> ()
// CHECK-NEXT:    llvm.unreachable
func.func @asserts(%ok1: i1, %ok2: i1) -> i1 {
  cf.assert %ok1, "expected a"
  cf.assert %ok2, "expected b, but got \"c\""
  cf.assert %ok2, "expected a"
  return %ok1 : i1
}

// -----

// No assertion, no message and no declaration; attributes for LLVM stay.

// CHECK-NOT:   pquant_rt_fail
// CHECK-LABEL: llvm.func @vectors(
// CHECK-SAME:    passthrough = {{\[\[}}"target-cpu", "x86-64-v3"]]
// CHECK:         llvm.load %{{.+}} : !llvm.ptr -> vector<8xf32>
// CHECK:         llvm.intr.fma(
// CHECK:         llvm.store %{{.+}}, %{{.+}} : vector<8xf32>, !llvm.ptr
// CHECK-NOT:     {{vector\.|memref\.|func\.func|builtin.unrealized}}
func.func @vectors(%m: memref<?xf32>, %i: index) attributes {passthrough = [["target-cpu", "x86-64-v3"]]} {
  %x = vector.load %m[%i] : memref<?xf32>, vector<8xf32>
  %y = math.fma %x, %x, %x : vector<8xf32>
  vector.store %y, %m[%i] : memref<?xf32>, vector<8xf32>
  return
}

// -----

// A copy of contiguous buffers needs no function of MLIR's runner.

// CHECK-NOT:   @memrefCopy
// CHECK-LABEL: llvm.func @contiguous_copy(
// CHECK:         llvm.intr.memcpy
func.func @contiguous_copy(%a: memref<4x8xf32>, %b: memref<4x8xf32>) {
  memref.copy %a, %b : memref<4x8xf32> to memref<4x8xf32>
  return
}
