// The machine code of the inner loops: the instructions they are built around, in the expected numbers, and no spills.

// RUN: pquant-opt %s --pquant-x86-kernels --canonicalize --cse --pquant-llvm-pipeline \
// RUN:   | mlir-translate --allow-unregistered-dialect --mlir-to-llvmir \
// RUN:   | opt -O2 -mtriple=x86_64-unknown-linux-gnu | llc -O3 -o %t.s
// RUN: %python %S/../Inputs/inner_loops.py vpermb vpternlogq vpdpbusd vpandq vpshufb vpmaddubsw vpmaddwd prefetcht0 \
// RUN:     < %t.s | FileCheck %s
// RUN: %python %S/../Inputs/inner_loops.py tdpbsud tdpbssd tileloadd tilestored vpandq < %t.s > %t.tiles
// RUN: FileCheck %s --input-file=%t.tiles --check-prefix=AMX
// RUN: FileCheck %s --input-file=%t.tiles --check-prefix=TILES

#avx2 = #pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma", vector_bits = 256>
#avx512 = #pquant.level<"avx512", cpu = "x86-64-v4", features = "+avx512vnni", requires = "avx2,fma,avx512vnni",
                        vector_bits = 512>
#vbmi = #pquant.level<"vbmi", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi",
                      requires = "avx2,fma,avx512vnni,avx512vbmi", vector_bits = 512>
#amx = #pquant.level<"amx", cpu = "x86-64-v4", features = "+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8",
                     requires = "avx2,fma,avx512vnni,avx512vbmi,amx-tile,amx-int8", vector_bits = 512>

// Eight lines: for each two table indices, four look-ups, four sums, one prefetch.
// CHECK: pqk_binary_linear_vbmi_parallel: vpermb=32 vpternlogq=16 vpdpbusd=32 {{.*}} prefetcht0=8 stack=0
// 32 outputs x 12 rows.
// CHECK: pqk_binary_linear_vbmi_{{.*}} vpdpbusd=24 {{.*}} stack=0
func.func @lookup(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                  %y: memref<?x?xf32>) attributes {pquant.level = #vbmi} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

// Two lines of eight bits each.
// CHECK: pqk_binary_linear_avx512_parallel: vpermb=0 vpternlogq=0 vpdpbusd=16 vpandq=16 {{.*}} prefetcht0=2 stack=0
// Eight lines; then 32 outputs x 12 rows.
// CHECK: pqk_int8_linear_avx512_parallel: {{.*}} vpdpbusd=8 {{.*}} stack=0
// CHECK: pqk_int8_linear_avx512_{{.*}} vpdpbusd=24 {{.*}} stack=0
func.func @vnni(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #avx512} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

// Four half lines: four shuffles to transpose them, two look-ups for each of eight nibbles. Then 16 outputs x 4 rows.
// CHECK: pqk_binary_linear_avx2_parallel: {{.*}} vpshufb=20 {{.*}} stack=0
// CHECK: pqk_binary_linear_avx2_{{.*}} vpmaddubsw=8 {{.*}} stack=0
// Two lines, four quarters each.
// CHECK: pqk_int8_linear_avx2_parallel: {{.*}} vpmaddwd=8 {{.*}} stack=0
func.func @madd(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #avx2} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

// 2 x 2 tiles; where they expand the next weights, four lines of eight bits each. No tile is stored in a loop: the eight
// tile registers are enough.
// AMX: pqk_binary_linear_amx_parallel_{{.*}}: tdpbsud=4 tdpbssd=0 tileloadd=4 tilestored=0 vpandq=32
// AMX: pqk_int8_linear_amx_parallel_{{.*}}: tdpbsud=0 tdpbssd=4 tileloadd=4 tilestored=0 vpandq=0
// TILES-NOT: tilestored={{[1-9]}}
func.func @tiles(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                 %y: memref<?x?xf32>) attributes {pquant.level = #amx} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}
