// Sizes off every block.

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
#gpu = #pquant.gpu<"nvptx64-nvidia-cuda", chip = "sm_90a", features = "+ptx80", capabilities = "CAPABILITIES">

module attributes {pquant.target = #pquant.target<"x86_64-pc-linux-gnu", levels = [#generic], binary = b16x256, gpu = #gpu>} {

func.func @binary(%q: memref<150x576xi8>, %s: memref<150xf32>, %t: memref<150xi32>, %w: memref<15360xi8>,
                  %ws: memref<145xf32>, %y: memref<150x145xf32>) {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<150x576xi8>, memref<150xf32>, memref<150xi32>, memref<15360xi8>,
                        memref<145xf32>) outs(%y : memref<150x145xf32>) accumulate
                        {columns = 530 : i64, layout = #pquant.layout<b16x256>}
  return
}

// Few rows: two at a time meet two tiles of weights in a block, more of them than a warp has loaded before.
func.func @binary_few(%q: memref<5x12544xi8>, %s: memref<5xf32>, %t: memref<5xi32>, %w: memref<3336704xi8>,
                      %ws: memref<2113xf32>, %y: memref<5x2113xf32>) {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<5x12544xi8>, memref<5xf32>, memref<5xi32>, memref<3336704xi8>,
                        memref<2113xf32>) outs(%y : memref<5x2113xf32>) accumulate
                        {columns = 12530 : i64, layout = #pquant.layout<b16x256>}
  return
}

func.func @int8(%q: memref<130x320xi8>, %s: memref<130xf32>, %w: memref<51200xi8>, %r: memref<145xi32>,
                %ws: memref<145xf32>, %y: memref<130x145xf32>) {
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<130x320xi8>, memref<130xf32>, memref<51200xi8>, memref<145xi32>,
                      memref<145xf32>) outs(%y : memref<130x145xf32>) {columns = 300 : i64}
  return
}

// Four at a time; more weights than a warp has loaded before.
func.func @int8_few(%q: memref<5x8704xi8>, %s: memref<5xf32>, %w: memref<278528xi8>, %r: memref<20xi32>,
                    %ws: memref<20xf32>, %y: memref<5x20xf32>) {
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<5x8704xi8>, memref<5xf32>, memref<278528xi8>, memref<20xi32>,
                      memref<20xf32>) outs(%y : memref<5x20xf32>) accumulate {columns = 8690 : i64}
  return
}

func.func @attention_f32(%q: memref<1x2x40x128xf32>, %k: memref<1x1x70x128xf32>, %v: memref<1x1x70x128xf32>,
                         %y: memref<1x2x40x128xf32>) {
  pqk.attention ins(%q, %k, %v : memref<1x2x40x128xf32>, memref<1x1x70x128xf32>, memref<1x1x70x128xf32>)
      outs(%y : memref<1x2x40x128xf32>) causal {scale = 0.125 : f32}
  return
}

func.func @attention_f16(%q: memref<2x4x70x64xf32>, %k: memref<2x2x70x64xf16>, %v: memref<2x2x70x64xf16>,
                         %y: memref<2x4x70x64xf32>) {
  pqk.attention ins(%q, %k, %v : memref<2x4x70x64xf32>, memref<2x2x70x64xf16>, memref<2x2x70x64xf16>)
      outs(%y : memref<2x4x70x64xf32>) causal {scale = 0.125 : f32}
  return
}

func.func @attention_int8(%q: memref<1x2x33x27xf32>, %k: memref<1x1x71x31xi8>, %v: memref<1x1x71x49xi8>,
                          %m: memref<1x1x33x71xf32>, %y: memref<1x2x33x45xf32>) {
  pqk.attention ins(%q, %k, %v : memref<1x2x33x27xf32>, memref<1x1x71x31xi8>, memref<1x1x71x49xi8>)
      mask(%m : memref<1x1x33x71xf32>) outs(%y : memref<1x2x33x45xf32>) {scale = 0.2 : f32}
  return
}
}
