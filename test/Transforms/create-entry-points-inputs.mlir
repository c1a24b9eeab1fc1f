// RUN: pquant-opt %s --pquant-create-entry-points --one-shot-bufferize=bufferize-function-boundaries | FileCheck %s

// A model that writes into an input gets a copy of it: inputs are the caller's.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<4xf32
// CHECK:         %[[COPY:.+]] = memref.alloc
// CHECK:         memref.copy %[[X]], %[[COPY]]
// CHECK:         memref.store %{{.+}}, %[[COPY]]
// CHECK:         return %[[COPY]]
func.func @main(%x: tensor<4xf32>, %y: f32, %i: index) -> tensor<4xf32> {
  %r = tensor.insert %y into %x[%i] : tensor<4xf32>
  return %r : tensor<4xf32>
}
