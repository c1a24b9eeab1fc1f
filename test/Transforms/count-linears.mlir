// RUN: pquant-opt %s --pquant-count-linears -split-input-file -verify-diagnostics -o /dev/null

// expected-remark @+1 {{1 1-bit and 1 INT8 matrices, 4.50 bits per weight}}
func.func @count_one_of_each(%q: tensor<4x128xi8>, %s: tensor<4xf32>, %w1: tensor<64x128xi1>, %s1: tensor<1x1xf32>,
                             %w8: tensor<64x128xi8>, %s8: tensor<1xf32>) -> (tensor<4x64xf32>, tensor<4x64xf32>) {
  %0 = pquant.binary_linear %q, %s planes(%w1) scales(%s1)
      : tensor<4x128xi8>, tensor<4xf32>, (tensor<64x128xi1>), (tensor<1x1xf32>) -> tensor<4x64xf32>
  %1 = pquant.int8_linear %q, %s, %w8, %s8
      : tensor<4x128xi8>, tensor<4xf32>, tensor<64x128xi8>, tensor<1xf32> -> tensor<4x64xf32>
  return %0, %1 : tensor<4x64xf32>, tensor<4x64xf32>
}

// -----

// expected-remark @+1 {{1 1-bit and 0 INT8 matrices, 2.00 bits per weight}}
func.func @count_two_planes(%q: tensor<4x128xi8>, %s: tensor<4xf32>, %a: tensor<64x128xi1>, %b: tensor<64x128xi1>,
                            %sa: tensor<1x1xf32>) -> tensor<4x64xf32> {
  %0 = pquant.binary_linear %q, %s planes(%a, %b) scales(%sa, %sa)
      : tensor<4x128xi8>, tensor<4xf32>, (tensor<64x128xi1>, tensor<64x128xi1>), (tensor<1x1xf32>, tensor<1x1xf32>)
      -> tensor<4x64xf32>
  return %0 : tensor<4x64xf32>
}

// -----

// expected-remark @+1 {{0 1-bit and 8 INT8 matrices, 8.00 bits per weight}}
func.func @count_stack(%q: tensor<4x128xi8>, %s: tensor<4xf32>, %e: tensor<4xi64>, %w: tensor<8x64x128xi8>,
                       %sw: tensor<8x1xf32>) -> tensor<4x64xf32> {
  %0 = pquant.expert_linear %q, %s, %e, %w, %sw
      : tensor<4x128xi8>, tensor<4xf32>, tensor<4xi64>, tensor<8x64x128xi8>, tensor<8x1xf32> -> tensor<4x64xf32>
  return %0 : tensor<4x64xf32>
}

// -----

// expected-remark @+1 {{2 1-bit and 2 INT8 matrices, 2.40 bits per weight}}
func.func @count_ffn_without_gate(%x: tensor<4x128xf32>, %u1: tensor<256x128xi1>, %d1: tensor<128x256xi1>,
                                  %u8: tensor<1x64x128xi8>, %d8: tensor<1x128x64xi8>,
                                  %s: tensor<1xf32>) -> tensor<4x128xf32> {
  %0 = pquant.decoupled_ffn %x binary(up %u1, %s, down %d1, %s) int8(up %u8, %s, down %d8, %s)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>, activation = #pquant.activation<gelu>}
      : tensor<4x128xf32>, (tensor<256x128xi1>, tensor<1xf32>, tensor<128x256xi1>, tensor<1xf32>),
        (tensor<1x64x128xi8>, tensor<1xf32>, tensor<1x128x64xi8>, tensor<1xf32>) -> tensor<4x128xf32>
  return %0 : tensor<4x128xf32>
}

// -----

// No linear, no remark.
func.func @count_nothing(%x: tensor<4x128xf32>) -> tensor<4x128xf32> {
  return %x : tensor<4x128xf32>
}
