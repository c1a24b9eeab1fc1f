// The function that finds the largest logits of a step.

// RUN: pquant-opt %s -allow-unregistered-dialect -split-input-file --pquant-nvvm-rank-logits --canonicalize --cse | FileCheck %s

// A block for each row of logits: the largest of each thread, the threshold bit by bit, then what reaches it.
// CHECK-LABEL: func.func @decode
// CHECK-LABEL: func.func @pquant_rank_logits
// CHECK-SAME:      (%{{.+}}: memref<?xi8>, %[[K:.+]]: memref<i32>, %[[LOGITS:.+]]: memref<?x32000xf32>, %[[FOUND:.+]]: memref<?x769xi32>)
// CHECK:         %[[ROWS:.+]] = memref.dim %[[LOGITS]]
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %[[ROWS]], {{.*}}) threads({{.*}}) in (%{{.+}} = %c1024,
// CHECK:           scf.for
// CHECK-COUNT-8:     memref.load %[[LOGITS]]
// CHECK:           scf.for
// CHECK:             nvvm.barrier #nvvm.reduction<popc>
// CHECK:           scf.for
// CHECK-COUNT-8:     memref.load %[[LOGITS]]
// CHECK:             memref.atomic_rmw addi
// CHECK:             memref.store %{{.+}}, %[[FOUND]]
// CHECK:           gpu.barrier
// CHECK:           memref.store %{{.+}}, %[[FOUND]][%{{.+}}, %c0]
func.func @main(%w: memref<?xi8>, %ids: memref<?xi64>) -> memref<?x100xf32> {
  %0 = "test.logits"(%ids) : (memref<?xi64>) -> memref<?x100xf32>
  return %0 : memref<?x100xf32>
}
func.func @decode(%w: memref<?xi8>, %ids: memref<1x1xi64>, %k: memref<1x2x?x64xf32> {pquant.state}) -> memref<1x32000xf32> {
  %0 = "test.logits"(%ids) : (memref<1x1xi64>) -> memref<1x32000xf32>
  return %0 : memref<1x32000xf32>
}

// -----

// Nothing is sampled from what is no float32, or no step's.
// CHECK-NOT:   @pquant_rank_logits
// CHECK-LABEL: func.func @narrow
func.func @narrow(%w: memref<?xi8>, %k: memref<8xf32> {pquant.state}) -> memref<1x100xf16> {
  %0 = "test.logits"() : () -> memref<1x100xf16>
  return %0 : memref<1x100xf16>
}
func.func @main(%w: memref<?xi8>) -> memref<1x100xf32> {
  %0 = "test.logits"() : () -> memref<1x100xf32>
  return %0 : memref<1x100xf32>
}
