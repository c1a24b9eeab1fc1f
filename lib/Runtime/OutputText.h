//===- OutputText.h - A text file that appears when complete ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Results go to a temporary file beside the one that is asked for, which then
// takes its place: a failure leaves neither.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_OUTPUTTEXT_H
#define PQUANT_LIB_RUNTIME_OUTPUTTEXT_H

#include "Text.h"

namespace pquant {

/// The path of a temporary file.
struct TemporaryFile {
  char path[4096];

  /// Makes an empty file beside `target`, with the usual permissions; false
  /// with an error.
  bool create(const char *target, Text &error);
  /// Gives it the name `target`, if `good`, else removes it; false with an
  /// error when it is not `target` now.
  bool finish(const char *target, bool good, Text &error);
};

class OutputText {
public:
  ~OutputText();
  /// Starts the file; false with an error.
  bool open(const char *path, Text &error);
  void print(const char *format, ...) __attribute__((format(printf, 2, 3)));
  /// A JSON string with its quotes. Bytes that are no ASCII stay as they are.
  void printString(const char *text);
  /// Ends the file; false with an error.
  bool keep(Text &error);

private:
  TemporaryFile temporary;
  const char *target = nullptr;
  FILE *file = nullptr;
};

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_OUTPUTTEXT_H
