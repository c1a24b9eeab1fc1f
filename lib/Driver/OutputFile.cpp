//===- OutputFile.cpp - Files that appear whole or not at all -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The temporary file lies in the destination's directory, so that the rename at
// the end is atomic.
//
//===----------------------------------------------------------------------===//

#include "OutputFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"

using namespace pquant;

LogicalResult pquant::reportError(const Twine &message) {
  llvm::errs() << "error: " << message << "\n";
  return failure();
}

FailureOr<std::unique_ptr<OutputFile>> OutputFile::create(StringRef destination,
                                                          StringRef suffix) {
  std::unique_ptr<OutputFile> file(new OutputFile());
  file->destination = destination.str();
  SmallString<128> path;
  int descriptor;
  if (std::error_code error = llvm::sys::fs::createUniqueFile(
          destination + ".%%%%%%%%.tmp" + suffix, descriptor, path))
    return reportError("cannot write '" + destination +
                       "': " + error.message());
  file->temporary = path.str().str();
  llvm::sys::RemoveFileOnSignal(file->temporary);
  file->os =
      std::make_unique<llvm::raw_fd_ostream>(descriptor, /*shouldClose=*/true);
  return file;
}

LogicalResult OutputFile::check(StringRef destination) {
  if (llvm::sys::fs::is_directory(destination))
    return reportError("cannot write '" + destination + "': Is a directory");
  return create(destination);
}

OutputFile::~OutputFile() {
  if (os)
    os->clear_error();
  os.reset();
  if (!kept)
    llvm::sys::fs::remove(temporary);
  llvm::sys::DontRemoveFileOnSignal(temporary);
}

LogicalResult OutputFile::close() {
  if (!os)
    return success();
  os->close();
  std::error_code error = os->error();
  os->clear_error();
  os.reset();
  if (error)
    return reportError("cannot write '" + destination +
                       "': " + error.message());
  return success();
}

LogicalResult OutputFile::keep(bool executable) {
  if (failed(close()))
    return failure();
  namespace fs = llvm::sys::fs;
  unsigned mode = fs::all_read | fs::owner_write;
  if (executable)
    mode |= fs::all_exe;
  fs::setPermissions(temporary, static_cast<fs::perms>(mode & ~fs::getUmask()));
  if (std::error_code error = fs::rename(temporary, destination))
    return reportError("cannot write '" + destination +
                       "': " + error.message());
  kept = true;
  return success();
}
