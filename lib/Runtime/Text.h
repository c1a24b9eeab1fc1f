//===- Text.h - A short text built piece by piece ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Lists of names and shapes in messages. Longer texts are cut.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_TEXT_H
#define PQUANT_RUNTIME_TEXT_H

#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace pquant {

struct Text {
  char data[512] = "";
  size_t length = 0;

  /// Appends in the manner of printf.
  void append(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    va_list args;
    va_start(args, format);
    int added = vsnprintf(data + length, sizeof data - length, format, args);
    va_end(args);
    if (added > 0)
      length += size_t(added);
    if (length >= sizeof data)
      length = sizeof data - 1;
  }
};

} // namespace pquant

#endif // PQUANT_RUNTIME_TEXT_H
