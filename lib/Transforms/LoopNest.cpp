//===- LoopNest.cpp - Perfect nests of loops on one tensor ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LoopNest.h"

using namespace pquant;
using namespace mlir;

SmallVector<scf::ForOp> pquant::getLoopNest(scf::ForOp outer) {
  SmallVector<scf::ForOp> nest{outer};
  while (true) {
    scf::ForOp loop = nest.back();
    if (loop.getNumResults() != 1)
      return {};
    auto inner = dyn_cast<scf::ForOp>(loop.getBody()->front());
    if (!inner)
      return nest;
    if (inner.getInitArgs()[0] != loop.getRegionIterArg(0) ||
        loop.getYieldedValues()[0] != inner.getResult(0))
      return {};
    nest.push_back(inner);
  }
}
