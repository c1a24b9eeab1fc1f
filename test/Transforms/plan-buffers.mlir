// RUN: pquant-opt %s -allow-unregistered-dialect --pquant-plan-buffers --canonicalize -split-input-file | FileCheck %s

// Bytes for each row: %a and, later, %d are at 0 .. 1024; %c, which meets %d, at 1024 .. 1152; %b (40 bytes rounded up to
// 64), which meets all of them, at 1152 .. 1216.

// CHECK-LABEL: func.func @rows(
// CHECK-SAME:    %[[N:.+]]: index
// CHECK-DAG:     %[[TOTAL:.+]] = arith.constant 1216 : index
// CHECK-DAG:     %[[ZERO:.+]] = arith.constant 0 : index
// CHECK-DAG:     %[[B:.+]] = arith.constant 1152 : index
// CHECK-DAG:     %[[C:.+]] = arith.constant 1024 : index
// CHECK:         %[[SIZE:.+]] = arith.muli %[[N]], %[[TOTAL]]
// CHECK:         %[[ARENA:.+]] = memref.alloc(%[[SIZE]]) {alignment = 64 : i64} : memref<?xi8>
// CHECK:         memref.view %[[ARENA]][%[[ZERO]]][%[[N]]] : memref<?xi8> to memref<?x256xf32>
// CHECK:         %[[AT:.+]] = arith.muli %[[N]], %[[B]]
// CHECK:         memref.view %[[ARENA]][%[[AT]]][%[[N]]] : memref<?xi8> to memref<?x40xi8>
// CHECK:         %[[AT:.+]] = arith.muli %[[N]], %[[C]]
// CHECK:         memref.view %[[ARENA]][%[[AT]]][%[[N]]] : memref<?xi8> to memref<?x32xf32>
// CHECK:         memref.view %[[ARENA]][%[[ZERO]]][%[[N]]] : memref<?xi8> to memref<?x256xf32>
// CHECK-NOT:     memref.dealloc
// CHECK:         "use"(%{{.+}}) : (memref<?x256xf32>) -> ()
// CHECK:         memref.dealloc %[[ARENA]]
// CHECK-NOT:     memref.alloc
func.func @rows(%n: index) {
  %a = memref.alloc(%n) {alignment = 64 : i64} : memref<?x256xf32>
  %b = memref.alloc(%n) {alignment = 64 : i64} : memref<?x40xi8>
  "use"(%a, %b) : (memref<?x256xf32>, memref<?x40xi8>) -> ()
  memref.dealloc %a : memref<?x256xf32>
  %c = memref.alloc(%n) {alignment = 64 : i64} : memref<?x32xf32>
  "use"(%b, %c) : (memref<?x40xi8>, memref<?x32xf32>) -> ()
  %d = memref.alloc(%n) {alignment = 64 : i64} : memref<?x256xf32>
  "use"(%c, %d) : (memref<?x32xf32>, memref<?x256xf32>) -> ()
  memref.dealloc %b : memref<?x40xi8>
  memref.dealloc %c : memref<?x32xf32>
  "use"(%d) : (memref<?x256xf32>) -> ()
  memref.dealloc %d : memref<?x256xf32>
  return
}

// -----

// Dimensions are followed through reshapes and allocations: rows are batch times positions; four heads of 64 bytes too.

