
func.func @use_generic(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>)
    attributes {pquant.level = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>} {
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
  return
}

func.func @use_avx2(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>)
    attributes {pquant.level = #pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>} {
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
  return
}

func.func @use_avx512(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>)
    attributes {pquant.level = #pquant.level<"avx512", cpu = "x86-64-v4", features = "+avx512vnni", requires = "avx2,fma,avx512f,avx512bw,avx512vnni", vector_bits = 512>} {
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
  return
}

func.func @use_avx512vbmi(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>)
    attributes {pquant.level = #pquant.level<"avx512vbmi", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi", requires = "avx2,fma,avx512f,avx512bw,avx512vnni,avx512vbmi", vector_bits = 512>} {
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
  return
}

func.func @use_amx(%x: memref<?x?xf32>, %q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %rs: memref<?xi32>,
    %ws: memref<?xf32>, %y: memref<?x?xf32>, %e: memref<?xi64>, %rse: memref<?x?xi32>, %wse: memref<?x?xf32>, %fw: memref<?xf32>)
    attributes {pquant.level = #pquant.level<"amx", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8,+prfchw", requires = "avx2,fma,avx512f,avx512bw,avx512vnni,avx512vbmi,amx-tile,amx-int8", vector_bits = 512>} {
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
  return
}
