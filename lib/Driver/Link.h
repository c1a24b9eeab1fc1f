//===- Link.h - From an object to an artifact -------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shared libraries and executables by the system's C compiler driver, archives
// by LLVM.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_LINK_H
#define PQUANT_LIB_DRIVER_LINK_H

#include "ModelInterface.h"
#include "pquant/Driver/Compiler.h"

namespace pquant {

/// Whether the target is another system than the one that this program runs on.
bool isCrossCompile(const CompilerOptions &options);
/// The target's name as GNU tools and Debian spell it, "aarch64-linux-gnu".
std::string getSystemName(const CompilerOptions &options);

/// Links `object` into a shared library or an executable at `output`.
/// Fails when there is no linker or runtime library for what is to be written:
/// better now than after a long compile.
LogicalResult checkLinking(const CompilerOptions &options);

LogicalResult linkArtifact(const CompilerOptions &options,
                           ArrayRef<std::string> objects, StringRef output);

/// Writes an archive of `object` and the runtime.
LogicalResult writeArchive(const CompilerOptions &options, StringRef object,
                           StringRef output);

/// Writes the C header of a static library.
void writeHeader(const CompilerOptions &options, const ModelInterface &model,
                 raw_ostream &os);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_LINK_H
