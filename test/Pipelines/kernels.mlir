// RUN: pquant-opt %s --pquant-kernels-pipeline -o %t 2>%t.txt
// RUN: FileCheck %s --input-file=%t --implicit-check-not="{{tensor<|^ *(%[^=]*= )?\"?(bufferization\.|func\.func @|linalg\.|pqk\.[^p]|pquant\.|scf\.parallel|tensor\.)}}"
// RUN: FileCheck %s --input-file=%t.txt --check-prefix=REMARK
// RUN: pquant-opt %t --pquant-llvm-pipeline -o /dev/null

// Afterwards there are memrefs, loops, calls of kernels and nothing else: no
// tensor, no linalg, of pqk only pqk.parallel, of pquant only attributes, and no
// public function but those that are named here.

// The packed weights move to the blob; the scales of a layer are small and stay.

// CHECK:       module attributes {pquant.target = {{.*}}, pquant.weight_bytes = 256 : i64}
// CHECK-DAG:   memref.global "private" constant @[[$W1:.+]] : memref<128xi8> = dense_resource<first> {{.*}}pquant.offset = {{0|128}} : i64}
// CHECK-DAG:   memref.global "private" constant @[[$W2:.+]] : memref<128xi8> = dense_resource<second> {{.*}}pquant.offset = {{0|128}} : i64}
// CHECK-DAG:   memref.global "private" constant @[[$SCALES:.+]] : memref<5xf32> = dense<5.000000e-01> {alignment = 64 : i64}
module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>,
    <"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>]>} {

// Both blocks are one function. What it needs for itself is one arena that it
// frees after the last use; what it returns is its caller's.

// REMARK: remark: 2 layers of {{[0-9]+}} operations share @layer
// CHECK-LABEL: func.func private @layer_generic(
// CHECK-SAME:    %[[BASE:[a-z0-9]+]]: memref<?xi8>
// CHECK-SAME:    pquant.level = #pquant.level<"generic"
// CHECK:         %[[SCALES:.+]] = memref.get_global @[[$SCALES]]
// CHECK:         %[[ARENA:.+]] = memref.alloc(%{{.+}}) {{.*}} : memref<?xi8>
// CHECK:         memref.view %[[ARENA]]{{.*}} : memref<?xi8> to memref<?x64xi8>
// CHECK:         call @pqk_quantize_mul_recip_generic(
// CHECK:         %[[RESULT:.+]] = memref.alloc(%{{.+}}) {{.*}} : memref<?x5xf32>
// CHECK:         call @pqk_binary_linear_generic(
// CHECK-NOT:     memref.dealloc %[[RESULT]]
// CHECK:         memref.dealloc %[[ARENA]]
// CHECK:         pqk.parallel
// CHECK:           math.exp
// CHECK-NOT:     memref.dealloc %[[RESULT]]
// CHECK:         return %[[RESULT]] : memref<?x5xf32>
// CHECK-LABEL: func.func private @layer_avx2(
// CHECK-SAME:    pquant.level = #pquant.level<"avx2"
// CHECK:         call @pqk_quantize_mul_recip_avx2(
// CHECK:         call @pqk_binary_linear_avx2(

// One public function for each level, with the base of the weights in front. The
// buffer between the blocks is freed here.

// CHECK-LABEL: func.func @main_generic(
// CHECK-SAME:    %[[BASE:[a-z0-9]+]]: memref<?xi8>, %[[X0:[a-z0-9]+]]: memref<?x5xf32>) -> memref<?x5xf32> attributes
// CHECK-SAME:    pquant.level = #pquant.level<"generic"
// CHECK-DAG:     memref.view %[[BASE]][%{{.+}}][] : memref<?xi8> to memref<128xi8>
// CHECK-DAG:     memref.view %[[BASE]][%{{.+}}][] : memref<?xi8> to memref<128xi8>
// CHECK:         cf.assert %{{.+}}, "expected rows"
// CHECK:         %[[X1:.+]] = call @layer_generic(%[[BASE]], %{{.+}}, %[[X0]], %{{.+}})
// CHECK:         %[[X2:.+]] = call @layer_generic(%[[BASE]], %{{.+}}, %[[X1]], %{{.+}})
// CHECK:         %[[BUFFER:[a-z0-9_]+]], {{.+}} = memref.extract_strided_metadata %[[X1]]
// CHECK:         memref.dealloc %[[BUFFER]]
// CHECK-NOT:     memref.dealloc
// CHECK:         return %[[X2]]
// CHECK-LABEL: func.func @main_avx2(
// CHECK-SAME:    pquant.level = #pquant.level<"avx2"
// CHECK-COUNT-2: call @layer_avx2(
func.func @main(%x: tensor<?x5xf32> {pquant.name = "x"}) -> (tensor<?x5xf32> {pquant.name = "y"}) {
  %w1 = arith.constant dense_resource<first> : tensor<5x5xi1, #pquant.layout<d16>>
  %w2 = arith.constant dense_resource<second> : tensor<5x5xi1, #pquant.layout<d16>>
  %ws = arith.constant dense<0.5> : tensor<1x1xf32>
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x5xf32>
  %ok = arith.cmpi ne, %d, %c0 : index
  cf.assert %ok, "expected rows"
  %e = tensor.empty(%d) : tensor<?x5xf32>
  %q1, %s1 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<?x5xf32> -> tensor<?x5xi8>, tensor<?xf32>
  %y1 = pquant.binary_linear %q1, %s1 planes(%w1) scales(%ws)
      : tensor<?x5xi8>, tensor<?xf32>, (tensor<5x5xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<?x5xf32>
  %x1 = linalg.exp ins(%y1 : tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  %q2, %s2 = pquant.quantize %x1 {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<?x5xf32> -> tensor<?x5xi8>, tensor<?xf32>
  %y2 = pquant.binary_linear %q2, %s2 planes(%w2) scales(%ws)
      : tensor<?x5xi8>, tensor<?xf32>, (tensor<5x5xi1, #pquant.layout<d16>>), (tensor<1x1xf32>) -> tensor<?x5xf32>
  %x2 = linalg.exp ins(%y2 : tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  return %x2 : tensor<?x5xf32>
}
}

// Kernels are private, one of a kind for each level.

// CHECK:       func.func private @pqk_quantize_mul_recip_generic(
// CHECK:       func.func private @pqk_binary_linear_generic(
// CHECK-NOT:   @pqk_binary_linear_generic(
// CHECK:       func.func private @pqk_binary_linear_avx2(

{-#
  dialect_resources: {
    builtin: {
      first: "0x40000000010000001F000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      second: "0x40000000020000001F000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    }
  }
#-}
