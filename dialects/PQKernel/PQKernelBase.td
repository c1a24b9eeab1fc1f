//===- PQKernelBase.td - The pqk dialect and its op base ---*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQKERNEL_BASE_TD
#define PQUANT_DIALECTS_PQKERNEL_BASE_TD

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def PQKernel_Dialect : Dialect {
  let name = "pqk";
  let cppNamespace = "::pquant::pqk";
  let summary = "Destination-style kernels on row-major matrices";
  let description = [{
    What a target has to provide: each op is one kernel on two-dimensional, row-major operands, tensors before
    bufferization and memrefs after it. Weights are flat byte (or float) buffers in a layout of `#pquant.layout`. A
    target replaces every op by a call of a kernel function for its instruction-set level; integer parts are exact and
    the float epilogue is the same sequence of float32 operations everywhere, so all levels give the same bits except
    where an op says otherwise.
  }];
  let dependentDialects = ["::pquant::PQuantDialect"];
}

class PQKernel_Op<string mnemonic, list<Trait> traits = []>
    : Op<PQKernel_Dialect, mnemonic, !listconcat([
        DestinationStyleOpInterface, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>], traits)> {
  let hasVerifier = 1;
}

class PQKernel_Matrix<Type element, int rank>
    : Type<And<[Or<[RankedTensorOf<[element]>.predicate, MemRefOf<[element]>.predicate]>, HasAnyRankOfPred<[rank]>]>,
           rank # "-D tensor or memref of " # element.summary, "::mlir::ShapedType">;

#endif // PQUANT_DIALECTS_PQKERNEL_BASE_TD
