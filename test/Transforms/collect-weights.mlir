// RUN: pquant-opt %s --pquant-collect-weights=min-bytes=16 -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-collect-weights -split-input-file | FileCheck %s --check-prefix=DEFAULT

// Constants of at least 16 bytes get places in the order of the module, each at
// a multiple of 64: 72 bytes of floats take 128. By default 1024 bytes are the
// least.

// CHECK:       module attributes {pquant.weight_bytes = 192 : i64}
// CHECK:       memref.global "private" constant @bytes : memref<16xi8> = dense<7> {pquant.offset = 0 : i64}
// CHECK:       memref.global "private" constant @small : memref<15xi8> = dense<7>{{$}}
// CHECK:       memref.global "private" constant @floats : memref<2x9xf32> = dense<1.000000e+00> {pquant.offset = 64 : i64}
// CHECK-LABEL: func.func @sizes(
// CHECK-SAME:    %[[BASE:[a-z0-9]+]]: memref<?xi8>, %{{[a-z0-9]+}}: f32) -> (memref<16xi8>, memref<15xi8>, memref<2x9xf32>)
// CHECK:         %[[C0:.+]] = arith.constant 0 : index
// CHECK:         %[[BYTES:.+]] = memref.view %[[BASE]][%[[C0]]][] : memref<?xi8> to memref<16xi8>
// CHECK:         %[[SMALL:.+]] = memref.get_global @small
// CHECK:         %[[C64:.+]] = arith.constant 64 : index
// CHECK:         %[[FLOATS:.+]] = memref.view %[[BASE]][%[[C64]]][] : memref<?xi8> to memref<2x9xf32>
// CHECK:         return %[[BYTES]], %[[SMALL]], %[[FLOATS]]
// DEFAULT:     module attributes {pquant.weight_bytes = 0 : i64}
// DEFAULT-LABEL: func.func @sizes(%{{.+}}: memref<?xi8>, %{{.+}}: f32)
// DEFAULT-NOT:   memref.view
memref.global "private" constant @bytes : memref<16xi8> = dense<7>
memref.global "private" constant @small : memref<15xi8> = dense<7>
memref.global "private" constant @floats : memref<2x9xf32> = dense<1.0>
func.func @sizes(%x: f32) -> (memref<16xi8>, memref<15xi8>, memref<2x9xf32>) {
  %0 = memref.get_global @bytes : memref<16xi8>
  %1 = memref.get_global @small : memref<15xi8>
  %2 = memref.get_global @floats : memref<2x9xf32>
  return %0, %1, %2 : memref<16xi8>, memref<15xi8>, memref<2x9xf32>
}

// -----

// 256 floats are the smallest constant that moves by default.

// DEFAULT:     module attributes {pquant.weight_bytes = 1024 : i64}
// DEFAULT:     @moves : memref<256xf32> = dense<1.000000e+00> {pquant.offset = 0 : i64}
// DEFAULT:     @stays : memref<255xf32> = dense<1.000000e+00>{{$}}
memref.global "private" constant @moves : memref<256xf32> = dense<1.0>
memref.global "private" constant @stays : memref<255xf32> = dense<1.0>

// -----

// A resource moves whatever its size; LLVM has no constant for it.

// CHECK:       module attributes {pquant.weight_bytes = 64 : i64}
// CHECK:       @resource : memref<2xi8> = dense_resource<two> {pquant.offset = 0 : i64}
// CHECK-LABEL: func.func @resource_of_two_bytes(
// CHECK:         memref.view
// DEFAULT:     @resource : memref<2xi8> = dense_resource<two> {pquant.offset = 0 : i64}
memref.global "private" constant @resource : memref<2xi8> = dense_resource<two>
func.func @resource_of_two_bytes() -> memref<2xi8> {
  %0 = memref.get_global @resource : memref<2xi8>
  return %0 : memref<2xi8>
}

{-#
  dialect_resources: {
    builtin: {
      two: "0x010000000102"
    }
  }
#-}

// -----

// The base goes along in calls, those in regions included, but not to functions
// of others, which have no body. Each reader makes a view of its own.

// CHECK-LABEL: func.func @calls(
// CHECK-SAME:    %[[BASE:[a-z0-9]+]]: memref<?xi8>, %[[B:[a-z0-9]+]]: i1)
// CHECK:         %[[W:.+]] = memref.view %[[BASE]]
// CHECK:         call @external(%[[W]]) : (memref<4xi64>) -> ()
// CHECK:         scf.if %[[B]]
// CHECK:           call @reader(%[[BASE]], %[[B]]) : (memref<?xi8>, i1) -> ()
// CHECK-LABEL: func.func private @external(memref<4xi64>)
// CHECK-LABEL: func.func private @reader(
// CHECK-SAME:    %[[BASE:[a-z0-9]+]]: memref<?xi8>, %[[B:[a-z0-9]+]]: i1)
// CHECK:         scf.if %[[B]]
// CHECK:           %[[W:.+]] = memref.view %[[BASE]]
// CHECK:           call @external(%[[W]]) : (memref<4xi64>) -> ()
memref.global "private" constant @shared : memref<4xi64> = dense<1>
func.func @calls(%b: i1) {
  %0 = memref.get_global @shared : memref<4xi64>
  call @external(%0) : (memref<4xi64>) -> ()
  scf.if %b {
    func.call @reader(%b) : (i1) -> ()
  }
  return
}
func.func private @external(memref<4xi64>)
func.func private @reader(%b: i1) {
  scf.if %b {
    %0 = memref.get_global @shared : memref<4xi64>
    func.call @external(%0) : (memref<4xi64>) -> ()
  }
  return
}

// -----

// Left alone: what has no fixed bytes, what may be written, what has no value
// here.

// CHECK:       module attributes {pquant.weight_bytes = 0 : i64}
// CHECK-NOT:   pquant.offset
// CHECK-LABEL: func.func @left_alone(
// CHECK-NEXT:    memref.get_global @indices
// CHECK-NEXT:    memref.get_global @variable
// CHECK-NEXT:    memref.get_global @elsewhere
// CHECK-NOT:     memref.view
memref.global "private" constant @indices : memref<8xindex> = dense<3>
memref.global "private" @variable : memref<8xf32> = dense<1.0>
memref.global "private" constant @elsewhere : memref<8xf32>
func.func @left_alone() -> (memref<8xindex>, memref<8xf32>, memref<8xf32>) {
  %0 = memref.get_global @indices : memref<8xindex>
  %1 = memref.get_global @variable : memref<8xf32>
  %2 = memref.get_global @elsewhere : memref<8xf32>
  return %0, %1, %2 : memref<8xindex>, memref<8xf32>, memref<8xf32>
}
