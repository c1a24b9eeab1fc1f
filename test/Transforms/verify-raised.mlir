// RUN: pquant-opt %s --pquant-verify-raised -split-input-file -verify-diagnostics

func.func @tensors(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  return %x : tensor<2x4xf32>
}

// -----

func.func @memref() {
  // expected-error@+1 {{'memref.alloc' op does not belong in phase 'raised': expected a tensor-level dialect}}
  %0 = memref.alloc() : memref<4xf32>
  return
}

// -----

func.func @layout(%x: tensor<4x64xi1>) {
  // expected-error@+1 {{'builtin.unrealized_conversion_cast' op does not belong in phase 'raised': expected tensors without a storage layout}}
  %0 = builtin.unrealized_conversion_cast %x : tensor<4x64xi1> to tensor<4x64xi1, #pquant.layout<d16>>
  return
}
