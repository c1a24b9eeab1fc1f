// The kernel of each op, by what the GPU can do.

// RUN: pquant-opt %s --pquant-nvvm-kernels --canonicalize --cse | FileCheck %s
// RUN: sed 's/b1-mma,s8-mma,tf32-mma//' %s | pquant-opt --pquant-nvvm-kernels --canonicalize --cse | FileCheck %s --check-prefix=DOT
// RUN: sed 's/sm_80/sm_90a/; s/tf32-mma/tf32-mma,s8-wgmma/' %s | pquant-opt --pquant-nvvm-kernels --canonicalize --cse | FileCheck %s --check-prefix=WGMMA

#generic = #pquant.level<"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>
#gpu = #pquant.gpu<"nvptx64-nvidia-cuda", chip = "sm_80", features = "+ptx80", capabilities = "b1-mma,s8-mma,tf32-mma">

module attributes {pquant.target = #pquant.target<"x86_64-pc-linux-gnu", levels = [#generic], binary = b16x256, gpu = #gpu>} {

// Bit planes for one row: 8 planes of 8 columns by three exchanges, then 16 tiles by 8 warps.
// CHECK-LABEL: func.func @binary_row
// CHECK:         gpu.launch blocks({{.*}}) in (%{{.+}} = %c4, %{{.+}} = %c1,
// CHECK:           arith.xori
// CHECK:           gpu.barrier
// CHECK:           nvvm.mma.sync {{.*}}b1Op = #nvvm.mma_b1op<and_popc>, {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 256>
// CHECK:           gpu.barrier
// DOT-LABEL:   func.func @binary_row
// DOT-NOT:       nvvm.mma.sync
// DOT:           nvvm.dot.accumulate.4way
func.func @binary_row(%q: memref<1x4096xi8>, %s: memref<1xf32>, %t: memref<1xi32>, %w: memref<32768xi8>,
                      %ws: memref<64xf32>, %y: memref<1x64xf32>) {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<1x4096xi8>, memref<1xf32>, memref<1xi32>, memref<32768xi8>,
                        memref<64xf32>) outs(%y : memref<1x64xf32>) {columns = 4096 : i64, layout = #pquant.layout<b16x256>}
  return
}

// Few rows or many is decided on the host. Of a few, two at a time meet the weights, which are loaded once.
// CHECK-LABEL: func.func @binary_rows
// CHECK:         scf.if
// CHECK:           gpu.launch blocks({{.*}} = %c2, %{{.+}} = %c1, {{.*}} memref<512xi8, {{.*}} memref<2x1x16xi32,
// CHECK:             vector.load %{{.+}} {alignment = 16 : i64} : memref<1024xi8>
// CHECK:             scf.for %{{.+}} = %c0 to %{{.+}} step %c2 {
// CHECK-NOT:           alignment = 16
// CHECK-COUNT-2:       nvvm.mma.sync {{.*}}k = 256>
// CHECK:         } else {
// CHECK:           gpu.launch
// CHECK:             nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<s8>, {{.*}}k = 32>
//
// Of warpgroups: three steps of 128 rows by 128 columns in shared memory, two of them under way; 64 sums of a lane in
// place, then the weights of four instructions and the descriptor. Columns beyond the padding are not read.
// WGMMA-LABEL: func.func @binary_rows
// WGMMA:         scf.if
// WGMMA:           nvvm.mma.sync {{.*}}k = 256>
// WGMMA:         } else {
// WGMMA:           gpu.launch {{.*}} workgroup(%{{.+}} : memref<49152xi8, #gpu.address_space<workgroup>>)
// WGMMA:             nvvm.cp.async.shared.global %{{.+}}, %{{.+}}, 16, cache = cg
// WGMMA:             nvvm.cp.async.wait.group 1
// WGMMA-NEXT:        nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// WGMMA-NEXT:        gpu.barrier
// WGMMA:             llvm.inline_asm has_side_effects
// WGMMA-SAME:          wgmma.fence.sync.aligned;
// WGMMA-SAME:          wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {$0, {{.*}}, $63}, {$128, $129, $130, $131}, d, p;
// WGMMA-SAME:          {$140, $141, $142, $143}, d, p;
// WGMMA-SAME:          wgmma.commit_group.sync.aligned;
// WGMMA:             gpu.shuffle idx
// WGMMA:             wgmma.wait_group.sync.aligned 0;
// WGMMA-NOT:         nvvm.mma.sync
func.func @binary_rows(%q: memref<?x128xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<1024xi8>,
                       %ws: memref<20xf32>, %y: memref<?x20xf32>) {
  pqk.binary_linear ins(%q, %s, %t, %w, %ws : memref<?x128xi8>, memref<?xf32>, memref<?xi32>, memref<1024xi8>,
                        memref<20xf32>) outs(%y : memref<?x20xf32>) accumulate
                        {columns = 100 : i64, layout = #pquant.layout<b16x256>}
  return
}

// CHECK-LABEL: func.func @int8_row
// CHECK:         nvvm.dot.accumulate.4way
// CHECK-NOT:     nvvm.mma.sync
// CHECK-LABEL: func.func @int8_rows
// CHECK:         nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<s8>
// WGMMA-LABEL: func.func @int8_rows
// WGMMA-NOT:     nvvm.mma.sync
// WGMMA:         wgmma.mma_async
// WGMMA-NOT:     gpu.shuffle
// WGMMA:         wgmma.wait_group
func.func @int8_row(%q: memref<1x128xi8>, %s: memref<1xf32>, %w: memref<4096xi8>, %r: memref<20xi32>,
                    %ws: memref<20xf32>, %y: memref<1x20xf32>) {
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<1x128xi8>, memref<1xf32>, memref<4096xi8>, memref<20xi32>,
                      memref<20xf32>) outs(%y : memref<1x20xf32>) {columns = 100 : i64}
  return
}
func.func @int8_rows(%q: memref<64x128xi8>, %s: memref<64xf32>, %w: memref<4096xi8>, %r: memref<20xi32>,
                     %ws: memref<20xf32>, %y: memref<64x20xf32>) {
  pqk.int8_linear ins(%q, %s, %w, %r, %ws : memref<64x128xi8>, memref<64xf32>, memref<4096xi8>, memref<20xi32>,
                      memref<20xf32>) outs(%y : memref<64x20xf32>) {columns = 100 : i64}
  return
}

// Of experts: few rows each by itself; of many, one block sorts the rows by expert and makes groups of up to 64 of one
// expert, of which a block of products has one. Each expert may have a group that is not full.
// CHECK-LABEL: func.func @expert_rows
// CHECK-SAME:    memref<?xi64>
// CHECK:         %[[FEW:.+]] = arith.cmpi ule, %[[ROWS:.+]], %c8
// CHECK:         scf.if %[[FEW]] {
// CHECK:           gpu.launch blocks({{.*}} = %c2, %{{.+}} = %[[ROWS]], {{.*}} = %c128,
// CHECK:             nvvm.dot.accumulate.4way
// CHECK:         } else {
// CHECK:           %[[FULL:.+]] = arith.divui %{{.+}}, %c64
// CHECK:           %[[MOST:.+]] = arith.addi %[[FULL]], %c2
// CHECK:           gpu.alloc (%[[ROWS]]) : memref<?xi32>
// CHECK:           gpu.alloc (%[[MOST]]) : memref<?x3xi32>
// CHECK:           gpu.launch blocks({{.*}} = %c1, %{{.+}} = %c1, {{.*}} = %c1024,
// CHECK:             memref.atomic_rmw addi
// CHECK:           gpu.launch blocks({{.*}} = %c1, %{{.+}} = %[[MOST]], {{.*}} = %c256,
// CHECK:             nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<s8>
// CHECK:           gpu.dealloc
// DOT-LABEL:   func.func @expert_rows
// DOT-NOT:       nvvm.mma.sync
// DOT:           nvvm.dot.accumulate.4way
func.func @expert_rows(%q: memref<?x128xi8>, %s: memref<?xf32>, %i: memref<?xi64>, %w: memref<8192xi8>,
                       %r: memref<2x20xi32>, %ws: memref<2x20xf32>, %y: memref<?x20xf32>) {
  pqk.expert_linear ins(%q, %s, %i, %w, %r, %ws : memref<?x128xi8>, memref<?xf32>, memref<?xi64>, memref<8192xi8>,
                        memref<2x20xi32>, memref<2x20xf32>) outs(%y : memref<?x20xf32>) {columns = 100 : i64}
  return
}

// CHECK-LABEL: func.func @bfloat16_weights
// CHECK:         vector.load %{{.+}} {alignment = 8 : i64} : memref<1600xi16>, vector<4xi16>
// CHECK:         arith.shli
// CHECK:         vector.bitcast
// CHECK:         math.fma
func.func @bfloat16_weights(%x: memref<?x100xf32>, %w: memref<1600xi16>, %y: memref<?x16xf32>) {
  pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xi16>) outs(%y : memref<?x16xf32>)
  return
}

