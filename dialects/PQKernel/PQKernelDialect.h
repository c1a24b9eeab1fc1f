//===- PQKernelDialect.h - The pqk dialect ----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything of the pqk dialect: destination-style kernels and `pqk.parallel`.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQKERNEL_DIALECT_H
#define PQUANT_DIALECTS_PQKERNEL_DIALECT_H

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include "dialects/PQKernel/PQKernelDialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/PQKernel/PQKernelOps.h.inc"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace pquant::pqk {
/// Makes one-shot bufferization turn pqk ops on tensors into pqk ops on
/// memrefs.
void registerBufferizableOpInterfaceExternalModels(
    mlir::DialectRegistry &registry);
} // namespace pquant::pqk

#endif // PQUANT_DIALECTS_PQKERNEL_DIALECT_H
