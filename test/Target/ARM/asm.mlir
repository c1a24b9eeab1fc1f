// The machine code of the inner loops: the instructions they are built around, in the expected numbers, and no spills.

// RUN: pquant-opt %s --pquant-arm-kernels --canonicalize --cse --pquant-llvm-pipeline \
// RUN:   | mlir-translate --allow-unregistered-dialect --mlir-to-llvmir \
// RUN:   | opt -O2 -mtriple=aarch64-unknown-linux-gnu | llc -O3 -o %t.s
// RUN: %python %S/../Inputs/inner_loops.py tbl and ushr add uaddw uaddw2 sdot smmla smull smull2 saddlp addp cmtst prfm \
// RUN:     < %t.s | FileCheck %s

#neon = #pquant.level<"neon", cpu = "generic", features = "", requires = "neon", vector_bits = 128, tune = "cortex-a55">
#dotprod = #pquant.level<"dotprod", cpu = "generic", features = "+dotprod", requires = "neon,dotprod", vector_bits = 128, tune = "neoverse-n1">
#i8mm = #pquant.level<"i8mm", cpu = "generic", features = "+dotprod,+i8mm", requires = "neon,dotprod,i8mm", vector_bits = 128, tune = "neoverse-n2">

func.func @neon(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #neon} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

func.func @dotprod(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #dotprod} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}

func.func @i8mm(%q: memref<?x?xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<?xi8>, %ws: memref<?xf32>,
                %y: memref<?x?xf32>) attributes {pquant.level = #i8mm} {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi32>, memref<?xi8>,
                        memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  pqk.int8_linear ins(%q, %s, %w, %t, %ws : memref<?x?xi8>, memref<?xf32>, memref<?xi8>, memref<?xi32>,
                      memref<?xf32>) outs(%y : memref<?x?xf32>) {columns = 64 : i64}
  return
}
