// The kernel that each level gets, and what LLVM is told about its functions.

// RUN: pquant-opt %s --pquant-x86-kernels -o %t
// RUN: FileCheck %s --input-file=%t
// RUN: FileCheck %s --input-file=%t --check-prefix=GENERIC
// RUN: FileCheck %s --input-file=%t --check-prefix=AVX2
// RUN: FileCheck %s --input-file=%t --check-prefix=AVX512
// RUN: FileCheck %s --input-file=%t --check-prefix=VBMI
// RUN: FileCheck %s --input-file=%t --check-prefix=AMX

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
#avx2 = #pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>
#avx512 = #pquant.level<"avx512", cpu = "x86-64-v4", features = "+avx512vnni", requires = "avx2,fma,avx512vnni",
                        vector_bits = 512>
#vbmi = #pquant.level<"vbmi", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi",
                      requires = "avx2,fma,avx512vnni,avx512vbmi", vector_bits = 512>
#amx = #pquant.level<"amx", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8",
                     requires = "avx2,fma,avx512vnni,avx512vbmi,amx-tile,amx-int8", vector_bits = 512>

// CHECK-LABEL: func.func @linears_generic
// CHECK:         %[[Q:.+]] = memref.cast %{{.+}} : memref<4x128xi8> to memref<?x?xi8, strided<[?, 1], offset: ?>>
// CHECK:         call @pqk_binary_linear_generic(%[[Q]],
// CHECK:         call @pqk_int8_linear_acc_generic(
// CHECK-NOT:     pqk.
func.func @linears_generic(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<512xi8>,
                           %w8: memref<4096xi8>, %r: memref<20xi32>, %ws: memref<20xf32>, %y: memref<4x20xf32>)
    attributes {pquant.level = #generic} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi32>, memref<512xi8>,
                        memref<20xf32>) outs(%y : memref<4x20xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w8, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<4096xi8>, memref<20xi32>,
                      memref<20xf32>) outs(%y : memref<4x20xf32>) accumulate {columns = 100 : i64}
  return
}

// CHECK-LABEL: func.func @linears_avx2
// CHECK:         call @pqk_binary_linear_avx2(
// CHECK:         call @pqk_int8_linear_avx2(
// CHECK:         call @pqk_binary_linear_avx2(
func.func @linears_avx2(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                        %y: memref<?x?xf32>) attributes {pquant.level = #avx2} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// CHECK-LABEL: func.func @linears_avx512
// CHECK:         call @pqk_binary_linear_avx512(
// CHECK:         call @pqk_int8_linear_avx512(
func.func @linears_avx512(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>,
                          %ws: memref<?xf32>, %y: memref<?x?xf32>) attributes {pquant.level = #avx512} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// CHECK-LABEL: func.func @linears_vbmi
// CHECK:         call @pqk_binary_linear_vbmi(
// CHECK:         call @pqk_quantize_mul_div_add_eps358637bd_range_m127_127_vbmi(
func.func @linears_vbmi(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>,
                        %w: memref<?xi8>, %ws: memref<?xf32>, %y: memref<?x?xf32>) attributes {pquant.level = #vbmi} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.quantize ins(%x : memref<?x?xf32>) outs(%q, %s, %t : memref<?x?xi8>, memref<?xf32>, memref<?xi32>)
      {quantizer = #pquant.quantizer<mul_div, eps = 1.000000e-06, guard = add, range = [-127, 127]>}
  return
}

// CHECK-LABEL: func.func @linears_amx
// CHECK:         call @pqk_binary_linear_amx(
// CHECK:         call @pqk_int8_linear_amx(
// CHECK:         call @pqk_expert_linear_amx(
func.func @linears_amx(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                       %e: memref<?xi64>, %te: memref<?x?xi32>, %wse: memref<?x?xf32>, %y: memref<?x?xf32>)
    attributes {pquant.level = #amx} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  pqk.expert_linear ins(%q, %s, %e, %w, %te, %wse : memref<?x?xi8>, memref<?xf32>, memref<?xi64>, memref<?xi8>,
                        memref<?x?xi32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>) {columns = 100 : i64}
  return
}

// One function for each kernel and level, in the order of first use.
// GENERIC-LABEL: func.func private @pqk_binary_linear_generic(
// GENERIC-SAME:    passthrough = {{\[\[}}"target-cpu", "x86-64-v2"], ["prefer-vector-width", "128"],
// GENERIC-SAME:    pquant.level = #pquant.level<"generic"
// GENERIC-NOT:     call_intrinsic
// GENERIC-LABEL: func.func private @pqk_binary_linear_avx2(

// AVX2-LABEL:    func.func private @pqk_binary_linear_avx2(
// AVX2:            llvm.call_intrinsic "llvm.x86.avx2.pshuf.b"
// AVX2-NOT:        avx512
// AVX2-LABEL:    func.func private @pqk_int8_linear_avx2(
// AVX2:            llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
// AVX2-NOT:      func.func private @pqk_binary_linear_avx2

// AVX512-LABEL:  func.func private @pqk_binary_linear_avx512(
// AVX512-SAME:     ["target-features", "+avx512vnni"]
// AVX512:          llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// AVX512-NOT:      permvar
// AVX512-LABEL:  func.func private @pqk_int8_linear_avx512(

// VBMI-LABEL:    func.func private @pqk_binary_linear_vbmi(
// VBMI:            llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"

// Few rows as avx512vbmi does them, many on tiles: signed by unsigned bytes for bits, signed by signed for INT8.
// AMX-LABEL:     func.func private @pqk_binary_linear_amx(
// AMX-SAME:        ["target-features", "+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8"]
// AMX:             llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"
// AMX:             llvm.call_intrinsic "llvm.x86.tdpbsud.internal"
// AMX-LABEL:     func.func private @pqk_int8_linear_amx(
// AMX:             llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// AMX:             llvm.call_intrinsic "llvm.x86.tdpbssd.internal"
// AMX-LABEL:     func.func private @pqk_expert_linear_amx(
// AMX:             call @pqk_int8_linear_amx(
