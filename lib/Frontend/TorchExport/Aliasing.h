//===- Aliasing.h - Which results share memory ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_ALIASING_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_ALIASING_H

#include "Program.h"

namespace pquant::pt2 {

/// The name of the tensor that a node's argument `self` is; empty when it is
/// none.
llvm::StringRef getSelf(const Node &node);

/// Whether the results of an operator that may give a view of its first
/// argument are one: `to` copies only what it converts, `contiguous` and
/// `reshape` what does not lie in order.
bool sharesMemory(const Graph &graph, const Node &node);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_ALIASING_H
