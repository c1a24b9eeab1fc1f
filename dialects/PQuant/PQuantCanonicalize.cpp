//===- PQuantCanonicalize.cpp - Canonicalization of pquant ops ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace pquant;

void BinaryLinearOp::getCanonicalizationPatterns(RewritePatternSet &,
                                                 MLIRContext *) {}
void Int8LinearOp::getCanonicalizationPatterns(RewritePatternSet &,
                                               MLIRContext *) {}
void ExpertLinearOp::getCanonicalizationPatterns(RewritePatternSet &,
                                                 MLIRContext *) {}
void DecoupledFFNOp::getCanonicalizationPatterns(RewritePatternSet &,
                                                 MLIRContext *) {}
