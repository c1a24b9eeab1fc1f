// RUN: pquant-opt %s --pquant-clone-levels -split-input-file -verify-diagnostics | FileCheck %s

// One clone of each function with a body for each CPU, in the order of the
// target; LLVM is told the CPU, the features when there are any, and the width.

module attributes {pquant.target = #pquant.target<"x86_64-unknown-linux-gnu", levels = [
    <"generic", cpu = "x86-64-v2", features = "", requires = "", vector_bits = 128>,
    <"avx512", cpu = "x86-64-v4", features = "+avx512vnni", requires = "avx512vnni", vector_bits = 512>]>} {

// Data is not cloned.

// CHECK:       memref.global "private" constant @weight : memref<2xf32>
// CHECK-NOT:   memref.global
memref.global "private" constant @weight : memref<2xf32> = dense<1.0>

// Nor are declarations, and calls of them keep their name.

// CHECK:       func.func private @external(memref<2xf32>)
// CHECK-NOT:   @external_
func.func private @external(memref<2xf32>)

// CHECK-LABEL: func.func private @layer_generic(
// CHECK-SAME:    attributes {passthrough = {{\[\[}}"target-cpu", "x86-64-v2"], ["prefer-vector-width", "128"], ["min-legal-vector-width", "128"]], pquant.level = #pquant.level<"generic", cpu = "x86-64-v2", {{.*}}vector_bits = 128>}
// CHECK-NEXT:    memref.get_global @weight
// CHECK-NEXT:    call @external(
// CHECK-LABEL: func.func private @layer_avx512(
// CHECK-SAME:    attributes {passthrough = {{\[\[}}"target-cpu", "x86-64-v4"], ["target-features", "+avx512vnni"], ["prefer-vector-width", "512"], ["min-legal-vector-width", "512"]], pquant.level = #pquant.level<"avx512", cpu = "x86-64-v4", {{.*}}vector_bits = 512>}
// CHECK-NEXT:    memref.get_global @weight
// CHECK-NEXT:    call @external(
func.func private @layer() {
  %w = memref.get_global @weight : memref<2xf32>
  call @external(%w) : (memref<2xf32>) -> ()
  return
}

// A clone calls the clones of its own level, in nested regions as well. Names
// of arguments and results are for the interface and do not stay on code.

// CHECK-LABEL: func.func @main_generic(
// CHECK-SAME:    %{{[a-z0-9]+}}: i1) -> i1 attributes
// CHECK:         call @layer_generic()
// CHECK:         scf.if
// CHECK:           call @layer_generic()
// CHECK-NOT:     _avx512(
// CHECK-LABEL: func.func @main_avx512(
// CHECK-SAME:    %{{[a-z0-9]+}}: i1) -> i1 attributes
// CHECK:         call @layer_avx512()
// CHECK:         scf.if
// CHECK:           call @layer_avx512()
// CHECK-NOT:   func.func
func.func @main(%b: i1 {pquant.name = "b"}) -> (i1 {pquant.name = "c"}) {
  call @layer() : () -> ()
  scf.if %b {
    func.call @layer() : () -> ()
  }
  return %b : i1
}
}

// -----

// A callee that comes later in the module is renamed all the same.

// CHECK-LABEL: func.func @first_only(
// CHECK:         call @later_only()
// CHECK-LABEL: func.func private @later_only(
module attributes {pquant.target = #pquant.target<"t", levels = [
    <"only", cpu = "x86-64", features = "", requires = "", vector_bits = 128>]>} {
func.func @first() {
  call @later() : () -> ()
  return
}
func.func private @later() {
  return
}
}

// -----

// Levels that differ in what kernels use share a clone. Its last argument says which of them runs; calls hand it on.

// CHECK-LABEL: func.func @entry_narrow(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: i1) attributes
// CHECK-NOT:     pquant.shared_by
// CHECK:         func.call @inner_narrow(%[[X]]) : (i1) -> ()
// CHECK-LABEL: func.func @entry_wide(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: i1, %[[LEVEL:[a-z0-9]+]]: index) attributes {passthrough = {{\[\[}}"target-cpu", "b"], ["target-features", "+f"]
// CHECK-SAME:    pquant.level = #pquant.level<"wide"
// CHECK-SAME:    pquant.shared_by = [#pquant.level<"wide", {{.*}}>, #pquant.level<"wider", {{.*}}>, #pquant.level<"widest", {{.*}}>]
// CHECK:         func.call @inner_wide(%[[X]], %[[LEVEL]]) : (i1, index) -> ()
// CHECK-NOT:   @entry_wider
// CHECK:       func.func private @inner_narrow(
// CHECK:       func.func private @inner_wide(
// CHECK-NOT:     @inner_wider
// CHECK:       func.func private @inner_other(
// CHECK-SAME:    features = "-f"
module attributes {pquant.target = #pquant.target<"t", levels = [
    <"narrow", cpu = "a", features = "", requires = "", vector_bits = 128>,
    <"wide", cpu = "b", features = "+f", requires = "f", vector_bits = 256>,
    <"wider", cpu = "b", features = "+f,+g", requires = "f,g", vector_bits = 256>,
    <"widest", cpu = "b", features = "", requires = "f,g,h", vector_bits = 256, tune = "c">,
    <"other", cpu = "b", features = "-f", requires = "", vector_bits = 256>]>} {
func.func @entry(%x: i1) {
  scf.if %x {
    func.call @inner(%x) : (i1) -> ()
  }
  return
}
func.func private @inner(%x: i1) {
  return
}
}

// -----

// expected-error @+1 {{expected a 'pquant.target' attribute on the module}}
module {
func.func @no_target() {
  return
}
}
