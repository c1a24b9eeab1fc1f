// RUN: pquant-opt %s --pquant-convert-pqkernel-to-llvm | FileCheck %s

// Begin and end, here and in the clone for another level, share one constant in
// the layout of PQuantProbe; what differs in anything else has its own.

// CHECK-LABEL: func.func @f_generic
// CHECK-DAG:     %[[ROWS:.+]] = builtin.unrealized_conversion_cast %{{.+}} : index to i64
// CHECK-DAG:     %[[ZERO:.+]] = llvm.mlir.constant(0 : i32)
// CHECK-DAG:     %[[P:.+]] = llvm.mlir.addressof @[[$HEAD:probe.*]] :
// CHECK:         llvm.call @pquant_rt_probe(%[[P]], %[[ROWS]], %[[ZERO]]) : (!llvm.ptr, i64, i32) -> ()
// CHECK:         call @work
// CHECK-DAG:     %[[ONE:.+]] = llvm.mlir.constant(1 : i32)
// CHECK-DAG:     %[[P:.+]] = llvm.mlir.addressof @[[$HEAD]] :
// CHECK:         llvm.call @pquant_rt_probe(%[[P]], %{{.+}}, %[[ONE]])
// CHECK:         llvm.mlir.addressof @[[$OTHER:probe.*]] :
// CHECK-NOT:   pqk.probe
// CHECK-LABEL: func.func @f_avx2
// CHECK:         llvm.mlir.addressof @[[$HEAD]] :
func.func private @work()
func.func @f_generic(%rows: index) {
  pqk.probe begin "/head" kind "float_linear" rows %rows {row_ops = 3200 : i64, weight_bytes = 6400 : i64}
  call @work() : () -> ()
  pqk.probe end "/head" kind "float_linear" rows %rows {row_ops = 3200 : i64, weight_bytes = 6400 : i64}
  pqk.probe begin "/head" kind "float_linear" rows %rows {row_ops = 6400 : i64, weight_bytes = 6400 : i64}
  return
}
func.func @f_avx2(%rows: index) {
  pqk.probe begin "/head" kind "float_linear" rows %rows {row_ops = 3200 : i64, weight_bytes = 6400 : i64}
  return
}

// Name, kind, bytes of a matrix, matrices, bytes and operations of a row.

// CHECK-DAG:   llvm.mlir.global internal constant @[[NAME:probe_text.*]]("/head\00")
// CHECK-DAG:   llvm.mlir.global internal constant @[[KIND:probe_text.*]]("float_linear\00")
// CHECK:       llvm.mlir.global internal constant @[[$HEAD]]() {{.*}}: !llvm.struct<(ptr, ptr, i64, i64, i64, i64)> {
// CHECK:         %[[V:.+]] = llvm.mlir.addressof @[[NAME]]
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[0]
// CHECK-NEXT:    %[[V:.+]] = llvm.mlir.addressof @[[KIND]]
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[1]
// CHECK-NEXT:    %[[V:.+]] = llvm.mlir.constant(6400 : i64)
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[2]
// CHECK-NEXT:    %[[V:.+]] = llvm.mlir.constant(1 : i64)
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[3]
// CHECK-NEXT:    %[[V:.+]] = llvm.mlir.constant(0 : i64)
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[4]
// CHECK-NEXT:    %[[V:.+]] = llvm.mlir.constant(3200 : i64)
// CHECK-NEXT:    llvm.insertvalue %[[V]], %{{.+}}[5]
