// RUN: pquant-opt %s -split-input-file -verify-diagnostics --pquant-convert-pqkernel-to-vector

func.func @no_level(%x: memref<2x4xf32>, %w: memref<64xf32>, %y: memref<2x16xf32>) {
  // expected-error@+1 {{'pqk.float_linear' op expected a function with attribute 'pquant.level'}}
  pqk.float_linear ins(%x, %w : memref<2x4xf32>, memref<64xf32>) outs(%y : memref<2x16xf32>)
  return
}

// -----

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
func.func @columns_not_contiguous(%x: memref<2x4xf32, strided<[1, 2]>>, %w: memref<64xf32>, %y: memref<2x16xf32>)
    attributes {pquant.level = #generic} {
  // expected-error@+1 {{'pqk.float_linear' op expected operands with contiguous rows, but got 'memref<2x4xf32, strided<[1, 2]>>'}}
  pqk.float_linear ins(%x, %w : memref<2x4xf32, strided<[1, 2]>>, memref<64xf32>) outs(%y : memref<2x16xf32>)
  return
}

// -----

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
func.func @tensors(%x: tensor<2x4xf32>, %w: tensor<64xf32>, %y: tensor<2x16xf32>) -> tensor<2x16xf32>
    attributes {pquant.level = #generic} {
  // expected-error@+1 {{'pqk.float_linear' op must be bufferized before kernels are chosen, but has an operand of type 'tensor<2x4xf32>'}}
  %r = pqk.float_linear ins(%x, %w : tensor<2x4xf32>, tensor<64xf32>) outs(%y : tensor<2x16xf32>) -> tensor<2x16xf32>
  return %r : tensor<2x16xf32>
}
