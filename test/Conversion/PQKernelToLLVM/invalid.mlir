// RUN: pquant-opt %s -split-input-file -verify-diagnostics --pquant-convert-pqkernel-to-llvm

%n = arith.constant 4 : index
// expected-error@+1 {{'pqk.parallel' op expected to be inside a function}}
pqk.parallel (%begin, %end) in %n grain %n {
}

// -----

func.func @capture_of_tensor(%x: tensor<4xf32>, %n: index) {
  // expected-error@+1 {{'pqk.parallel' op cannot capture a value of type 'tensor<4xf32>'}}
  pqk.parallel (%begin, %end) in %n grain %n {
    %e = tensor.extract %x[%begin] : tensor<4xf32>
  }
  return
}
