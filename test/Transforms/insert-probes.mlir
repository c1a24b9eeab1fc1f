// RUN: pquant-opt %s --pquant-insert-probes | FileCheck %s

// Flat operands are weights (1600 floats), rows are the columns of input and
// output (100 + 16 floats); 2 * 100 * 16 operations. Rows known at run time only
// are asked for.

// CHECK-LABEL: func.func @float_linear
// CHECK-SAME:    %[[X:.+]]: memref<?x100xf32>, %{{.+}}: memref<1600xf32>, %[[Y:.+]]: memref<?x16xf32>
// CHECK:         %[[ROWS:.+]] = memref.dim %[[Y]], %{{.+}} : memref<?x16xf32>
// CHECK-NEXT:    pqk.probe begin "/head" kind "float_linear" rows %[[ROWS]] {row_bytes = 464 : i64, row_ops = 3200 : i64, weight_bytes = 6400 : i64}
// CHECK-NEXT:    pqk.float_linear
// CHECK-NEXT:    pqk.probe end "/head" kind "float_linear" rows %[[ROWS]] {row_bytes = 464 : i64, row_ops = 3200 : i64, weight_bytes = 6400 : i64}
func.func @float_linear(%x: memref<?x100xf32>, %w: memref<1600xf32>, %y: memref<?x16xf32>) {
  pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>) loc("/head")
  return
}

// One expert of four: 8192 bytes of weights and 8 of index and scale, by 4. A row
// that is known is a constant. Nodes that were fused are all named.

// CHECK-LABEL: func.func @expert_linear
// CHECK:         %[[ONE:.+]] = arith.constant 1 : index
// CHECK:         pqk.probe begin "/up+/gate" kind "expert_linear" rows %[[ONE]] {matrices = 4 : i64, row_bytes = 320 : i64, row_ops = 3200 : i64, weight_bytes = 2051 : i64}
func.func @expert_linear(%q: memref<1x128xi8>, %s: memref<1xf32>, %e: memref<1xi64>, %w: memref<8192xi8>,
                         %r: memref<4x16xi32>, %ws: memref<4x16xf32>, %y: memref<1x16xf32>) {
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<1x128xi8>, memref<1xf32>, memref<1xi64>, memref<8192xi8>,
      memref<4x16xi32>, memref<4x16xf32>) outs(%y : memref<1x16xf32>) {columns = 100 : i64} loc(fused["/up", "/gate"])
  return
}

// A parallel loop is one piece of work, with what is in it; its rows are its
// parts. Other loops have no probe.

// CHECK-LABEL: func.func @parallel
// CHECK-SAME:    %[[N:[a-z0-9]+]]: index
// CHECK-NOT:     pqk.probe
// CHECK:         pqk.probe begin "" kind "parallel" rows %[[N]]
// CHECK-NEXT:    pqk.parallel
// CHECK-NOT:       pqk.probe
// CHECK:           pqk.quantize
// CHECK-NOT:       pqk.probe
// CHECK:         pqk.probe end "" kind "parallel" rows %[[N]]
// CHECK-NEXT:    scf.for
// CHECK-NOT:     pqk.probe
func.func @parallel(%n: index, %x: memref<?x100xf32>, %q: memref<?x128xi8>, %s: memref<?xf32>, %t: memref<?xi32>) {
  pqk.parallel (%begin, %end) in %n grain %n {
    pqk.quantize ins(%x : memref<?x100xf32>) outs(%q, %s, %t : memref<?x128xi8>, memref<?xf32>, memref<?xi32>)
        {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  } loc(unknown)
  scf.for %i = %n to %n step %n {
  }
  return
}

// A row of attention is a position: keys and values of 2 heads, 32 + 16 floats;
// 4 query heads of 3 tokens each.

// CHECK-LABEL: func.func @attention
// CHECK-SAME:    %{{.+}}: memref<1x4x3x32xf32>, %[[K:[a-z0-9]+]]: memref<1x2x?x32xf32>
// CHECK:         %[[ROWS:.+]] = memref.dim %[[K]], %{{.+}} : memref<1x2x?x32xf32>
// CHECK:         pqk.probe begin "/attention" kind "attention" rows %[[ROWS]] {row_bytes = 384 : i64, row_ops = 1152 : i64}
func.func @attention(%q: memref<1x4x3x32xf32>, %k: memref<1x2x?x32xf32>, %v: memref<1x2x?x16xf32>, %o: memref<1x4x3x16xf32>) {
  pqk.attention ins(%q, %k, %v : memref<1x4x3x32xf32>, memref<1x2x?x32xf32>, memref<1x2x?x16xf32>)
      outs(%o : memref<1x4x3x16xf32>) causal {scale = 0.17677669 : f32} loc("/attention")
  return
}

// Caches of float16 are half of that.

// CHECK-LABEL: func.func @narrow_attention
// CHECK:         pqk.probe begin "/attention" kind "attention" rows %{{.+}} {row_bytes = 192 : i64, row_ops = 1152 : i64}
func.func @narrow_attention(%q: memref<1x4x3x32xf32>, %k: memref<1x2x?x32xf16>, %v: memref<1x2x?x16xf16>, %o: memref<1x4x3x16xf32>) {
  pqk.attention ins(%q, %k, %v : memref<1x4x3x32xf32>, memref<1x2x?x32xf16>, memref<1x2x?x16xf16>)
      outs(%o : memref<1x4x3x16xf32>) causal {scale = 0.17677669 : f32} loc("/attention")
  return
}
