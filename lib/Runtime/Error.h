//===- Error.h - Status and text of a failed call ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The runtime uses no C++ standard library beyond headers, so that an artifact
// links with a C compiler; an error is a status and a text of bounded length
// that the thread keeps until its next error.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_ERROR_H
#define PQUANT_RUNTIME_ERROR_H

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// Longest error text, with its terminator; longer ones are cut.
constexpr int kMaxErrorText = 1024;

/// Stores the text for pquant_last_error and returns `status`.
PQuantStatus setError(PQuantStatus status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

} // namespace pquant

#endif // PQUANT_RUNTIME_ERROR_H
