// The kernel that each AArch64 level gets, what LLVM is told about its functions, and what is left alone.

// RUN: pquant-opt %s --split-input-file --pquant-arm-kernels -o %t
// RUN: FileCheck %s --input-file=%t
// RUN: FileCheck %s --input-file=%t --check-prefix=GENERIC
// RUN: FileCheck %s --input-file=%t --check-prefix=NEON
// RUN: FileCheck %s --input-file=%t --check-prefix=DOTPROD
// RUN: FileCheck %s --input-file=%t --check-prefix=I8MM

#generic = #pquant.level<"generic", cpu = "generic", features = "", requires = "", vector_bits = 128>
#neon = #pquant.level<"neon", cpu = "generic", features = "", requires = "neon", vector_bits = 128, tune = "cortex-a55">
#dotprod = #pquant.level<"dotprod", cpu = "generic", features = "+dotprod", requires = "neon,dotprod",
                         vector_bits = 128, tune = "neoverse-n1">
#i8mm = #pquant.level<"i8mm", cpu = "generic", features = "+dotprod,+i8mm", requires = "neon,dotprod,i8mm",
                      vector_bits = 128, tune = "neoverse-n1">

module attributes {pquant.target = #pquant.target<"aarch64-unknown-linux-gnu",
                   levels = [#generic, #neon, #dotprod, #i8mm], binary = i1x16x8>} {

// CHECK-LABEL: func.func @linears_generic
// CHECK:         call @pqk_binary_linear_generic(
// CHECK:         call @pqk_int8_linear_generic(
// CHECK-NOT:     pqk.binary
// CHECK-NOT:     pqk.int8
// GENERIC:       func.func private @pqk_binary_linear_generic(
// GENERIC-SAME:    passthrough = {{\[}}["target-cpu", "generic"], ["prefer-vector-width", "128"]
// GENERIC-NOT:     llvm.aarch64
// GENERIC:       func.func private @pqk_binary_linear_neon(
func.func @linears_generic(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                           %y: memref<?x?xf32>) attributes {pquant.level = #generic} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// NEON:          func.func private @pqk_binary_linear_neon(
// NEON-SAME:       ["tune-cpu", "cortex-a55"]
// NEON:            "llvm.aarch64.neon.tbl1.v16i8"
// NEON-NOT:        "llvm.aarch64.neon.sdot
// NEON:            "llvm.aarch64.neon.saddlp.v8i16.v16i8"
// NEON:          func.func private @pqk_int8_linear_neon(
// NEON-NOT:        "llvm.aarch64.neon.sdot
// NEON:            "llvm.aarch64.neon.addp.v4i32"
// NEON:          func.func private @pqk_binary_linear_dotprod(
func.func @linears_neon(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                        %y: memref<?x?xf32>) attributes {pquant.level = #neon} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// DOTPROD:       func.func private @pqk_binary_linear_dotprod(
// DOTPROD-SAME:    ["target-features", "+dotprod"]
// DOTPROD:         "llvm.aarch64.neon.tbl1.v16i8"
// DOTPROD:         "llvm.aarch64.neon.sdot.v4i32.v16i8"
// DOTPROD:       func.func private @pqk_int8_linear_dotprod(
// DOTPROD-NOT:     smmla
// DOTPROD:         "llvm.aarch64.neon.sdot.v4i32.v16i8"
func.func @linears_dotprod(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                           %y: memref<?x?xf32>) attributes {pquant.level = #dotprod} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// I8MM:          func.func private @pqk_binary_linear_i8mm(
// I8MM-SAME:       ["target-features", "+dotprod,+i8mm"]
// I8MM:            "llvm.aarch64.neon.tbl1.v16i8"
// I8MM:            "llvm.aarch64.neon.smmla.v4i32.v16i8"
// I8MM:          func.func private @pqk_int8_linear_i8mm(
// I8MM:            "llvm.aarch64.neon.sdot.v4i32.v16i8"
// I8MM:            "llvm.aarch64.neon.smmla.v4i32.v16i8"
func.func @linears_i8mm(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                        %y: memref<?x?xf32>) attributes {pquant.level = #i8mm} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}
}

// -----

// Code that levels share calls the kernel of the level in its last argument; one selector for each kernel.

#neon = #pquant.level<"neon", cpu = "generic", features = "", requires = "neon", vector_bits = 128, tune = "cortex-a55">
#dotprod = #pquant.level<"dotprod", cpu = "generic", features = "+dotprod", requires = "neon,dotprod", vector_bits = 128>
module attributes {pquant.target = #pquant.target<"aarch64-unknown-linux-gnu", levels = [#neon, #dotprod],
                                                  binary = i1x16x8>} {
// CHECK-LABEL: func.func @shared
// CHECK-SAME:    %[[LEVEL:[a-z0-9]+]]: index)
// CHECK:         call @select_pqk_float_linear_neon(%{{.*}}, %{{.*}}, %{{.*}}, %[[LEVEL]])
// CHECK:         call @select_pqk_float_linear_neon(%{{.*}}, %{{.*}}, %{{.*}}, %[[LEVEL]])
// CHECK-DAG:   func.func private @pqk_float_linear_neon(
// CHECK-DAG:   func.func private @pqk_float_linear_dotprod(
// CHECK-LABEL: func.func private @select_pqk_float_linear_neon(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<?x?xf32, {{.*}}>, %[[W:[a-z0-9]+]]: memref<?xf32, {{.*}}>, %[[Y:[a-z0-9]+]]: memref<?x?xf32, {{.*}}>, %[[LEVEL:[a-z0-9]+]]: index) attributes {passthrough = {{.*}}"tune-cpu", "cortex-a55"
// CHECK-NEXT:    scf.index_switch %[[LEVEL]]
// CHECK-NEXT:    case 1 {
// CHECK-NEXT:      func.call @pqk_float_linear_dotprod(%[[X]], %[[W]], %[[Y]])
// CHECK:         default {
// CHECK-NEXT:      func.call @pqk_float_linear_neon(%[[X]], %[[W]], %[[Y]])
// CHECK-NOT:   @select_
func.func @shared(%x: memref<?x?xf32>, %w: memref<?xf32>, %y: memref<?x?xf32>, %level: index)
    attributes {pquant.level = #neon, pquant.shared_by = [#neon, #dotprod]} {
  pqk.float_linear ins(%x, %w : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>)
  pqk.float_linear ins(%x, %w : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>)
  return
}
}

// -----

// The kernels of another target are not this pass's.
#avx2 = #pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>
module attributes {pquant.target = #pquant.target<"x86_64-pc-linux-gnu", levels = [#avx2]>} {
// CHECK-LABEL: func.func @other_target
// CHECK-NEXT:    pqk.float_linear
func.func @other_target(%x: memref<?x?xf32>, %w: memref<?xf32>, %y: memref<?x?xf32>) attributes {pquant.level = #avx2} {
  pqk.float_linear ins(%x, %w : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>)
  return
}
}
