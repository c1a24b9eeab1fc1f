// The structure of the generic kernels; test/Integration checks what they compute.

// RUN: pquant-opt %s --pquant-convert-pqkernel-to-vector -o %t
// RUN: FileCheck %s --input-file=%t
// RUN: FileCheck %s --input-file=%t --check-prefix=EXPERT
// RUN: FileCheck %s --input-file=%t --check-prefix=NONE

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>

// NONE-NOT: call_intrinsic

// CHECK-LABEL: func.func @decoder_step
// CHECK-NEXT:    %[[X:.+]] = memref.cast
// CHECK:         call @pqk_quantize_div_generic(%[[X]],
// CHECK:         call @pqk_expert_linear_generic(
// CHECK:         call @pqk_float_linear_generic(
func.func @decoder_step(%x: memref<2x4xf32>, %q: memref<2x64xi8>, %s: memref<2xf32>, %t: memref<2xi32>,
                        %e: memref<2xi64>, %w: memref<2048xi8>, %r: memref<2x16xi32>, %ws: memref<2x16xf32>,
                        %fw: memref<64xf32>, %y: memref<2x16xf32>) attributes {pquant.level = #generic} {
  pqk.quantize ins(%x : memref<2x4xf32>) outs(%q, %s, %t : memref<2x64xi8>, memref<2xf32>, memref<2xi32>)
      {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<2x64xi8>, memref<2xf32>, memref<2xi64>, memref<2048xi8>,
                        memref<2x16xi32>, memref<2x16xf32>) outs(%y : memref<2x16xf32>) {columns = 4 : i64}
  pqk.float_linear ins(%x, %fw : memref<2x4xf32>, memref<64xf32>) outs(%y : memref<2x16xf32>)
  return
}

// Two passes over each row in vectors of the level's width, each with a masked end.
// CHECK-LABEL: func.func private @pqk_quantize_div_generic(
// CHECK:         pqk.parallel
// CHECK:           vector.load %{{.+}}, vector<4xf32>
// CHECK:           arith.cmpi slt, %{{.+}} : vector<4xi32>
// CHECK:           vector.reduction <maxsi>
// CHECK:           arith.divf %{{.+}} : vector<4xf32>
// CHECK:           math.roundeven
// CHECK:           vector.reduction <add>

// Runs of rows with one expert go to the INT8 kernel as views.
// EXPERT-LABEL: func.func private @pqk_expert_linear_generic(
// EXPERT:         scf.while
// EXPERT:           scf.while
// EXPERT:           memref.subview
// EXPERT:           func.call @pqk_int8_linear_generic(
// EXPERT:         return

// Plain multiplication and addition: the level has no "fma".
// CHECK-LABEL: func.func private @pqk_float_linear_generic(
// CHECK-NOT:     math.fma
