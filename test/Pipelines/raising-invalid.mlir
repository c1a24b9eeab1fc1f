// RUN: not pquant-opt %s --pquant-raising-pipeline 2>&1 | FileCheck %s

// The phase ends in its contract: memory has no place before kernels.

// CHECK: raising-invalid.mlir:[[#@LINE+2]]:3: error: 'memref.store' op does not belong in phase 'raised': expected a tensor-level dialect
func.func @memory(%x: memref<4xf32>, %v: f32, %i: index) {
  memref.store %v, %x[%i] : memref<4xf32>
  return
}
