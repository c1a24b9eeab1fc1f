// RUN: pquant-opt %s --pquant-pack-bits=layout=d16 -split-input-file | FileCheck %s
// RUN: pquant-opt %s --pquant-pack-bits=layout=d16 -split-input-file --remarks-filter=pquant-pack-bits 2>&1 | FileCheck %s --check-prefix=REMARK

// d16: row 0 is + - + (bits 101), row 1 is - + + (bits 110); words of rows 0 and
// 1 of block (0, 0), the rest of 2 blocks of 64 bytes is padding. The first four
// bytes of a printed blob are its alignment, 64.

// REMARK: Packed {{.*}}packed a weight into d16 for 1 uses: 128 bytes
// CHECK-LABEL: func.func @binary(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<[[KEY:.+]]> : tensor<2x3xi1, #pquant.layout<d16>>
// CHECK:         pquant.binary_linear {{.*}} planes(%[[W]])
// CHECK:         [[KEY]]: "0x400000000500000006000000{{(0{240})}}"
func.func @binary(%q: tensor<4x3xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[true, false, true], [false, true, true]]> : tensor<2x3xi1>
  %ws = arith.constant dense<0.5> : tensor<1x1xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
      : tensor<4x3xi8>, tensor<4xf32>, (tensor<2x3xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// i8x16x4: bytes 0 to 3 of row 0, then of row 1; column 4 is in the next block
// of 64 bytes. 16 x 64 bytes.

// REMARK: Packed {{.*}}packed a weight into i8x16x4 for 1 uses: 1024 bytes
// CHECK-LABEL: func.func @int8(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<[[KEY:.+]]> : tensor<2x5xi8, #pquant.layout<i8x16x4>>
// CHECK:         pquant.int8_linear %{{.+}}, %{{.+}}, %[[W]]
// CHECK:         [[KEY]]: "0x40000000010203048081FEFF{{(0{112})}}050000007F{{0+}}"
func.func @int8(%q: tensor<4x5xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[1, 2, 3, 4, 5], [-128, -127, -2, -1, 127]]> : tensor<2x5xi8>
  %ws = arith.constant dense<0.5> : tensor<1xf32>
  %y = pquant.int8_linear %q, %s, %w, %ws : tensor<4x5xi8>, tensor<4xf32>, tensor<2x5xi8>, tensor<1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// f32x16 through a transpose: lane r of (0, k) is W[r][k]; W is [K, N] here, so
// k = 0 gives 1, 2, 3 and k = 1 gives 4, 5, 6. Columns are not padded.

// CHECK-LABEL: func.func @float(
// CHECK-NOT:     linalg.transpose
// CHECK:         %[[W:.+]] = arith.constant dense_resource<[[KEY:.+]]> : tensor<3x2xf32, #pquant.layout<f32x16>>
// CHECK:         pquant.float_linear %{{.+}}, %[[W]]
// CHECK:         [[KEY]]: "0x400000000000803F0000004000004040{{(0{104})}}000080400000A0400000C040{{(0{104})}}"
func.func @float(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %e = tensor.empty() : tensor<3x2xf32>
  %t = linalg.transpose ins(%w : tensor<2x3xf32>) outs(%e : tensor<3x2xf32>) permutation = [1, 0]
  %y = pquant.float_linear %x, %t : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return %y : tensor<4x3xf32>
}

// -----

// A constant in two functions is packed once; experts and both halves of a
// decoupled linear are packed.

// REMARK: packed a weight into i8x16x4 for 2 uses
// CHECK-LABEL: func.func @shared_a(
// CHECK:         arith.constant dense_resource<[[$KEY:.+]]> : tensor<1x2x3xi8, #pquant.layout<i8x16x4>>
func.func @shared_a(%q: tensor<4x3xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[[1, 2, 3], [4, 5, 6]]]> : tensor<1x2x3xi8>
  %ws = arith.constant dense<0.5> : tensor<1x1xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
      : tensor<4x3xi8>, tensor<4xf32>, tensor<4xi64>, tensor<1x2x3xi8>, tensor<1x1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
// CHECK-LABEL: func.func @shared_b(
// CHECK:         arith.constant dense_resource<[[$KEY]]> : tensor<1x2x3xi8, #pquant.layout<i8x16x4>>
func.func @shared_b(%q: tensor<4x3xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[[1, 2, 3], [4, 5, 6]]]> : tensor<1x2x3xi8>
  %ws = arith.constant dense<0.25> : tensor<1x1xf32>
  %y = pquant.expert_linear %q, %s, %e, %w, %ws
      : tensor<4x3xi8>, tensor<4xf32>, tensor<4xi64>, tensor<1x2x3xi8>, tensor<1x1xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
// CHECK-LABEL: func.func @decoupled(
// CHECK:         pquant.decoupled_linear
// CHECK-SAME:      tensor<2x3xi8, #pquant.layout<i8x16x4>>
// CHECK-SAME:      tensor<2x3xi1, #pquant.layout<d16>>
func.func @decoupled(%q: tensor<4x3xi8>, %s: tensor<4xf32>) -> tensor<4x2xf32> {
  %w8 = arith.constant dense<7> : tensor<2x3xi8>
  %w1 = arith.constant dense<true> : tensor<2x3xi1>
  %s8 = arith.constant dense<0.5> : tensor<1xf32>
  %s1 = arith.constant dense<0.5> : tensor<1x1xf32>
  %y = pquant.decoupled_linear int8(%q, %s, %w8, %s8) binary(%q, %s, planes(%w1), scales(%s1))
      : (tensor<4x3xi8>, tensor<4xf32>, tensor<2x3xi8>, tensor<1xf32>),
        (tensor<4x3xi8>, tensor<4xf32>, (tensor<2x3xi1>), (tensor<1x1xf32>)) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A resource is freed when its last plain use is packed, and stays when a
// gather still reads it (a tied embedding).

// REMARK: Packed {{.*}}f32x16
// CHECK-LABEL: func.func @tied_embedding(
// CHECK:         %[[PLAIN:.+]] = arith.constant dense_resource<table> : tensor<2x3xf32>
// CHECK:         tensor.extract_slice %[[PLAIN]]
// CHECK:         pquant.float_linear
// CHECK-DAG:     packed_table: "0x40
// CHECK-DAG:     table: "0x040000000000803F0000803F0000803F0000803F0000803F0000803F"
// CHECK-NOT:     {{^ *}}freed
func.func @tied_embedding(%x: tensor<4x3xf32>, %i: index) -> (tensor<1x3xf32>, tensor<4x2xf32>, tensor<4x2xf32>) {
  %t = arith.constant dense_resource<table> : tensor<2x3xf32>
  %f = arith.constant dense_resource<freed> : tensor<2x3xf32>
  %r = tensor.extract_slice %t[%i, 0] [1, 3] [1, 1] : tensor<2x3xf32> to tensor<1x3xf32>
  %y = pquant.float_linear %x, %t : tensor<4x3xf32>, tensor<2x3xf32> -> tensor<4x2xf32>
  %z = pquant.float_linear %x, %f : tensor<4x3xf32>, tensor<2x3xf32> -> tensor<4x2xf32>
  return %r, %y, %z : tensor<1x3xf32>, tensor<4x2xf32>, tensor<4x2xf32>
}

{-#
  dialect_resources: {
    builtin: {
      table: "0x040000000000803F0000803F0000803F0000803F0000803F0000803F",
      freed: "0x040000000000803F0000803F0000803F0000803F0000803F0000803F"
    }
  }
#-}

// -----

// Near misses: two scales a row, and a weight that is no constant.

// REMARK: NotPacked {{.*}}several scales a row
// REMARK: NotPacked {{.*}}it is no constant
// CHECK-LABEL: func.func @left_alone(
// CHECK-NOT:     #pquant.layout
func.func @left_alone(%q: tensor<4x4xi8>, %s: tensor<4xf32>, %v: tensor<2x4xi1>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %w = arith.constant dense<true> : tensor<2x4xi1>
  %w2 = arith.constant dense<0.5> : tensor<1x2xf32>
  %w1 = arith.constant dense<0.5> : tensor<1x1xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%w2)
      : tensor<4x4xi8>, tensor<4xf32>, (tensor<2x4xi1>), (tensor<1x2xf32>) -> tensor<4x2xf32>
  %z = pquant.binary_linear %q, %s planes(%v, %w) scales(%w1, %w1)
      : tensor<4x4xi8>, tensor<4xf32>, (tensor<2x4xi1>, tensor<2x4xi1>), (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  return %y, %z : tensor<4x2xf32>, tensor<4x2xf32>
}
