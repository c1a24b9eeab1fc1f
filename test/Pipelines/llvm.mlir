// RUN: pquant-opt %s --pquant-llvm-pipeline -o %t
// RUN: FileCheck %s --input-file=%t --implicit-check-not="{{^ *(%[^=]*= )?\"?(affine|arith|builtin|cf|func|math|memref|pqk|scf|ub|vector)\.}}"

// Afterwards every op is of the LLVM dialect. The functions from outside are
// those of the runtime.

// CHECK:       module attributes {pquant.target =
// CHECK-DAG:   llvm.func @pquant_rt_fail(!llvm.ptr)
// CHECK-DAG:   llvm.func @_mlir_memref_to_llvm_alloc(i64) -> !llvm.ptr
// CHECK-DAG:   llvm.func @_mlir_memref_to_llvm_free(!llvm.ptr)
// CHECK-DAG:   llvm.mlir.global internal constant @{{.+}}("expected rows\00")
// CHECK-DAG:   llvm.mlir.global private constant @small(dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>)
module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>]>} {
memref.global "private" constant @small : memref<2xf32> = dense<[1.0, 2.0]>

// The public function keeps its name and its attributes; a range of a
// pqk.parallel becomes a function with the same ones.

// CHECK-LABEL: llvm.func @main_avx2(
// CHECK-SAME:    passthrough = {{\[\[}}"target-cpu", "x86-64-v3"]], pquant.level = #pquant.level<"avx2"
// CHECK-DAG:     llvm.mlir.addressof @main_avx2_parallel
// CHECK-DAG:     llvm.mlir.addressof @small
// CHECK:         llvm.call @_mlir_memref_to_llvm_alloc(
// CHECK:         llvm.call @pquant_rt_parallel_for(
// CHECK:         llvm.call @_mlir_memref_to_llvm_free(
// CHECK:         llvm.return
// CHECK:         llvm.call @pquant_rt_fail(
// CHECK:         llvm.unreachable
// CHECK-LABEL: llvm.func internal @main_avx2_parallel(
// CHECK-SAME:    passthrough = {{\[\[}}"target-cpu", "x86-64-v3"]]
// CHECK:         llvm.intr.fma(
// CHECK-NOT:     llvm.intr.exp(
// CHECK:         llvm.intr.sin(
// CHECK:         llvm.return
func.func @main_avx2(%x: memref<?x128xf32>, %b: index, %s: index) -> memref<?x?x128xf32>
    attributes {passthrough = [["target-cpu", "x86-64-v3"]],
                pquant.level = #pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma",
                                             vector_bits = 256>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = memref.dim %x, %c0 : memref<?x128xf32>
  %ok = arith.cmpi ne, %rows, %c0 : index
  cf.assert %ok, "expected rows"
  %small = memref.get_global @small : memref<2xf32>
  %t = memref.alloc(%rows) {alignment = 64 : i64} : memref<?x128xf32>
  %grain = arith.ceildivui %rows, %b : index
  pqk.parallel (%begin, %end) in %rows grain %grain {
    scf.for %i = %begin to %end step %c1 {
      %v = memref.load %x[%i, %c0] : memref<?x128xf32>
      %w = memref.load %small[%c1] : memref<2xf32>
      %e = math.exp %v : f32
      %f = math.sin %w : f32
      %r = arith.addf %e, %f : f32
      memref.store %r, %t[%i, %c0] : memref<?x128xf32>
      %o = memref.subview %t[%i, 0] [1, 8] [1, 1] : memref<?x128xf32> to memref<8xf32, strided<[1], offset: ?>>
      %row = vector.transfer_read %o[%c0], %r {in_bounds = [true]} : memref<8xf32, strided<[1], offset: ?>>, vector<8xf32>
      vector.transfer_write %row, %t[%i, %c0] {in_bounds = [true]} : vector<8xf32>, memref<?x128xf32>
    }
  }
  %y = memref.alloc(%rows) {alignment = 64 : i64} : memref<?x128xf32>
  memref.copy %t, %y : memref<?x128xf32> to memref<?x128xf32>
  memref.dealloc %t : memref<?x128xf32>
  %z = memref.expand_shape %y [[0, 1], [2]] output_shape [%b, %s, 128] : memref<?x128xf32> into memref<?x?x128xf32>
  return %z : memref<?x?x128xf32>
}
}

// CHECK:       llvm.func @pquant_rt_parallel_for(!llvm.ptr, !llvm.ptr, i64, i64)
