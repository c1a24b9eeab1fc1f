// REQUIRES: mlir-runner
// RUN: %run_definitions | FileCheck %s
// RUN: %run_canonical_definitions | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>) attributes {llvm.emit_c_interface}

// acc = [1 + 2 - 3, -1 - 2 - 3], [-128 + 0 - 127, 128 - 0 - 127].
//
// CHECK: {{\[\[}}0, -0.75],
// CHECK-NEXT: [-127.5, 0.5]]
func.func @one_plane() {
  %q = arith.constant dense<[[1, 2, 3], [-128, 0, 127]]> : tensor<2x3xi8>
  %s = arith.constant dense<[0.5, 2.0]> : tensor<2xf32>
  %w = arith.constant dense<[[true, true, false], [false, false, false]]> : tensor<2x3xi1>
  %ws = arith.constant dense<0.25> : tensor<1x1xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws)
    : tensor<2x3xi8>, tensor<2xf32>, (tensor<2x3xi1>), (tensor<1x1xf32>) -> tensor<2x2xf32>
  %u17 = tensor.cast %y : tensor<2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u17) : (tensor<*xf32>) -> ()
  return
}

// Two planes of scale 1/2 are the weights +1, 0, -1; per-row scales.
//
// CHECK: {{\[\[}}-20, -40]]
func.func @ternary() {
  %q = arith.constant dense<[[10, 20, 30]]> : tensor<1x3xi8>
  %s = arith.constant dense<1.0> : tensor<1xf32>
  %w0 = arith.constant dense<[[true, true, false], [true, false, false]]> : tensor<2x3xi1>
  %w1 = arith.constant dense<[[true, false, false], [true, true, false]]> : tensor<2x3xi1>
  %ws = arith.constant dense<[[0.5], [1.0]]> : tensor<2x1xf32>
  %y = pquant.binary_linear %q, %s planes(%w0, %w1) scales(%ws, %ws)
    : tensor<1x3xi8>, tensor<1xf32>, (tensor<2x3xi1>, tensor<2x3xi1>), (tensor<2x1xf32>, tensor<2x1xf32>)
    -> tensor<1x2xf32>
  %u18 = tensor.cast %y : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u18) : (tensor<*xf32>) -> ()
  return
}

// Groups [1, 2] and [3, 4] with scales 1 and 10, all bits 1: 3 + 70; the offset
// adds 100 * 10.
//
// CHECK: [2146]
func.func @groups_and_offset() {
  %q = arith.constant dense<[1, 2, 3, 4]> : tensor<4xi8>
  %s = arith.constant dense<2.0> : tensor<f32>
  %w = arith.constant dense<true> : tensor<1x4xi1>
  %ws = arith.constant dense<[[1.0, 10.0]]> : tensor<1x2xf32>
  %z = arith.constant dense<100.0> : tensor<1xf32>
  %y = pquant.binary_linear %q, %s planes(%w) scales(%ws) offset(%z : tensor<1xf32>)
    : tensor<4xi8>, tensor<f32>, (tensor<1x4xi1>), (tensor<1x2xf32>) -> tensor<1xf32>
  %u19 = tensor.cast %y : tensor<1xf32> to tensor<*xf32>
  call @printMemrefF32(%u19) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  call @one_plane() : () -> ()
  call @ternary() : () -> ()
  call @groups_and_offset() : () -> ()
  return
}