// CHECK-LABEL: func.func @others
// CHECK:         math.roundeven
// CHECK:         math.fma
// CHECK:         math.exp
// CHECK-NOT:     pqk.
func.func @others(%x: memref<?x100xf32>, %q: memref<?x128xi8>, %s: memref<?xf32>, %t: memref<?xi32>, %w: memref<1600xf32>,
                  %y: memref<?x16xf32>, %a: memref<1x4x?x32xf32>, %k: memref<1x2x?x32xf32>, %o: memref<1x4x?x32xf32>) {
  pqk.quantize ins(%x : memref<?x100xf32>) outs(%q, %s, %t : memref<?x128xi8>, memref<?xf32>, memref<?xi32>)
      {quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}
  pqk.float_linear ins(%x, %w : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
  pqk.attention ins(%a, %k, %k : memref<1x4x?x32xf32>, memref<1x2x?x32xf32>, memref<1x2x?x32xf32>)
      outs(%o : memref<1x4x?x32xf32>) causal {scale = 0.17677669 : f32}
  return
}

// Of up to 2 rows 16 blocks for each, whose results one block combines; of up to 16, a block for each; of more, tiles of
// 64, by 32 keys with rows of 48 and 36 words in shared memory: two products of tf32, each in three parts.
// CHECK-LABEL: func.func @attention
// CHECK:         %[[FEW:.+]] = arith.cmpi ule, %{{.+}}, %c16
// CHECK:         scf.if %[[FEW]] {
// CHECK:           %[[FEWER:.+]] = arith.cmpi ule, %{{.+}}, %c2
// CHECK:           scf.if %[[FEWER]] {
// CHECK:             %[[SCRATCH:.+]] = gpu.alloc (%{{.+}}) : memref<?x16x34xf32>
// CHECK:             gpu.launch {{.*}} = %c256,
// CHECK-COUNT-16:    gpu.shuffle xor
// CHECK:             gpu.launch {{.*}} = %c1024,
// CHECK-COUNT-16:    gpu.shuffle idx
// CHECK:             gpu.dealloc %[[SCRATCH]]
// CHECK:           } else {
// CHECK-NOT:         gpu.alloc
// CHECK:             gpu.launch {{.*}} = %c256,
// CHECK-NOT:         nvvm.mma.sync
// CHECK:         } else {
// CHECK:           gpu.launch {{.*}} = %c128, {{.*}} memref<1536xf32, {{.*}} memref<1152xf32,
// CHECK-COUNT-96:    nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<tf32>, {{.*}}k = 8>
// CHECK-NOT:         nvvm.mma.sync
// CHECK:           gpu.terminator
// DOT-LABEL:   func.func @attention
// DOT-NOT:       nvvm.mma.sync
// DOT:           math.exp
func.func @attention(%a: memref<1x4x?x32xf32>, %k: memref<1x2x?x32xf32>, %o: memref<1x4x?x32xf32>) {
  pqk.attention ins(%a, %k, %k : memref<1x4x?x32xf32>, memref<1x2x?x32xf32>, memref<1x2x?x32xf32>)
      outs(%o : memref<1x4x?x32xf32>) causal {scale = 0.17677669 : f32}
  return
}

// Elements of an f16 cache have no low part: a third fewer products. An odd depth is padded to 16 columns, in shared
// memory only.
// CHECK-LABEL: func.func @attention_f16
// CHECK-COUNT-48: nvvm.mma.sync
// CHECK-NOT:      nvvm.mma.sync
// CHECK-LABEL: func.func @attention_int8
// CHECK:         memref.load %{{.+}} : memref<1x2x70x19xi8>
// CHECK:         arith.sitofp
// CHECK-COUNT-72: nvvm.mma.sync
// CHECK-NOT:      nvvm.mma.sync
// CHECK-LABEL: func.func @attention_deep
// CHECK-NOT:     nvvm.mma.sync
// CHECK:         return
func.func @attention_f16(%a: memref<1x4x70x16xf32>, %k: memref<1x2x70x16xf16>, %v: memref<1x2x70x9xf16>,
                         %o: memref<1x4x70x9xf32>) {
  pqk.attention ins(%a, %k, %v : memref<1x4x70x16xf32>, memref<1x2x70x16xf16>, memref<1x2x70x9xf16>)
      outs(%o : memref<1x4x70x9xf32>) {scale = 0.25 : f32}
  return
}
func.func @attention_int8(%a: memref<1x4x70x15xf32>, %k: memref<1x2x70x19xi8>, %o: memref<1x4x70x15xf32>) {
  pqk.attention ins(%a, %k, %k : memref<1x4x70x15xf32>, memref<1x2x70x19xi8>, memref<1x2x70x19xi8>)
      outs(%o : memref<1x4x70x15xf32>) {scale = 0.25 : f32}
  return
}
func.func @attention_deep(%a: memref<1x4x70x256xf32>, %k: memref<1x2x70x256xf32>, %o: memref<1x4x70x256xf32>) {
  pqk.attention ins(%a, %k, %k : memref<1x4x70x256xf32>, memref<1x2x70x256xf32>, memref<1x2x70x256xf32>)
      outs(%o : memref<1x4x70x256xf32>) {scale = 0.0625 : f32}
  return
}
}
