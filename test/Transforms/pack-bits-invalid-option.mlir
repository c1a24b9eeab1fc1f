// RUN: pquant-opt %s --pquant-pack-bits=layout=d8 -verify-diagnostics

// expected-error@+1 {{expected layout to be 'target' or 'd16', but got 'd8'}}
module {
}
