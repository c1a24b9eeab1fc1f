//===- Compare.h - How far an output is from what was expected --*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The two error measures of `--expect`.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_COMPARE_H
#define PQUANT_RUNTIME_COMPARE_H

#include "Text.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

struct Difference {
  double maxAbs = 0;     ///< largest |got - expected|
  double relativeL2 = 0; ///< ||got - expected|| / ||expected||
  /// Elements where one is NaN or infinite and the other is not the same.
  int64_t nonFinite = 0;
};

/// Appends "(2, 3)".
void appendShape(Text &text, const PQuantTensor &tensor);

/// Whether dtype and shape agree; otherwise the reason.
bool sameKind(const PQuantTensor &expected, const PQuantTensor &got,
              Text &reason);

/// Compares two tensors of the same kind.
Difference compareTensors(const PQuantTensor &expected,
                          const PQuantTensor &got);

} // namespace pquant

#endif // PQUANT_RUNTIME_COMPARE_H
