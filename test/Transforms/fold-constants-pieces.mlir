// RUN: pquant-opt %s --pquant-fold-constants | FileCheck %s

#id = affine_map<(i) -> (i)>
#map = {indexing_maps = [#id, #id], iterator_types = ["parallel"]}

// Two bits of each byte, shifted down without sign, written into every other
// place of zeros: (0b11100100 & 12) >> 2 = 1, (0b10011011 & 12) >> 2 = 2.
// CHECK-LABEL: @bits_and_slices
// CHECK: arith.constant dense<[0, 1, 0, 2]> : tensor<4xi8>
func.func @bits_and_slices() -> tensor<4xi8> {
  %x = arith.constant dense<[228, 155]> : tensor<2xi8>
  %zeros = arith.constant dense<0> : tensor<4xi8>
  %empty = tensor.empty() : tensor<2xi8>
  %codes = linalg.generic #map ins(%x : tensor<2xi8>) outs(%empty : tensor<2xi8>) {
  ^bb0(%in: i8, %out: i8):
    %mask = arith.constant 12 : i8
    %two = arith.constant 2 : i8
    %0 = arith.andi %in, %mask : i8
    %1 = arith.shrui %0, %two : i8
    linalg.yield %1 : i8
  } -> tensor<2xi8>
  %result = tensor.insert_slice %codes into %zeros[1] [2] [2] : tensor<2xi8> into tensor<4xi8>
  return %result : tensor<4xi8>
}

// A scatter of rows, as the frontends write it.
// CHECK-LABEL: @scatter
// CHECK: arith.constant dense<{{\[\[5, 6\], \[9, 9\], \[7, 8\]\]}}> : tensor<3x2xi64>
func.func @scatter() -> tensor<3x2xi64> {
  %nines = arith.constant dense<9> : tensor<3x2xi64>
  %updates = arith.constant dense<[[7, 8], [5, 6]]> : tensor<2x2xi64>
  %where = arith.constant dense<[-1, 0]> : tensor<2xi64>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %result = scf.for %i = %c0 to %c2 step %c1 iter_args(%rows = %nines) -> (tensor<3x2xi64>) {
    %row = scf.for %j = %c0 to %c2 step %c1 iter_args(%all = %rows) -> (tensor<3x2xi64>) {
      %index = tensor.extract %where[%i] : tensor<2xi64>
      %given = arith.index_cast %index : i64 to index
      %from_end = arith.addi %given, %c3 : index
      %is_negative = arith.cmpi slt, %given, %c0 : index
      %at = arith.select %is_negative, %from_end, %given : index
      %value = tensor.extract %updates[%i, %j] : tensor<2x2xi64>
      %0 = tensor.insert %value into %all[%at, %j] : tensor<3x2xi64>
      scf.yield %0 : tensor<3x2xi64>
    }
    scf.yield %row : tensor<3x2xi64>
  }
  return %result : tensor<3x2xi64>
}

// What is added to what is there depends on the order: left alone.
// CHECK-LABEL: @scatter_add
// CHECK: scf.for
func.func @scatter_add() -> tensor<3xi64> {
  %zeros = arith.constant dense<0> : tensor<3xi64>
  %where = arith.constant dense<[1, 1]> : tensor<2xindex>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %one = arith.constant 1 : i64
  %result = scf.for %i = %c0 to %c2 step %c1 iter_args(%all = %zeros) -> (tensor<3xi64>) {
    %at = tensor.extract %where[%i] : tensor<2xindex>
    %old = tensor.extract %all[%at] : tensor<3xi64>
    %value = arith.addi %old, %one : i64
    %0 = tensor.insert %value into %all[%at] : tensor<3xi64>
    scf.yield %0 : tensor<3xi64>
  }
  return %result : tensor<3xi64>
}
