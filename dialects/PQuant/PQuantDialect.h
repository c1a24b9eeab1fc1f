//===- PQuantDialect.h - The pquant dialect ---------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything of the pquant dialect: enums, attributes, interfaces and ops.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_DIALECT_H
#define PQUANT_DIALECTS_PQUANT_DIALECT_H

#include "pquant/Support/LLVM.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/PQuant/PQuantEnums.h.inc"

#include "dialects/PQuant/PQuantDialect.h.inc"

#include "dialects/PQuant/PQuantAttrInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/PQuant/PQuantAttrs.h.inc"

#include "dialects/PQuant/PQuantOpInterfaces.h.inc"

#define GET_OP_CLASSES
#include "dialects/PQuant/PQuantOps.h.inc"

namespace pquant {
/// Name of the module attribute that holds the `#pquant.target`.
inline constexpr StringRef kTargetAttrName = "pquant.target";

/// Whether a layout is one of 1-bit matrices.
bool holdsBits(LayoutKind kind);

/// Name of the function attribute that holds the `#pquant.level` of its code.
inline constexpr StringRef kLevelAttrName = "pquant.level";

/// Name of the function attribute with all levels that share the code of
/// `pquant.level`. The function's last argument (index) says which one runs.
inline constexpr StringRef kSharedByAttrName = "pquant.shared_by";
} // namespace pquant

#endif // PQUANT_DIALECTS_PQUANT_DIALECT_H
