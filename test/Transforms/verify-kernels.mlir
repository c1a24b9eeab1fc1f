// RUN: pquant-opt %s --pquant-verify-kernels -split-input-file -verify-diagnostics

// Loops, memory, kernel calls, probes and parallel loops are the form; declarations have no level.

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func private @pqk_float_linear_generic(memref<?xf32>)

func.func @kernels(%x: memref<?xf32>, %n: index) attributes {pquant.level = #level} {
  pqk.parallel (%begin, %end) in %n grain %n {
    %part = memref.subview %x[%begin] [%end] [1] : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
    memref.copy %part, %part : memref<?xf32, strided<[1], offset: ?>> to memref<?xf32, strided<[1], offset: ?>>
  }
  pqk.probe begin "/head" kind "float_linear" rows %n
  call @pqk_float_linear_generic(%x) : (memref<?xf32>) -> ()
  return
}

// -----

// expected-error@+1 {{'func.func' op does not belong in phase 'kernels': expected an instruction-set level ('pquant.level') on a function with a body}}
func.func @no_level() {
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @pquant_op(%x: tensor<4x8xf32>) attributes {pquant.level = #level} {
  // expected-error@+1 {{'pquant.quantize' op does not belong in phase 'kernels': expected kernel calls or a definition in upstream ops}}
  %q, %s = pquant.quantize %x {quantizer = #pquant.quantizer<div, eps = 1.0e-05>} : tensor<4x8xf32> -> tensor<4x8xi8>, tensor<4xf32>
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @kernel_op(%x: memref<?x100xf32>, %f: memref<1600xf32>, %y: memref<?x16xf32>) attributes {pquant.level = #level} {
  // expected-error@+1 {{'pqk.float_linear' op does not belong in phase 'kernels': expected a call of a kernel function}}
  pqk.float_linear ins(%x, %f : memref<?x100xf32>, memref<1600xf32>) outs(%y : memref<?x16xf32>)
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @linalg_op(%x: f32, %y: memref<4xf32>) attributes {pquant.level = #level} {
  // expected-error@+1 {{'linalg.fill' op does not belong in phase 'kernels': expected loops}}
  linalg.fill ins(%x : f32) outs(%y : memref<4xf32>)
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @tensor_op(%x: tensor<4xf32>, %i: index) attributes {pquant.level = #level} {
  // expected-error@+1 {{'tensor.extract' op does not belong in phase 'kernels': expected ops on memrefs}}
  %0 = tensor.extract %x[%i] : tensor<4xf32>
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @bufferization_op(%x: memref<4xf32>) attributes {pquant.level = #level} {
  // expected-error@+1 {{'bufferization.clone' op does not belong in phase 'kernels': expected ops on memrefs}}
  %0 = bufferization.clone %x : memref<4xf32> to memref<4xf32>
  return
}

// -----

#level = #pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>
func.func @tensor_result() attributes {pquant.level = #level} {
  // expected-error@+1 {{'arith.constant' op does not belong in phase 'kernels': expected ops on memrefs}}
  %0 = arith.constant dense<0.0> : tensor<4xf32>
  return
}
