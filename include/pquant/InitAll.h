//===- InitAll.h - Registration of everything of ours -----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a tool calls to know our dialects, interfaces, passes and pipelines.
// Link with PQuantAll.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_INITALL_H
#define PQUANT_INITALL_H

#include "dialects/PQKernel/PQKernelDialect.h"
#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Conversion/Passes.h"
#include "pquant/Pipelines/Pipelines.h"
#include "pquant/Target/Passes.h"
#include "pquant/Transforms/Passes.h"

namespace pquant {

/// Adds our dialects and the external models of their interfaces.
inline void registerAllDialects(mlir::DialectRegistry &registry) {
  registry.insert<PQuantDialect, pqk::PQKernelDialect>();
  pqk::registerBufferizableOpInterfaceExternalModels(registry);
}

/// Registers our passes and pipelines.
inline void registerAllPasses() {
  registerPQuantConversionPasses();
  registerPQuantTargetPasses();
  registerPQuantTransformsPasses();
  registerPipelines();
}

} // namespace pquant

#endif // PQUANT_INITALL_H
