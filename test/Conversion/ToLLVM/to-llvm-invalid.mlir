// RUN: pquant-opt %s --pquant-to-llvm -split-input-file -verify-diagnostics

// Whatever is not lowered by then is named.

func.func @tensor(%n: index) {
  // expected-error @+1 {{failed to legalize operation 'tensor.empty'}}
  %0 = tensor.empty(%n) : tensor<?xf32>
  return
}

// -----

func.func @loop(%n: index) {
  // expected-error @+1 {{failed to legalize operation 'scf.for'}}
  scf.for %i = %n to %n step %n {
  }
  return
}
