//===- PQuantBase.td - The pquant dialect and its op base --*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_BASE_TD
#define PQUANT_DIALECTS_PQUANT_BASE_TD

include "dialects/PQuant/PQuantInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def PQuant_Dialect : Dialect {
  let name = "pquant";
  let cppNamespace = "::pquant";
  let summary = "Quantised linear layers with a 1-bit and an INT8 branch";
  let description = [{
    Model-level operations of pQuant networks on tensors: activation quantisation, 1-bit and INT8 linear layers, the
    decoupled (two-branch) linear and feed-forward layers, routed experts, and the few units of a decoder that upstream
    dialects do not have (RMS norm, rotary embedding, attention). Every op has value semantics and a decomposition into
    upstream ops (`--pquant-decompose`) that is its definition. Storage formats are attributes on tensor types, machines
    are attributes on the module; no op names a kernel or an instruction.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

class PQuant_Op<string mnemonic, list<Trait> traits = []>
    : Op<PQuant_Dialect, mnemonic, !listconcat([Pure], traits)> {
  let hasVerifier = 1;
}

/// An op whose definition `--pquant-decompose` can write out.
class PQuant_DecomposableOp<string mnemonic, list<Trait> traits = []>
    : PQuant_Op<mnemonic, !listconcat([DeclareOpInterfaceMethods<PQuant_DecomposableOpInterface>], traits)>;

/// The same, with result types that follow from the operands.
class PQuant_InferringOp<string mnemonic, list<Trait> traits = []>
    : PQuant_DecomposableOp<mnemonic, !listconcat([InferTypeOpAdaptor], traits)>;

class PQuant_RankedTensor<Type element, int rank, string descr>
    : Type<And<[RankedTensorOf<[element]>.predicate, HasAnyRankOfPred<[rank]>]>, descr,
           "::mlir::RankedTensorType">;

def PQuant_FloatTensor : RankedTensorOf<[F32]>;
def PQuant_CacheTensor : RankedTensorOf<[F32, F16, I8]>;
def PQuant_Int8Tensor : RankedTensorOf<[I8]>;
def PQuant_IndexTensor : RankedTensorOf<[I64]>;
def PQuant_BitMatrix : PQuant_RankedTensor<I1, 2, "2-D tensor of i1, bit 1 = +1, bit 0 = -1">;
def PQuant_Int8Matrix : PQuant_RankedTensor<I8, 2, "2-D tensor of i8">;
def PQuant_Int8Stack : PQuant_RankedTensor<I8, 3, "3-D tensor of i8, one matrix per expert">;
def PQuant_FloatScalar : PQuant_RankedTensor<F32, 0, "0-D tensor of f32">;

#endif // PQUANT_DIALECTS_PQUANT_BASE_TD
