// RUN: pquant-opt %s --pquant-expand-math | FileCheck %s

// CHECK-LABEL: func.func @exp(
// CHECK-NOT:     math.exp
// CHECK-COUNT-7: math.fma
// CHECK:         %[[EXPONENT:.+]] = arith.shli
// CHECK:         arith.bitcast %[[EXPONENT]] : i32 to f32
// CHECK-NOT:     math.exp
// CHECK:         return
func.func @exp(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @tanh(
// CHECK-NOT:     math.tanh
// CHECK:         math.fma
// CHECK:         arith.divf
// CHECK-NOT:     math.tanh
// CHECK:         return
func.func @tanh(%x: f32) -> f32 {
  %0 = math.tanh %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @erf(
// CHECK-NOT:     math.erf
// CHECK:         math.fma
// CHECK:         arith.divf
// CHECK-NOT:     math.erf
// CHECK:         return
func.func @erf(%x: f32) -> f32 {
  %0 = math.erf %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @vector(
// CHECK-NOT:     math.exp
// CHECK:         math.fma %{{.+}}, %{{.+}}, %{{.+}} : vector<8xf32>
// CHECK-NOT:     math.exp
// CHECK:         return
func.func @vector(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.exp %x : vector<8xf32>
  return %0 : vector<8xf32>
}

// Left alone: the polynomials of sine and cosine are far off for large
// arguments, those of the others are not needed.

// CHECK-LABEL: func.func @other_functions(
// CHECK-NEXT:    math.sin
// CHECK-NEXT:    math.cos
// CHECK-NEXT:    math.log
// CHECK-NEXT:    math.powf
// CHECK-NEXT:    math.expm1
// CHECK-NEXT:    return
func.func @other_functions(%x: f32) -> (f32, f32, f32, f32, f32) {
  %0 = math.sin %x : f32
  %1 = math.cos %x : f32
  %2 = math.log %x : f32
  %3 = math.powf %x, %x : f32
  %4 = math.expm1 %x : f32
  return %0, %1, %2, %3, %4 : f32, f32, f32, f32, f32
}

// Left alone: the polynomials are those of float32.

// CHECK-LABEL: func.func @other_types(
// CHECK-NEXT:    math.exp %{{.+}} : f64
// CHECK-NEXT:    math.tanh %{{.+}} : f16
// CHECK-NEXT:    math.erf %{{.+}} : f64
// CHECK-NEXT:    return
func.func @other_types(%x: f64, %y: f16) -> (f64, f16, f64) {
  %0 = math.exp %x : f64
  %1 = math.tanh %y : f16
  %2 = math.erf %x : f64
  return %0, %1, %2 : f64, f16, f64
}
