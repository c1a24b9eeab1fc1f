// RUN: pquant-opt %s --pquant-expand-reshapes --canonicalize | FileCheck %s
// RUN: pquant-opt %s --pquant-expand-reshapes --expand-strided-metadata --lower-affine --pquant-to-llvm -o /dev/null

// Several run-time sizes in a group; their order in the strides is that of the
// dimensions, from the inside.

// CHECK-LABEL: func.func @several_dynamic(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<?x128xf32>, %[[A:[a-z0-9]+]]: index, %[[B:[a-z0-9]+]]: index, %[[C:[a-z0-9]+]]: index)
// CHECK:         %[[C128:.+]] = arith.constant 128 : index
// CHECK:         %[[S1:.+]] = arith.muli %[[C]], %[[C128]]
// CHECK:         %[[S0:.+]] = arith.muli %[[S1]], %[[B]]
// CHECK:         %[[Y:.+]] = memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[A]], %[[B]], %[[C]], 128],
// CHECK-SAME:      strides: [%[[S0]], %[[S1]], 128, 1] : memref<?x128xf32> to memref<?x?x?x128xf32>
// CHECK-NOT:     memref.expand_shape
// CHECK:         return %[[Y]]
func.func @several_dynamic(%x: memref<?x128xf32>, %a: index, %b: index, %c: index) -> memref<?x?x?x128xf32> {
  %0 = memref.expand_shape %x [[0, 1, 2], [3]] output_shape [%a, %b, %c, 128]
      : memref<?x128xf32> into memref<?x?x?x128xf32>
  return %0 : memref<?x?x?x128xf32>
}

// Two groups with run-time sizes: the outer one starts at the source's stride.

// CHECK-LABEL: func.func @two_groups(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<?x?xf32>, %[[A:[a-z0-9]+]]: index, %[[B:[a-z0-9]+]]: index, %[[C:[a-z0-9]+]]: index, %[[D:[a-z0-9]+]]: index)
// CHECK:         %{{.+}}, %{{.+}}, %{{.+}}:2, %[[STRIDES:.+]]:2 = memref.extract_strided_metadata %[[X]]
// CHECK:         %[[S0:.+]] = arith.muli %[[STRIDES]]#0, %[[B]]
// CHECK:         memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[A]], %[[B]], %[[C]], %[[D]]],
// CHECK-SAME:      strides: [%[[S0]], %[[STRIDES]]#0, %[[D]], 1]
func.func @two_groups(%x: memref<?x?xf32>, %a: index, %b: index, %c: index, %d: index) -> memref<?x?x?x?xf32> {
  %0 = memref.expand_shape %x [[0, 1], [2, 3]] output_shape [%a, %b, %c, %d]
      : memref<?x?xf32> into memref<?x?x?x?xf32>
  return %0 : memref<?x?x?x?xf32>
}

// CHECK-LABEL: func.func @static(
// CHECK-NEXT:    memref.reinterpret_cast %{{.+}} to offset: [0], sizes: [2, 3, 8], strides: [24, 8, 1]
func.func @static(%x: memref<6x8xf32>) -> memref<2x3x8xf32> {
  %0 = memref.expand_shape %x [[0, 1], [2]] output_shape [2, 3, 8] : memref<6x8xf32> into memref<2x3x8xf32>
  return %0 : memref<2x3x8xf32>
}

// One element has no group: all strides are 1.

// CHECK-LABEL: func.func @rank_0(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<f32>)
// CHECK-NEXT:    memref.reinterpret_cast %[[X]] to offset: [0], sizes: [1, 1, 1], strides: [1, 1, 1] : memref<f32> to memref<1x1x1xf32>
func.func @rank_0(%x: memref<f32>) -> memref<1x1x1xf32> {
  %0 = memref.expand_shape %x [] output_shape [1, 1, 1] : memref<f32> into memref<1x1x1xf32>
  return %0 : memref<1x1x1xf32>
}

// A part of a buffer keeps its offset and the stride between its rows, which may
// be known at run time only.

// CHECK-LABEL: func.func @strided(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<6x8xf32, strided<[?, 1], offset: ?>>)
// CHECK:         %[[C3:.+]] = arith.constant 3 : index
// CHECK:         %{{.+}}, %[[OFFSET:.+]], %{{.+}}:2, %[[STRIDES:.+]]:2 = memref.extract_strided_metadata %[[X]]
// CHECK:         %[[S0:.+]] = arith.muli %[[STRIDES]]#0, %[[C3]]
// CHECK:         memref.reinterpret_cast %[[X]] to offset: [%[[OFFSET]]], sizes: [2, 3, 8], strides: [%[[S0]], %[[STRIDES]]#0, 1]
func.func @strided(%x: memref<6x8xf32, strided<[?, 1], offset: ?>>) -> memref<2x3x8xf32, strided<[?, ?, 1], offset: ?>> {
  %0 = memref.expand_shape %x [[0, 1], [2]] output_shape [2, 3, 8]
      : memref<6x8xf32, strided<[?, 1], offset: ?>> into memref<2x3x8xf32, strided<[?, ?, 1], offset: ?>>
  return %0 : memref<2x3x8xf32, strided<[?, ?, 1], offset: ?>>
}

// Left alone: upstream takes the other direction.

// CHECK-LABEL: func.func @collapse(
// CHECK-NEXT:    memref.collapse_shape
func.func @collapse(%x: memref<2x3xf32>) -> memref<6xf32> {
  %0 = memref.collapse_shape %x [[0, 1]] : memref<2x3xf32> into memref<6xf32>
  return %0 : memref<6xf32>
}
