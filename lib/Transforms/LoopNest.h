//===- LoopNest.h - Perfect nests of loops on one tensor --------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The form that frontends give to what is scattered.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_LOOPNEST_H
#define PQUANT_LIB_TRANSFORMS_LOOPNEST_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// A nest of loops with one result, and nothing between two of them; empty when
/// it is none.
SmallVector<mlir::scf::ForOp> getLoopNest(mlir::scf::ForOp outer);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_LOOPNEST_H
