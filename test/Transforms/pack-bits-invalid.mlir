// RUN: pquant-opt %s --pquant-pack-bits -split-input-file -verify-diagnostics

// expected-error@+1 {{module has no pquant.target}}
module {
}

// -----

// expected-error@+1 {{expected a target with storage layouts, but got 7 : i64}}
module attributes {pquant.target = 7 : i64} {
}
