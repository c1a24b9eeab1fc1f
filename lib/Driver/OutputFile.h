//===- OutputFile.h - Files that appear whole or not at all -----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Temporary files beside their destination, and the one form of driver errors.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_OUTPUTFILE_H
#define PQUANT_LIB_DRIVER_OUTPUTFILE_H

#include "pquant/Support/LLVM.h"

#include "llvm/Support/raw_ostream.h"
#include <memory>

namespace pquant {

/// Prints "error: <message>" on standard error; always a failure.
LogicalResult reportError(const Twine &message);

/// A file next to `destination` that is removed unless kept.
class OutputFile {
public:
  /// Fails, with a report that names the destination, when its directory does
  /// not take files.
  static FailureOr<std::unique_ptr<OutputFile>> create(StringRef destination,
                                                       StringRef suffix = "");
  /// Fails likewise, and when the destination is a directory; leaves nothing.
  static LogicalResult check(StringRef destination);
  ~OutputFile();

  llvm::raw_fd_ostream &stream() { return *os; }
  StringRef path() const { return temporary; }
  /// Closes the file; fails with a report when writing did (disk full).
  LogicalResult close();
  /// Closes the file and gives it its final name.
  LogicalResult keep(bool executable = false);

private:
  OutputFile() = default;
  std::string destination, temporary;
  std::unique_ptr<llvm::raw_fd_ostream> os;
  bool kept = false;
};

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_OUTPUTFILE_H
