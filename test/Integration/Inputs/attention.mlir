// Attention kernels: causal with D = E = 64, over caches of f32, f16 and i8, of the latter also with D or E = 128; masked
// with D = 24 and E = 40, both with D = 3 and E = 1. TARGET becomes the levels (target.sed of the architecture).

module attributes {pquant.target = TARGET} {
func.func @use(%q: memref<?x?x?x64xf32>, %k: memref<?x?x?x64xf32>, %q24: memref<?x?x?x24xf32>, %k24: memref<?x?x?x24xf32>, %v40: memref<?x?x?x40xf32>, %o40: memref<?x?x?x40xf32>, %q3: memref<?x?x?x3xf32>, %k3: memref<?x?x?x3xf32>,
    %v1: memref<?x?x?x1xf32>, %o1: memref<?x?x?x1xf32>, %m: memref<?x1x?x?xf32>, %half: memref<?x?x?x64xf16>, %int8: memref<?x?x?x68xi8>, %q128: memref<?x?x?x128xf32>,
    %int8_128: memref<?x?x?x132xi8>) {
  pqk.attention ins(%q, %k, %k : memref<?x?x?x64xf32>, memref<?x?x?x64xf32>, memref<?x?x?x64xf32>) outs(%q : memref<?x?x?x64xf32>) causal {scale = 0.125 : f32}
  pqk.attention ins(%q, %half, %half : memref<?x?x?x64xf32>, memref<?x?x?x64xf16>, memref<?x?x?x64xf16>) outs(%q : memref<?x?x?x64xf32>) causal {scale = 0.125 : f32}
  pqk.attention ins(%q, %int8, %int8 : memref<?x?x?x64xf32>, memref<?x?x?x68xi8>, memref<?x?x?x68xi8>) outs(%q : memref<?x?x?x64xf32>) causal {scale = 0.125 : f32}
  pqk.attention ins(%q128, %int8_128, %int8 : memref<?x?x?x128xf32>, memref<?x?x?x132xi8>, memref<?x?x?x68xi8>) mask(%m : memref<?x1x?x?xf32>)
      outs(%q : memref<?x?x?x64xf32>) {scale = 0.125 : f32}
  pqk.attention ins(%q, %int8, %int8_128 : memref<?x?x?x64xf32>, memref<?x?x?x68xi8>, memref<?x?x?x132xi8>) outs(%q128 : memref<?x?x?x128xf32>)
      causal {scale = 1.0 : f32}
  pqk.attention ins(%q24, %k24, %v40 : memref<?x?x?x24xf32>, memref<?x?x?x24xf32>, memref<?x?x?x40xf32>) mask(%m : memref<?x1x?x?xf32>)
      outs(%o40 : memref<?x?x?x40xf32>) {scale = 0.25 : f32}
  pqk.attention ins(%q3, %k3, %v1 : memref<?x?x?x3xf32>, memref<?x?x?x3xf32>, memref<?x?x?x1xf32>) mask(%m : memref<?x1x?x?xf32>) outs(%o1 : memref<?x?x?x1xf32>)
      causal {scale = 1.0 : f32}
  return
}
}
