//===- PQKernelDialect.cpp - Registration of the pqk dialect --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"

using namespace mlir;
using namespace pquant::pqk;

#include "dialects/PQKernel/PQKernelDialect.cpp.inc"

void PQKernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/PQKernel/PQKernelOps.cpp.inc"
      >();
}
