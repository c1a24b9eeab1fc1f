//===- JoinLinears.h - Linears over one activation, joined ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step of --pquant-fuse-branches.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_JOINLINEARS_H
#define PQUANT_TRANSFORMS_JOINLINEARS_H

#include "dialects/PQuant/PQuantDialect.h"

namespace pquant {

/// Joins linears of one kind that read the same quantised rows, under `root`.
void joinLinears(Operation *root);

} // namespace pquant

#endif // PQUANT_TRANSFORMS_JOINLINEARS_H
