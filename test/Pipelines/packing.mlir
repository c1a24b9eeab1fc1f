// RUN: pquant-opt %s --pquant-packing-pipeline -o %t
// RUN: FileCheck %s --input-file=%t --implicit-check-not=pquant.decoupled_ffn --implicit-check-not=linalg.matmul
// RUN: pquant-opt %t --pquant-verify-packed -o /dev/null

// The interface of a model is the same after the phase.

// CHECK:       module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu"
module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>]>} {

// Two projections read one quantised activation and are one linear.

// CHECK-LABEL: func.func @projections(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<4x8xf32> {bufferization.writable = false, pquant.name = "x"}) -> (tensor<4x1x6xf32>, tensor<4x1x2xf32>)
// CHECK-DAG:     %[[W:.+]] = arith.constant dense_resource<[[$KEY:.+]]> : tensor<8x8xi1, #pquant.layout<d16>>
// CHECK:         %[[Q:.+]], %[[S:.+]] = pquant.quantize %[[X]]
// CHECK-NOT:     = pquant.quantize
// CHECK:         %[[Y:.+]] = pquant.binary_linear %[[Q]], %[[S]] planes(%[[W]])
// CHECK-NOT:     pquant.binary_linear
// CHECK-DAG:     tensor.extract_slice %[[Y]][0, 0] [4, 6] [1, 1]
// CHECK-DAG:     tensor.extract_slice %[[Y]][0, 6] [4, 2] [1, 1]
func.func @projections(%x: tensor<4x8xf32> {pquant.name = "x"}) -> (tensor<4x1x6xf32>, tensor<4x1x2xf32>) {
  %wa = arith.constant dense<true> : tensor<6x8xi1>
  %wb = arith.constant dense<false> : tensor<2x8xi1>
  %sa = arith.constant dense<0.5> : tensor<1x1xf32>
  %sb = arith.constant dense<0.25> : tensor<1x1xf32>
  %q0, %s0 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  %a = pquant.binary_linear %q0, %s0 planes(%wa) scales(%sa)
      : tensor<4x8xi8>, tensor<4xf32>, (tensor<6x8xi1>), (tensor<1x1xf32>) -> tensor<4x6xf32>
  %q1, %s1 = pquant.quantize %x {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
      : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  %b = pquant.binary_linear %q1, %s1 planes(%wb) scales(%sb)
      : tensor<4x8xi8>, tensor<4xf32>, (tensor<2x8xi1>), (tensor<1x1xf32>) -> tensor<4x2xf32>
  %ha = tensor.expand_shape %a [[0], [1, 2]] output_shape [4, 1, 6] : tensor<4x6xf32> into tensor<4x1x6xf32>
  %hb = tensor.expand_shape %b [[0], [1, 2]] output_shape [4, 1, 2] : tensor<4x2xf32> into tensor<4x1x2xf32>
  return %ha, %hb : tensor<4x1x6xf32>, tensor<4x1x2xf32>
}

// The chosen expert is evaluated; stacks and 1-bit weights are packed.

// CHECK-LABEL: func.func @experts(
// CHECK-DAG:     tensor<12x8xi1, #pquant.layout<d16>>
// CHECK-DAG:     tensor<8x12xi1, #pquant.layout<d16>>
// CHECK-DAG:     tensor<2x4x8xi8, #pquant.layout<i8x16x4>>
// CHECK-DAG:     tensor<2x8x4xi8, #pquant.layout<i8x16x4>>
// CHECK:         pquant.quantize
// CHECK:         pquant.expert_linear
func.func @experts(%x: tensor<?x8xf32>, %e: tensor<?xi64>, %p: tensor<?xf32>) -> tensor<?x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<2x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<2x8x4xi8>
  %s8 = arith.constant dense<[0.5, 1.0]> : tensor<2xf32>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s8, down %d8, %s8)
      routed(%e, %p : tensor<?xi64>, tensor<?xf32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<silu>}
      : tensor<?x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<2x4x8xi8>, tensor<2xf32>, tensor<2x8x4xi8>, tensor<2xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Without routing, both down projections are one decoupled linear.

// CHECK-LABEL: func.func @feed_forward(
// CHECK:         pquant.decoupled_linear
// CHECK-SAME:      tensor<8x4xi8, #pquant.layout<i8x16x4>>
// CHECK-SAME:      tensor<8x12xi1, #pquant.layout<d16>>
func.func @feed_forward(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %w1 = arith.constant dense<true> : tensor<12x8xi1>
  %d1 = arith.constant dense<true> : tensor<8x12xi1>
  %s1 = arith.constant dense<0.25> : tensor<1xf32>
  %w8 = arith.constant dense<3> : tensor<1x4x8xi8>
  %d8 = arith.constant dense<5> : tensor<1x8x4xi8>
  %y = pquant.decoupled_ffn %x binary(up %w1, %s1, down %d1, %s1) int8(up %w8, %s1, down %d8, %s1)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<relu>}
      : tensor<?x8xf32>, (tensor<12x8xi1>, tensor<1xf32>, tensor<8x12xi1>, tensor<1xf32>),
        (tensor<1x4x8xi8>, tensor<1xf32>, tensor<1x8x4xi8>, tensor<1xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A large float matrix is packed by rows, whatever its order was; where all its values are bfloat16, in two bytes each.

// CHECK-LABEL: func.func @head(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<{{.+}}> : tensor<512x32xf32, #pquant.layout<f32x16>>
// CHECK-NOT:     linalg.transpose
// CHECK:         pquant.float_linear %{{.+}}, %[[W]]
func.func @head(%x: tensor<4x32xf32>) -> tensor<4x512xf32> {
  %w = arith.constant dense<0.1> : tensor<32x512xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x512xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4x512xf32>) -> tensor<4x512xf32>
  %y = linalg.matmul ins(%x, %w : tensor<4x32xf32>, tensor<32x512xf32>) outs(%i : tensor<4x512xf32>) -> tensor<4x512xf32>
  return %y : tensor<4x512xf32>
}

// CHECK-LABEL: func.func @bfloat16_head(
// CHECK:         %[[W:.+]] = arith.constant dense_resource<{{.+}}> : tensor<512x32xf32, #pquant.layout<bf16x16>>
// CHECK:         pquant.float_linear %{{.+}}, %[[W]]
func.func @bfloat16_head(%x: tensor<4x32xf32>) -> tensor<4x512xf32> {
  %w = arith.constant dense<0.125> : tensor<32x512xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x512xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4x512xf32>) -> tensor<4x512xf32>
  %y = linalg.matmul ins(%x, %w : tensor<4x32xf32>, tensor<32x512xf32>) outs(%i : tensor<4x512xf32>) -> tensor<4x512xf32>
  return %y : tensor<4x512xf32>
}

}

// The joined weight: an alignment of 64, then a word for each of its 8 rows.

// CHECK:       {{^ *}}[[$KEY]]: "0x40000000FF000000FF000000FF000000FF000000FF000000FF00000000000000
