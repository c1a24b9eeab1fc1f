//===- PQuantInterfaces.td - What layouts, targets and ops offer -*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_INTERFACES_TD
#define PQUANT_DIALECTS_PQUANT_INTERFACES_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def PQuant_LayoutChooserInterface : AttrInterface<"LayoutChooserInterface"> {
  let cppNamespace = "::pquant";
  let description = [{
    How a target wants its weights stored, so that no pass names a machine.
  }];
  let methods = [
    InterfaceMethod<"The layout of a 1-bit matrix of `rows` x `columns`.",
      "::pquant::LayoutKind", "chooseBinaryLayout", (ins "int64_t":$rows, "int64_t":$columns)>,
    InterfaceMethod<"The layout of an INT8 matrix of `rows` x `columns`.",
      "::pquant::LayoutKind", "chooseInt8Layout", (ins "int64_t":$rows, "int64_t":$columns)>,
    InterfaceMethod<"The layout of a float32 matrix of `rows` x `columns`.",
      "::pquant::LayoutKind", "chooseFloatLayout", (ins "int64_t":$rows, "int64_t":$columns)>,
  ];
}

def PQuant_DecomposableOpInterface : OpInterface<"DecomposableOpInterface"> {
  let cppNamespace = "::pquant";
  let description = [{
    An op whose meaning is given by ops of lower level: upstream ones, or simpler `pquant` ops that are decomposed in turn.
  }];
  let methods = [
    InterfaceMethod<[{
      Builds the definition of this op before it and returns the values that stand for its results. Fails, without having
      created anything, with a diagnostic when the op cannot be decomposed (packed weights).
    }], "::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>>", "decompose", (ins "::mlir::OpBuilder &":$builder)>,
  ];
  let extraClassDeclaration = [{
    /// Replaces this op by its definition; fails as `decompose` does.
    ::llvm::LogicalResult replaceByDefinition();
  }];
}

#endif // PQUANT_DIALECTS_PQUANT_INTERFACES_TD
