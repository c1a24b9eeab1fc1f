// Kernels let the next one start at once, and wait before they touch what is not constant.

// RUN: pquant-opt %s --pquant-nvvm-kernels --pquant-nvvm-overlap-launches --canonicalize --cse | FileCheck %s
// RUN: sed 's/,dependent-launch//' %s | pquant-opt --pquant-nvvm-kernels --pquant-nvvm-overlap-launches | FileCheck %s --check-prefix=WITHOUT

// WITHOUT-NOT: griddepcontrol

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
#gpu = #pquant.gpu<"nvptx64-nvidia-cuda", chip = "sm_90a", features = "+ptx80", capabilities = "b1-mma,s8-mma,dependent-launch">

module attributes {pquant.target = #pquant.target<"x86_64-pc-linux-gnu", levels = [#generic], binary = b16x256, gpu = #gpu>} {

// The weights and their scales are loaded before the wait, the activations behind it; there is one wait.
// CHECK-LABEL: func.func @binary_row
// CHECK-SAME:      (%[[Q:.+]]: memref<1x4096xi8>, %[[S:.+]]: memref<1xf32>, %[[T:.+]]: memref<1xi32>, %[[W:.+]]: memref<32768xi8>,
// CHECK-SAME:       %[[WS:.+]]: memref<64xf32>
// CHECK:         llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;", "~{memory}"
// CHECK:         vector.load %[[W]]
// CHECK:         memref.load %[[WS]]
// CHECK-NOT:     load %[[Q]]
// CHECK-NOT:     load %[[S]]
// CHECK-NOT:     load %[[T]]
// CHECK:         llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}"
// CHECK-NOT:     griddepcontrol
// CHECK:         vector.load %[[Q]]
// CHECK-NOT:     griddepcontrol
func.func @binary_row(%q: memref<1x4096xi8>, %s: memref<1xf32>, %t: memref<1xi32>, %w: memref<32768xi8>,
                      %ws: memref<64xf32>, %y: memref<1x64xf32>) {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<1x4096xi8>, memref<1xf32>, memref<1xi32>, memref<32768xi8>,
                        memref<64xf32>) outs(%y : memref<1x64xf32>) {columns = 4096 : i64, layout = #pquant.layout<b16x256>}
  return
}

// Which expert it is, kernels before have decided.
// CHECK-LABEL: func.func @expert
// CHECK:         griddepcontrol.launch_dependents
// CHECK-NOT:     load
// CHECK:         griddepcontrol.wait
// CHECK:         load
func.func @expert(%q: memref<1x128xi8>, %s: memref<1xf32>, %i: memref<1xi64>, %w: memref<8192xi8>, %r: memref<2x20xi32>,
                  %ws: memref<2x20xf32>, %y: memref<1x20xf32>) {
  pqk.expert_linear ins(%q, %s, %i, %w, %r, %ws : memref<1x128xi8>, memref<1xf32>, memref<1xi64>, memref<8192xi8>, memref<2x20xi32>,
                        memref<2x20xf32>) outs(%y : memref<1x20xf32>) {columns = 100 : i64}
  return
}

// Other launches wait at once.
// CHECK-LABEL: func.func @other
// CHECK:         griddepcontrol.launch_dependents
// CHECK-NEXT:    llvm.inline_asm has_side_effects "griddepcontrol.wait;"
func.func @other(%x: memref<?x100xf32>, %q: memref<?x128xi8>, %s: memref<?xf32>, %t: memref<?xi32>) {
  pqk.quantize ins(%x : memref<?x100xf32>) outs(%q, %s, %t : memref<?x128xi8>, memref<?xf32>, memref<?xi32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  return
}
}