// CHECK-LABEL: func.func @collapsed(
// CHECK-SAME:    %[[B:.+]]: index, %[[S:.+]]: index
// CHECK-DAG:     %[[TOTAL:.+]] = arith.constant 384 : index
// CHECK:         %[[UNITS:.+]] = arith.muli %[[B]], %[[S]]
// CHECK:         %[[SIZE:.+]] = arith.muli %[[UNITS]], %[[TOTAL]]
// CHECK:         memref.alloc(%[[SIZE]]) {alignment = 64 : i64} : memref<?xi8>
// CHECK-COUNT-3: memref.view
// CHECK-NOT:     memref.alloc
func.func @collapsed(%batch: index, %positions: index) {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %a = memref.alloc(%batch, %positions) : memref<?x?x16xf32>
  %flat = memref.collapse_shape %a [[0, 1], [2]] : memref<?x?x16xf32> into memref<?x16xf32>
  %rows = memref.dim %flat, %c0 : memref<?x16xf32>
  %q = memref.alloc(%rows) : memref<?x64xi8>
  %h = memref.alloc(%batch, %c4, %positions) : memref<?x?x?x16xf32>
  "use"(%flat, %q, %h) : (memref<?x16xf32>, memref<?x64xi8>, memref<?x?x?x16xf32>) -> ()
  memref.dealloc %q : memref<?x64xi8>
  memref.dealloc %h : memref<?x?x?x16xf32>
  memref.dealloc %a : memref<?x?x16xf32>
  return
}

// -----

// A unit is what is unknown: of 4 n rows, n.

// CHECK-LABEL: func.func @scaled(
// CHECK-SAME:    %[[N:.+]]: index
// CHECK-DAG:     %[[FOUR:.+]] = arith.constant 4 : index
// CHECK-DAG:     %[[TOTAL:.+]] = arith.constant 512 : index
// CHECK:         %[[ROWS:.+]] = arith.muli %[[N]], %[[FOUR]]
// CHECK:         %[[UNITS:.+]] = arith.divui %[[ROWS]], %[[FOUR]]
// CHECK:         arith.muli %[[UNITS]], %[[TOTAL]]
// CHECK-COUNT-2: memref.view
func.func @scaled(%n: index) {
  %c4 = arith.constant 4 : index
  %a = memref.alloc(%c4, %n) : memref<?x?x16xf32>
  %b = memref.alloc(%n, %c4) : memref<?x?x16xf32>
  "use"(%a, %b) : (memref<?x?x16xf32>, memref<?x?x16xf32>) -> ()
  memref.dealloc %a : memref<?x?x16xf32>
  memref.dealloc %b : memref<?x?x16xf32>
  return
}

// -----

// Static buffers, also those of a loop's body; i1 takes a byte.

// CHECK-LABEL: func.func @static(
// CHECK:         scf.for
// CHECK:           memref.alloc() {alignment = 64 : i64} : memref<192xi8>
// CHECK-COUNT-2:   memref.view
// CHECK:           memref.dealloc
func.func @static(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %a = memref.alloc() : memref<100xi1>
    %b = memref.alloc() : memref<7xindex>
    "use"(%a, %b) : (memref<100xi1>, memref<7xindex>) -> ()
    memref.dealloc %a : memref<100xi1>
    memref.dealloc %b : memref<7xindex>
  }
  return
}

// -----

// Left alone: what is returned, what is freed under a condition, a buffer that is alone of its kind, one with a layout.

// CHECK-LABEL: func.func @left_alone(
// CHECK-NOT:     memref.view
func.func @left_alone(%n: index, %m: index, %c: i1) -> memref<?xf32> {
  %a = memref.alloc(%n) : memref<?xf32>
  %b = memref.alloc(%n) : memref<?xf32>
  %d = memref.alloc(%n) : memref<?xf32>
  %e = memref.alloc(%m) : memref<?xf32>
  %f = memref.alloc(%n) : memref<?xf32, strided<[2]>>
  "use"(%a, %b, %d, %e, %f) : (memref<?xf32>, memref<?xf32>, memref<?xf32>, memref<?xf32>, memref<?xf32, strided<[2]>>) -> ()
  scf.if %c {
    memref.dealloc %b : memref<?xf32>
  }
  memref.dealloc %d : memref<?xf32>
  memref.dealloc %e : memref<?xf32>
  memref.dealloc %f : memref<?xf32, strided<[2]>>
  return %a : memref<?xf32>
}
