// RUN: pquant-opt %s --split-input-file --verify-diagnostics --pquant-nvvm-kernels

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
#gpu = #pquant.gpu<"nvptx64-nvidia-cuda", chip = "sm_80", features = "+ptx80", capabilities = "b1-mma,s8-mma">

module attributes {pquant.target = #pquant.target<"x86_64-pc-linux-gnu", levels = [#generic], binary = b16x256, gpu = #gpu>} {
func.func @layout(%q: memref<1x128xi8>, %s: memref<1xf32>, %t: memref<1xi32>, %w: memref<512xi8>, %ws: memref<20xf32>,
                  %y: memref<1x20xf32>) {
  // expected-error @+1 {{expected a weight in layout b16x256, but got d16}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<1x128xi8>, memref<1xf32>, memref<1xi32>, memref<512xi8>,
                        memref<20xf32>) outs(%y : memref<1x20xf32>) {columns = 100 : i64}
  return
}
}

// -----

// expected-error @+1 {{expected a 'pquant.target' with a GPU}}
module {
}
