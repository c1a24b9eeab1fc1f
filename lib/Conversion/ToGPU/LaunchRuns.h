//===- LaunchRuns.h - Which ops share a launch ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_LAUNCHRUNS_H
#define PQUANT_LIB_CONVERSION_LAUNCHRUNS_H

#include "mlir/IR/Operation.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// Turns ops of a block that follow one another into launches: small ones, and
/// those on the same rows (BlockLaunch.h).
void convertRuns(Block &block);

/// Erases GPU memory that is only written, and the stores to it.
void eraseUnread(Operation *root);

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_LAUNCHRUNS_H
