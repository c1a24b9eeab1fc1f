// RUN: pquant-opt %s --split-input-file --verify-diagnostics

func.func @rms_norm_c1(%x: tensor<4x?xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{'pquant.rms_norm' op expected input to have a static last dimension of at least 1, but got 4x?}}
  %y = pquant.rms_norm %x, %w {eps = 0.0 : f32} : tensor<4x?xf32>, tensor<8xf32> -> tensor<4x?xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<4x8xf32>, %w: tensor<4xf32>) {
  // expected-error @+1 {{'pquant.rms_norm' op expected weight to have shape 8, but got 4}}
  %y = pquant.rms_norm %x, %w {eps = 0.0 : f32} : tensor<4x8xf32>, tensor<4xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @rotary_embedding_c1(%x: tensor<1x4x8x31xf32>, %c: tensor<8x15xf32>) {
  // expected-error @+1 {{'pquant.rotary_embedding' op expected input to have rank 4 and a static, even last dimension, but got 1x4x8x31}}
  %y = pquant.rotary_embedding %x, %c, %c : tensor<1x4x8x31xf32>, tensor<8x15xf32>, tensor<8x15xf32> -> tensor<1x4x8x31xf32>
  return
}

// -----

func.func @rotary_embedding_c2(%x: tensor<1x4x8x32xf32>, %c: tensor<8x16xf32>, %s: tensor<8x32xf32>) {
  // expected-error @+1 {{'pquant.rotary_embedding' op expected sin to have shape 8x16, but got 8x32}}
  %y = pquant.rotary_embedding %x, %c, %s : tensor<1x4x8x32xf32>, tensor<8x16xf32>, tensor<8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @attention_c1(%q: tensor<4x8x32xf32>, %k: tensor<1x4x8x32xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected query to have rank 4 and a static last dimension, but got 4x8x32}}
  %y = pquant.attention %q, %k, %k {scale = 1.0 : f32} : tensor<4x8x32xf32>, tensor<1x4x8x32xf32>, tensor<1x4x8x32xf32> -> tensor<4x8x32xf32>
  return
}

// -----

func.func @attention_c1_static(%q: tensor<1x4x8x?xf32>, %k: tensor<1x4x8x32xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected query to have rank 4 and a static last dimension, but got 1x4x8x?}}
  %y = pquant.attention %q, %k, %k {scale = 1.0 : f32} : tensor<1x4x8x?xf32>, tensor<1x4x8x32xf32>, tensor<1x4x8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @attention_c2(%q: tensor<1x4x8x32xf32>, %k: tensor<1x3x8x32xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected the number of query heads to be a static multiple of 3 key heads, but got 4}}
  %y = pquant.attention %q, %k, %k {scale = 1.0 : f32} : tensor<1x4x8x32xf32>, tensor<1x3x8x32xf32>, tensor<1x3x8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @attention_c2_dynamic(%q: tensor<1x4x8x32xf32>, %k: tensor<1x?x8x32xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected key to have a static number of heads of at least 1, but got 1x?x8x32}}
  %y = pquant.attention %q, %k, %k {scale = 1.0 : f32} : tensor<1x4x8x32xf32>, tensor<1x?x8x32xf32>, tensor<1x?x8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @attention_c3(%q: tensor<1x4x8x32xf32>, %k: tensor<1x4x9x32xf32>, %v: tensor<1x4x8x32xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected value to have shape 1x4x9x32, but got 1x4x8x32}}
  %y = pquant.attention %q, %k, %v {scale = 1.0 : f32} : tensor<1x4x8x32xf32>, tensor<1x4x9x32xf32>, tensor<1x4x8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @attention_c4(%q: tensor<1x4x8x32xf32>, %m: tensor<8x9xf32>) {
  // expected-error @+1 {{'pquant.attention' op expected mask to have shape 1x1x8x8, but got 8x9}}
  %y = pquant.attention %q, %q, %q mask(%m : tensor<8x9xf32>) {scale = 1.0 : f32} : tensor<1x4x8x32xf32>, tensor<1x4x8x32xf32>, tensor<1x4x8x32xf32> -> tensor<1x4x8x32xf32>
  return
}

// -----

func.func @cached_attention_c1(%q: tensor<1x4x1x32xf32>, %k: tensor<1x2x1x32xf32>, %c: tensor<1x2x512x32xf32>, %pos: tensor<1xi64>) {
  // expected-error @+1 {{'pquant.cached_attention' op expected position to be a scalar, but got 1}}
  %o, %kc, %vc = pquant.cached_attention %q, %k, %k, %c, %c, %pos {scale = 1.0 : f32}
    : tensor<1x4x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x512x32xf32>, tensor<1x2x512x32xf32>, tensor<1xi64> -> tensor<1x4x1x32xf32>
  return
}

// -----

func.func @cached_attention_c2(%q: tensor<1x4x1x32xf32>, %k: tensor<1x2x1x32xf32>, %c: tensor<1x2x512x32xf32>, %vc: tensor<1x2x256x32xf32>, %pos: tensor<i64>) {
  // expected-error @+1 {{'pquant.cached_attention' op expected value_cache to have shape 1x2x512x32, but got 1x2x256x32}}
  %o, %kc, %vc1 = pquant.cached_attention %q, %k, %k, %c, %vc, %pos {scale = 1.0 : f32}
    : tensor<1x4x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x512x32xf32>, tensor<1x2x256x32xf32>, tensor<i64> -> tensor<1x4x1x32xf32>
  return
}

// -----

func.func @cached_attention_c3(%q: tensor<1x4x1x32xf32>, %k: tensor<1x2x1x32xf32>, %c: tensor<1x2x512x32xf32>, %pos: tensor<i64>) {
  // expected-error @+1 {{'pquant.cached_attention' op failed to verify that all of {keyCache, newKeyCache} have same type}}
  %o, %kc, %vc = "pquant.cached_attention"(%q, %k, %k, %c, %c, %pos) {scale = 1.0 : f32}
    : (tensor<1x4x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x1x32xf32>, tensor<1x2x512x32xf32>, tensor<1x2x512x32xf32>, tensor<i64>)
    -> (tensor<1x4x1x32xf32>, tensor<1x2x256x32xf32>, tensor<1x2x512x32xf32>)
  return
}
