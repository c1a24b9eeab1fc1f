// RUN: pquant-opt %s -split-input-file --pquant-convert-pqkernel-to-llvm | FileCheck %s

// Captured values go through a struct on the stack, constants are copied, the attributes stay.

// CHECK-LABEL: func.func @captures
// CHECK-SAME:    (%[[M:.+]]: memref<?xf32>, %[[N:.+]]: index, %[[X:.+]]: f32)
// CHECK:         %[[SLOT:.+]] = llvm.alloca %{{.+}} x !llvm.struct<(f32, struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>)>
// CHECK:         llvm.store %[[X]], %{{.+}}
// CHECK:         %[[D:.+]] = builtin.unrealized_conversion_cast %[[M]]
// CHECK:         llvm.store %[[D]], %{{.+}}
// CHECK:         %[[BODY:.+]] = llvm.mlir.addressof @captures_parallel
// CHECK:         llvm.call @pquant_rt_parallel_for(%[[BODY]], %[[SLOT]], %{{.+}}, %{{.+}}) : (!llvm.ptr, !llvm.ptr, i64, i64) -> ()
// CHECK-NEXT:    return
// CHECK-LABEL: llvm.func internal @captures_parallel
// CHECK-SAME:    (%[[ARGS:.+]]: !llvm.ptr, %[[B:.+]]: i64, %[[E:.+]]: i64)
// CHECK-SAME:    passthrough = {{\[\[}}"target-cpu", "x86-64-v3"]]
// CHECK-DAG:     arith.constant 1 : index
// CHECK-DAG:     %[[BEGIN:.+]] = builtin.unrealized_conversion_cast %[[B]] : i64 to index
// CHECK-DAG:     %[[END:.+]] = builtin.unrealized_conversion_cast %[[E]] : i64 to index
// CHECK:         scf.for %{{.+}} = %[[BEGIN]] to %[[END]]
// CHECK:           memref.store
// CHECK:         llvm.return
// CHECK:       llvm.func @pquant_rt_parallel_for(!llvm.ptr, !llvm.ptr, i64, i64)
func.func @captures(%m: memref<?xf32>, %n: index, %x: f32)
    attributes {passthrough = [["target-cpu", "x86-64-v3"]]} {
  %c1 = arith.constant 1 : index
  pqk.parallel (%begin, %end) in %n grain %c1 {
    scf.for %i = %begin to %end step %c1 {
      memref.store %x, %m[%i] : memref<?xf32>
    }
  }
  return
}

// -----

// The inner range's slot is in the outer range's function, not in a loop.

// CHECK-LABEL: func.func @nested
// CHECK:         llvm.call @pquant_rt_parallel_for
// CHECK-LABEL: llvm.func internal @nested_parallel(
// CHECK-NOT:     llvm.alloca
// CHECK-LABEL: llvm.func internal @nested_parallel_0(
// CHECK:         llvm.alloca
// CHECK:         scf.for
// CHECK-NOT:       llvm.alloca
// CHECK:           llvm.call @pquant_rt_parallel_for
func.func @nested(%n: index) {
  %c1 = arith.constant 1 : index
  pqk.parallel (%begin, %end) in %n grain %c1 {
    scf.for %i = %begin to %end step %c1 {
      pqk.parallel (%b, %e) in %i grain %c1 {
        %sum = arith.addi %b, %i : index
      }
    }
  }
  return
}

// -----

// CHECK-LABEL: func.func @no_parallel_stays
// CHECK-NEXT:    scf.for
// CHECK-NOT:   llvm.func
func.func @no_parallel_stays(%a: index, %b: index, %c: index) {
  scf.for %i = %a to %b step %c {
  }
  return
}
