// RUN: pquant-opt %s --pquant-linalg-to-loops -split-input-file -verify-diagnostics

func.func @tensors(%y: tensor<4xf32>, %v: f32) -> tensor<4xf32> {
  // expected-error @+1 {{'linalg.fill' op expected operands on memrefs}}
  %0 = linalg.fill ins(%v : f32) outs(%y : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @softmax(%x: memref<4x8xf32>, %y: memref<4x8xf32>) {
  // expected-error @+1 {{'linalg.softmax' op has no lowering to loops}}
  linalg.softmax dimension(1) ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>)
  return
}
