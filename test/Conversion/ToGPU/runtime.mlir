// Launches and memory of the GPU become runtime calls; kernels end in one module.

// RUN: pquant-opt %s --pquant-widen-arguments --gpu-kernel-outlining --pquant-gpu-to-runtime | FileCheck %s

// CHECK-DAG:   func.func private @pquant_rt_gpu_alloc(index) -> memref<?xi8> attributes {llvm.emit_c_interface}
// CHECK-DAG:   func.func private @pquant_rt_gpu_free(index)
// CHECK-DAG:   func.func private @pquant_rt_gpu_copy(index, index, index)
// CHECK-DAG:   func.func private @pquant_rt_gpu_launch(index, index, index, index, index, index, index)

// CHECK-LABEL: func.func @main
// CHECK:         %[[WORDS:.+]] = memref.alloca() : memref<6xindex>
// CHECK:         %[[MEMORY:.+]] = call @pquant_rt_gpu_alloc(
// CHECK:         memref.view %[[MEMORY]]
// CHECK:         call @pquant_rt_gpu_copy(
// CHECK:         %[[BITS:.+]] = arith.bitcast %{{.+}} : f32 to i32
// CHECK:         arith.extui %[[BITS]] : i32 to i64
// CHECK-COUNT-6: memref.store %{{.+}}, %[[WORDS]]
// CHECK:         call @pquant_rt_gpu_launch(
// CHECK:         call @pquant_rt_gpu_free(
func.func @main(%x: memref<?xf32>, %n: index, %s: f32) {
  %c1 = arith.constant 1 : index
  %c32 = arith.constant 32 : index
  %y = gpu.alloc(%n) : memref<?xf32>
  gpu.memcpy %y, %x : memref<?xf32>, memref<?xf32>
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %n, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c32, %sy = %c1, %sz = %c1) {
    memref.store %s, %y[%bx] : memref<?xf32>
    gpu.terminator
  }
  gpu.dealloc %y : memref<?xf32>
  return
}

// CHECK:       gpu.module @kernels attributes {pquant.kernels = ["main_kernel"]}
// CHECK:         gpu.func @main_kernel(%{{.+}}: i64, %{{.+}}: memref<?xf32>) kernel
// CHECK:           arith.trunci
// CHECK:           arith.bitcast %{{.+}} : i32 to f32
