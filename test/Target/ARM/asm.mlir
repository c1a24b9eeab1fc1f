// The machine code of the inner loops: the instructions they are built around, in the expected numbers, and no spills.

// RUN: pquant-opt %s --pquant-arm-kernels --canonicalize --cse --pquant-llvm-pipeline \
// RUN:   | mlir-translate --allow-unregistered-dialect --mlir-to-llvmir \
// RUN:   | opt -O2 -mtriple=aarch64-unknown-linux-gnu | llc -O3 -o %t.s
// RUN: %python %S/../Inputs/inner_loops.py tbl and ushr uaddw uaddw2 cmtst sdot smmla sadalp smull smull2 saddlp addp prfm \
// RUN:     < %t.s > %t.loops
// RUN: FileCheck %s --input-file=%t.loops
// RUN: FileCheck %s --input-file=%t.loops --check-prefix=SPILLS

// SPILLS-NOT: stack={{[1-9]}}

#neon = #pquant.level<"neon", cpu = "generic", features = "", requires = "neon", vector_bits = 128, tune = "cortex-a55">
#dotprod = #pquant.level<"dotprod", cpu = "generic", features = "+dotprod", requires = "neon,dotprod",
                         vector_bits = 128, tune = "neoverse-n1">
#i8mm = #pquant.level<"i8mm", cpu = "generic", features = "+dotprod,+i8mm", requires = "neon,dotprod,i8mm",
                      vector_bits = 128, tune = "neoverse-n1">

// Two blocks, 32 columns: for each 8 columns two indices, four look-ups a block; then lo and hi are widened.
// CHECK: pqk_binary_linear_neon_parallel: tbl=32 and=8 ushr=8 uaddw=4 uaddw2=4 {{.*}} prfm=2 stack=0
// The expansion of 8 columns; then 4 rows x 16 outputs by masks, without a product.
// CHECK: pqk_binary_linear_neon_{{.*}} tbl=4 {{.*}} cmtst=8 {{.*}} stack=0
// CHECK: pqk_binary_linear_neon_{{.*}} sdot=0 smmla=0 sadalp=16 smull=0 {{.*}} stack=0
// Two blocks, 16 columns.
// CHECK: pqk_int8_linear_neon_parallel: {{.*}} sdot=0 smmla=0 sadalp=0 smull=32 smull2=32 {{.*}} stack=0
func.func @neon(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #neon} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

// CHECK: pqk_binary_linear_dotprod_parallel: tbl=32 and=8 ushr=8 uaddw=4 uaddw2=4 {{.*}} stack=0
// 4 rows x 16 outputs x 16 columns.
// CHECK: pqk_binary_linear_dotprod_{{.*}} tbl=0 {{.*}} sdot=64 smmla=0 {{.*}} stack=0
// Four blocks, 16 columns; then 4 rows.
// CHECK: pqk_int8_linear_dotprod_parallel: {{.*}} sdot=64 smmla=0 {{.*}} prfm=16 stack=0
// CHECK: pqk_int8_linear_dotprod_{{.*}} sdot=64 smmla=0 {{.*}} prfm=0 stack=0
func.func @dotprod(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                   %y: memref<?x?xf32>) attributes {pquant.level = #dotprod} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

// CHECK: pqk_binary_linear_i8mm_parallel: tbl=32 and=8 ushr=8 uaddw=4 uaddw2=4 {{.*}} stack=0
// The expansion of 8 columns to 8 pairs of rows; then 4 rows x 16 outputs x 16 columns.
// CHECK: pqk_binary_linear_i8mm_{{.*}} tbl=8 {{.*}} cmtst=8 {{.*}} stack=0
// CHECK: pqk_binary_linear_i8mm_{{.*}} tbl=0 {{.*}} sdot=0 smmla=32 {{.*}} stack=0
// CHECK: pqk_int8_linear_i8mm_parallel: {{.*}} sdot=64 smmla=0 {{.*}} stack=0
// CHECK: pqk_int8_linear_i8mm_{{.*}} sdot=0 smmla=32 {{.*}} stack=0
func.func @i8mm(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #i8mm} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}
