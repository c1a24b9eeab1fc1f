//===- Diagnostics.h - Messages of a compile --------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How MLIR's diagnostics and optimisation remarks look on standard error.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_DIAGNOSTICS_H
#define PQUANT_LIB_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// Prints "<file>: <severity>: node '<name>': <message>", notes after it. What
/// has no file of its own is about `input`.
void printDiagnostic(mlir::Diagnostic &diagnostic, StringRef input);

/// Has every optimisation remark printed likewise, with the pass that made it.
/// `input` must outlive the context.
void enableRemarks(MLIRContext &context, StringRef input);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_DIAGNOSTICS_H
