// RUN: pquant-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK: default = #pquant.quantizer<mul_recip, eps = 1.0e-05>
// CHECK-SAME: exact = #pquant.quantizer<mul_div, eps = 1.1754944e-38>
// CHECK-SAME: full = #pquant.quantizer<div, eps = 1.0e-08, guard = add, range = [-127, 127]>
// CHECK-SAME: guarded = #pquant.quantizer<div, eps = 0.0e+00>
// CHECK-SAME: ranged = #pquant.quantizer<div, eps = 1.25e-01, range = [-128, 7]>
module attributes {
  a.default = #pquant.quantizer<mul_recip, eps = 1.0e-05, range = [-128, 127]>,
  a.exact = #pquant.quantizer<mul_div, eps = 1.17549435E-38>,
  a.full = #pquant.quantizer<div, eps = 1.0e-08, guard = add, range = [-127, 127]>,
  a.guarded = #pquant.quantizer<div, eps = 0.0, guard = max>,
  a.ranged = #pquant.quantizer<div, eps = 0.125, range = [-128, 7]>
} {}

// -----

// CHECK: pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>,
// CHECK-SAME: <"avx2", cpu = "x86-64-v3", features = "+avxvnni", requires = "avx2,fma,f16c,bmi2", vector_bits = 256>]>
module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
  <"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>,
  <"avx2", cpu = "x86-64-v3", features = "+avxvnni", requires = "avx2,fma,f16c,bmi2", vector_bits = 256>]>} {}

// -----

// CHECK-LABEL: @layouts
// CHECK-SAME: tensor<3x100xi1, #pquant.layout<d16>>, tensor<2x3x100xi8, #pquant.layout<i8x16x4>>, tensor<3x100xf32, #pquant.layout<f32x16>>,
// CHECK-SAME: tensor<3x100xf32, #pquant.layout<bf16x16>>
func.func private @layouts(
  tensor<3x100xi1, #pquant.layout<d16>>, tensor<2x3x100xi8, #pquant.layout<i8x16x4>>,
  tensor<3x100xf32, #pquant.layout<f32x16>>, tensor<3x100xf32, #pquant.layout<bf16x16>>)

// -----

// expected-error @+1 {{expected a quantiser formula (mul_recip, mul_div or div), but got 'mul'}}
module attributes {a.q = #pquant.quantizer<mul, eps = 1.0e-05>} {}

// -----

// expected-error @+1 {{expected a quantiser guard (max or add), but got 'none'}}
module attributes {a.q = #pquant.quantizer<div, eps = 1.0e-05, guard = none>} {}

// -----

// expected-error @+1 {{expected 'range'}}
module attributes {a.q = #pquant.quantizer<div, eps = 1.0e-05, rang = [-127, 127]>} {}

// -----

// expected-error @+1 {{expected 'eps'}}
module attributes {a.q = #pquant.quantizer<div, guard = max>} {}

// -----

// expected-error @+1 {{expected '>'}}
module attributes {a.q = #pquant.quantizer<div, eps = 1.0e-05, range = [-127, 127], guard = max>} {}

// -----

// expected-error @+1 {{expected eps to be finite and at least 0, but got -1}}
module attributes {a.q = #pquant.quantizer<div, eps = -1.0>} {}

// -----

// expected-error @+1 {{expected range within [-128, 127] around 0, but got [-128, 128]}}
module attributes {a.q = #pquant.quantizer<div, eps = 1.0, range = [-128, 128]>} {}

// -----

// expected-error @+1 {{expected range within [-128, 127] around 0, but got [1, 127]}}
module attributes {a.q = #pquant.quantizer<div, eps = 1.0, range = [1, 127]>} {}

// -----

// expected-error @+1 {{expected a target triple, but got an empty string}}
module attributes {pquant.target = #pquant.target<"", levels = [
  <"generic", cpu = "", features = "", requires = "", vector_bits = 128>]>} {}

// -----

// expected-error @+1 {{expected distinct level names, but got 'a' twice}}
module attributes {pquant.target = #pquant.target<"t", levels = [
  <"a", cpu = "", features = "", requires = "", vector_bits = 128>,
  <"b", cpu = "", features = "", requires = "", vector_bits = 128>,
  <"a", cpu = "", features = "", requires = "", vector_bits = 256>]>} {}

// -----

// expected-error @+1 {{expected elements of 'i1' in layout d16, but got 'i8'}}
func.func private @layout_element(tensor<3x100xi8, #pquant.layout<d16>>)

// -----

// expected-error @+1 {{expected elements of 'f32' in layout f32x16, but got 'i1'}}
func.func private @layout_element(tensor<3x100xi1, #pquant.layout<f32x16>>)

// -----

// expected-error @+1 {{expected a matrix or a stack of matrices (rank 2 or 3) with a layout, but got rank 1}}
func.func private @layout_rank(tensor<100xi1, #pquant.layout<d16>>)

// -----

// expected-error @+1 {{expected a static shape with a layout}}
func.func private @layout_dynamic(tensor<?x100xi1, #pquant.layout<d16>>)
