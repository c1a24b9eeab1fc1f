// RUN: pquant-opt %s --split-input-file --verify-diagnostics

func.func @quantize_mixed(%x: tensor<4x100xf32>, %v: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>) {
  // expected-error @+1 {{'pqk.quantize' op expected operands to be all tensors or all memrefs, but got both}}
  pqk.quantize ins(%x : tensor<4x100xf32>) outs(%v, %s, %t : memref<4x128xi8>, memref<4xf32>, memref<4xi32>) {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// -----

func.func @quantize_c1(%x: memref<4x100xf32>, %v: memref<4x100xi8>, %s: memref<4xf32>, %t: memref<4xi32>) {
  // expected-error @+1 {{'pqk.quantize' op expected columns of values (input columns rounded up to 64) to be 128, but got 100}}
  pqk.quantize ins(%x : memref<4x100xf32>) outs(%v, %s, %t : memref<4x100xi8>, memref<4xf32>, memref<4xi32>) {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// -----

func.func @quantize_c2_values(%x: memref<4x100xf32>, %v: memref<5x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>) {
  // expected-error @+1 {{'pqk.quantize' op expected rows of values to be 4, but got 5}}
  pqk.quantize ins(%x : memref<4x100xf32>) outs(%v, %s, %t : memref<5x128xi8>, memref<4xf32>, memref<4xi32>) {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// -----

func.func @quantize_c2_scale(%x: memref<4x100xf32>, %v: memref<4x128xi8>, %s: memref<5xf32>, %t: memref<4xi32>) {
  // expected-error @+1 {{'pqk.quantize' op expected length of scale to be 4, but got 5}}
  pqk.quantize ins(%x : memref<4x100xf32>) outs(%v, %s, %t : memref<4x128xi8>, memref<5xf32>, memref<4xi32>) {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// -----

func.func @quantize_c2_sum(%x: memref<4x100xf32>, %v: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<5xi32>) {
  // expected-error @+1 {{'pqk.quantize' op expected length of sum to be 4, but got 5}}
  pqk.quantize ins(%x : memref<4x100xf32>) outs(%v, %s, %t : memref<4x128xi8>, memref<4xf32>, memref<5xi32>) {quantizer = #pquant.quantizer<div, eps = 1.0e-05>}
  return
}

// -----

func.func @binary_linear_c1_columns(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<256xi8>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected columns to be at least 1, but got 0}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi32>, memref<256xi8>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 0 : i64}
  return
}

// -----

func.func @binary_linear_c1(%q: memref<4x100xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<256xi8>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected columns of input (columns rounded up to 64) to be 128, but got 100}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x100xi8>, memref<4xf32>, memref<4xi32>, memref<256xi8>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @binary_linear_c2_scale(%q: memref<4x128xi8>, %s: memref<3xf32>, %t: memref<4xi32>, %w: memref<256xi8>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected length of scale to be 4, but got 3}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<3xf32>, memref<4xi32>, memref<256xi8>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @binary_linear_c2_sum(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<3xi32>, %w: memref<256xi8>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected length of sum to be 4, but got 3}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<3xi32>, memref<256xi8>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @binary_linear_c2_output(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<256xi8>, %ws: memref<3xf32>, %y: memref<5x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected rows of output to be 4, but got 5}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi32>, memref<256xi8>, memref<3xf32>) outs(%y : memref<5x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @binary_linear_c3(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<256xi8>, %ws: memref<1xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected length of weight_scale to be 3, but got 1}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi32>, memref<256xi8>, memref<1xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @binary_linear_c4(%q: memref<4x128xi8>, %s: memref<4xf32>, %t: memref<4xi32>, %w: memref<48xi8>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.binary_linear' op expected length of weight in layout d16 to be 256, but got 48}}
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi32>, memref<48xi8>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @int8_linear_c1(%q: memref<4x128xi8>, %s: memref<4xf32>, %w: memref<2048xi8>, %r: memref<3xi32>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.int8_linear' op expected columns of input (columns rounded up to 64) to be 192, but got 128}}
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<2048xi8>, memref<3xi32>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 129 : i64}
  return
}

// -----

func.func @int8_linear_c2(%q: memref<4x128xi8>, %s: memref<3xf32>, %w: memref<2048xi8>, %r: memref<3xi32>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.int8_linear' op expected length of scale to be 4, but got 3}}
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<4x128xi8>, memref<3xf32>, memref<2048xi8>, memref<3xi32>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @int8_linear_c3(%q: memref<4x128xi8>, %s: memref<4xf32>, %w: memref<2048xi8>, %r: memref<4xi32>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.int8_linear' op expected length of row_sum to be 3, but got 4}}
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<2048xi8>, memref<4xi32>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @int8_linear_c4(%q: memref<4x128xi8>, %s: memref<4xf32>, %w: memref<300xi8>, %r: memref<3xi32>, %ws: memref<3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.int8_linear' op expected length of weight in layout i8x16x4 to be 2048, but got 300}}
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<300xi8>, memref<3xi32>, memref<3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @expert_linear_c1(%q: memref<4x128xi8>, %s: memref<4xf32>, %e: memref<4xi64>, %w: memref<4096xi8>, %r: memref<2x3xi32>, %ws: memref<2x3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.expert_linear' op expected columns to be at least 1, but got -1}}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi64>, memref<4096xi8>, memref<2x3xi32>, memref<2x3xf32>) outs(%y : memref<4x3xf32>) {columns = -1 : i64}
  return
}

// -----

func.func @expert_linear_c2(%q: memref<4x128xi8>, %s: memref<4xf32>, %e: memref<5xi64>, %w: memref<4096xi8>, %r: memref<2x3xi32>, %ws: memref<2x3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.expert_linear' op expected length of index to be 4, but got 5}}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<5xi64>, memref<4096xi8>, memref<2x3xi32>, memref<2x3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @expert_linear_c3_row_sum(%q: memref<4x128xi8>, %s: memref<4xf32>, %e: memref<4xi64>, %w: memref<4096xi8>, %r: memref<2x4xi32>, %ws: memref<2x3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.expert_linear' op expected columns of row_sum to be 3, but got 4}}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi64>, memref<4096xi8>, memref<2x4xi32>, memref<2x3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @expert_linear_c3_weight_scale(%q: memref<4x128xi8>, %s: memref<4xf32>, %e: memref<4xi64>, %w: memref<4096xi8>, %r: memref<2x3xi32>, %ws: memref<3x3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.expert_linear' op expected rows of weight_scale to be 2, but got 3}}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi64>, memref<4096xi8>, memref<2x3xi32>, memref<3x3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @expert_linear_c4(%q: memref<4x128xi8>, %s: memref<4xf32>, %e: memref<4xi64>, %w: memref<2048xi8>, %r: memref<2x3xi32>, %ws: memref<2x3xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.expert_linear' op expected length of weight in layout i8x16x4 to be 4096, but got 2048}}
  pqk.expert_linear ins(%q, %s, %e, %w, %r, %ws : memref<4x128xi8>, memref<4xf32>, memref<4xi64>, memref<2048xi8>, memref<2x3xi32>, memref<2x3xf32>) outs(%y : memref<4x3xf32>) {columns = 100 : i64}
  return
}

// -----

func.func @float_linear_c1(%x: memref<4x10xf32>, %w: memref<160xf32>, %y: memref<5x3xf32>) {
  // expected-error @+1 {{'pqk.float_linear' op expected rows of output to be 4, but got 5}}
  pqk.float_linear ins(%x, %w : memref<4x10xf32>, memref<160xf32>) outs(%y : memref<5x3xf32>)
  return
}

// -----

func.func @float_linear_c2(%x: memref<4x10xf32>, %w: memref<30xf32>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.float_linear' op expected length of weight in layout f32x16 to be 160, but got 30}}
  pqk.float_linear ins(%x, %w : memref<4x10xf32>, memref<30xf32>) outs(%y : memref<4x3xf32>)
  return
}

// -----

func.func @float_linear_c2_bf16(%x: memref<4x10xf32>, %w: memref<80xi16>, %y: memref<4x3xf32>) {
  // expected-error @+1 {{'pqk.float_linear' op expected length of weight in layout bf16x16 to be 160, but got 80}}
  pqk.float_linear ins(%x, %w : memref<4x10xf32>, memref<80xi16>) outs(%y : memref<4x3xf32>)
  return
}

// -----

func.func @parallel_c1(%n: index) {
  // expected-error @+1 {{'pqk.parallel' op expected a region with the arguments begin and end of type index}}
  "pqk.parallel"(%n, %n) ({
  ^bb0(%begin: index):
  }) : (index, index) -> ()
  return
}

// -----

func.func @parallel_c2(%n: index) {
  pqk.parallel (%begin, %end) in %n grain %n {
    // expected-error @+1 {{'tensor.empty' op expected memrefs inside 'pqk.parallel', but got a result of type 'tensor<4xf32>'}}
    %0 = tensor.empty() : tensor<4xf32>
  }
  return
}

// -----

func.func @results_of_tensors(%x: tensor<4x10xf32>, %w: tensor<160xf32>, %y: tensor<4x3xf32>) {
  // expected-error @+1 {{'pqk.float_linear' op expected the number of tensor results (0) to be equal to the number of output tensors (1)}}
  pqk.float_linear ins(%x, %w : tensor<4x10xf32>, tensor<160xf32>) outs(%y : tensor<4x3xf32>)
  return
}

// -----

func.func @attention_c1(%q: memref<1x2x3x?xf32>, %k: memref<1x2x3x4xf32>, %o: memref<1x2x3x4xf32>) {
  // expected-error @+1 {{'pqk.attention' op expected static, positive sizes of the last dimensions of query and output}}
  pqk.attention ins(%q, %k, %k : memref<1x2x3x?xf32>, memref<1x2x3x4xf32>, memref<1x2x3x4xf32>) outs(%o : memref<1x2x3x4xf32>) {scale = 1.0 : f32}
  return
}

// -----

func.func @attention_c2_columns(%q: memref<1x2x3x8xf32>, %k: memref<1x2x3x4xf32>, %o: memref<1x2x3x4xf32>) {
  // expected-error @+1 {{'pqk.attention' op expected columns of key to be 8, but got 4}}
  pqk.attention ins(%q, %k, %k : memref<1x2x3x8xf32>, memref<1x2x3x4xf32>, memref<1x2x3x4xf32>) outs(%o : memref<1x2x3x4xf32>) {scale = 1.0 : f32}
  return
}

// -----

func.func @attention_c2_groups(%q: memref<1x3x3x4xf32>, %k: memref<1x2x3x4xf32>, %o: memref<1x3x3x4xf32>) {
  // expected-error @+1 {{'pqk.attention' op expected the heads of key to divide those of query, but got 2 and 3}}
  pqk.attention ins(%q, %k, %k : memref<1x3x3x4xf32>, memref<1x2x3x4xf32>, memref<1x2x3x4xf32>) outs(%o : memref<1x3x3x4xf32>) {scale = 1.0 : f32}
  return
}

// -----

func.func @attention_c3(%q: memref<1x2x3x4xf32>, %k: memref<1x2x5x4xf32>, %m: memref<1x1x3x4xf32>, %o: memref<1x2x3x4xf32>) {
  // expected-error @+1 {{'pqk.attention' op expected columns of mask to be 5, but got 4}}
  pqk.attention ins(%q, %k, %k : memref<1x2x3x4xf32>, memref<1x2x5x4xf32>, memref<1x2x5x4xf32>) mask(%m : memref<1x1x3x4xf32>) outs(%o : memref<1x2x3x4xf32>) {scale = 1.0 : f32}
  return
}

// -----

func.func @attention_c1_types(%q: memref<1x2x3x4xf32>, %k: memref<1x2x5x4xf16>, %v: memref<1x2x5x4xf32>) {
  // expected-error @+1 {{'pqk.attention' op expected key and value of one element type}}
  pqk.attention ins(%q, %k, %v : memref<1x2x3x4xf32>, memref<1x2x5x4xf16>, memref<1x2x5x4xf32>) outs(%q : memref<1x2x3x4xf32>) {scale = 1.0 : f32}
  return
}

// -----

func.func @attention_c2_step(%q: memref<1x2x3x4xf32>, %k: memref<1x2x5x4xi8>) {
  // expected-error @+1 {{'pqk.attention' op expected columns of value to be 8, but got 4}}
  pqk.attention ins(%q, %k, %k : memref<1x2x3x4xf32>, memref<1x2x5x4xi8>, memref<1x2x5x4xi8>) outs(%q : memref<1x2x3x4xf32>) {scale = 1.0 : f32}
  return
}
