// Every kernel but attention; TARGET becomes the levels (target.sed of the architecture).

module attributes {pquant.target = TARGET} {
func.func @use(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>, %hw: memref<?xi16>) {
  pqk.quantize ins(%x : memref<?x?xf32>) outs(%q, %s, %t : memref<?x?xi8>, memref<?xf32>, memref<?xi32>) {quantizer = #pquant.quantizer<mul_recip, eps = 1.000000e-05>}
  pqk.quantize ins(%x : memref<?x?xf32>) outs(%q, %s, %t : memref<?x?xi8>, memref<?xf32>, memref<?xi32>) {quantizer = #pquant.quantizer<mul_div, eps = 1.000000e-05>}
  pqk.quantize ins(%x : memref<?x?xf32>) outs(%q, %s, %t : memref<?x?xi8>, memref<?xf32>, memref<?xi32>) {quantizer = #pquant.quantizer<div, eps = 1.000000e-05>}
  pqk.quantize ins(%x : memref<?x?xf32>) outs(%q, %s, %t : memref<?x?xi8>, memref<?xf32>, memref<?xi32>) {quantizer = #pquant.quantizer<mul_div, eps = 1.000000e-05, guard = add, range = [-127, 127]>}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>, memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %rs, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>, memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.expert_linear ins(%q, %s, %e, %w, %rse, %wse : memref<?x?xi8>, memref<?xf32>, memref<?xi64>, memref<?xi8>, memref<?x?xi32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>, memref<?xf32>) outs(%y : memref<?x?xf32>) accumulate {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %rs, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>, memref<?xf32>) outs(%y : memref<?x?xf32>) accumulate {columns = 64 : i64}
  pqk.expert_linear ins(%q, %s, %e, %w, %rse, %wse : memref<?x?xi8>, memref<?xf32>, memref<?xi64>, memref<?xi8>, memref<?x?xi32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>) accumulate {columns = 64 : i64}
  pqk.float_linear ins(%x, %fw : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>)
  pqk.float_linear ins(%x, %hw : memref<?x?xf32>, memref<?xi16>) outs(%y : memref<?x?xf32>)
  return
}
}
