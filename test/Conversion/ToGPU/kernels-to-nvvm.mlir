// Mathematical functions without a library.

// RUN: pquant-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(pquant-expand-math,pquant-expand-trigonometry,pquant-kernels-to-nvvm))' | FileCheck %s

gpu.module @kernels {
  // CHECK-LABEL: llvm.func @f
  // CHECK-SAME:    nvvm.kernel
  // CHECK-NOT:     nvvm.minctasm
  // CHECK:         llvm.intr.sqrt
  // CHECK:         llvm.intr.roundeven(%{{.+}}) : (f64) -> f64
  // CHECK-NOT:     llvm.call
  gpu.func @f(%x: memref<4xf32>, %i: index) kernel {
    %0 = memref.load %x[%i] : memref<4xf32>
    %1 = math.sqrt %0 : f32
    %2 = math.sin %1 : f32
    %3 = math.exp %2 : f32
    memref.store %3, %x[%i] : memref<4xf32>
    gpu.return
  }

  // CHECK-LABEL: llvm.func @of_known_size
  // CHECK-SAME:    nvvm.maxntid = array<i32: 512, 1, 1>, nvvm.minctasm = 2 : i32
  gpu.func @of_known_size() kernel attributes {known_block_size = array<i32: 512, 1, 1>} {
    gpu.return
  }

  // CHECK-LABEL: llvm.func @of_large_blocks
  // CHECK-NOT:     nvvm.minctasm
  // CHECK:         llvm.return
  gpu.func @of_large_blocks() kernel attributes {known_block_size = array<i32: 1024, 1, 1>} {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @f(%x: memref<4xf32>, %i: index) kernel {
    %0 = memref.load %x[%i] : memref<4xf32>
    // expected-error @+1 {{has no code on this GPU}}
    %1 = math.log10 %0 : f32
    memref.store %1, %x[%i] : memref<4xf32>
    gpu.return
  }
}
