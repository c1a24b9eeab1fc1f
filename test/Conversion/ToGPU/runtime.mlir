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
// CHECK:         pqk.probe begin "/add/Add" kind "elementwise" rows
// CHECK-COUNT-6: memref.store %{{.+}}, %[[WORDS]]
// CHECK:         call @pquant_rt_gpu_launch(
// CHECK-NEXT:    pqk.probe end "/add/Add" kind "elementwise"
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
  } loc("/add/Add")
  gpu.dealloc %y : memref<?xf32>
  return
}

// A launch between probes, even one of two in a choice, has them already.

// CHECK-LABEL: func.func @probed
// CHECK:         pqk.probe begin "/MatMul" kind "float_linear"
// CHECK-NOT:     pqk.probe
// CHECK:         call @pquant_rt_gpu_launch(
// CHECK-NOT:     pqk.probe
// CHECK:         pqk.probe end "/MatMul" kind "float_linear"
func.func @probed(%y: memref<?xf32>, %n: index, %s: f32, %few: i1) {
  %c1 = arith.constant 1 : index
  pqk.probe begin "/MatMul" kind "float_linear" rows %n
  scf.if %few {
    gpu.launch blocks(%bx, %by, %bz) in (%gx = %n, %gy = %c1, %gz = %c1)
        threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
      memref.store %s, %y[%bx] : memref<?xf32>
      gpu.terminator
    }
  }
  pqk.probe end "/MatMul" kind "float_linear" rows %n
  return
}

// CHECK:       gpu.module @kernels attributes {pquant.kernels = ["main_kernel", "probed_kernel"]}
// CHECK:         gpu.func @main_kernel(%{{.+}}: i64, %{{.+}}: memref<?xf32>) kernel
// CHECK:           arith.trunci
// CHECK:           arith.bitcast %{{.+}} : i32 to f32
