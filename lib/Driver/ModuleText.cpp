//===- ModuleText.cpp - Modules as text -----------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ModuleText.h"
#include "OutputFile.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace pquant;

/// Elements of a constant beyond which it is left out.
static constexpr int64_t kElidedElements = 64;

static OpPrintingFlags getFlags(bool elideWeights) {
  OpPrintingFlags flags;
  if (elideWeights)
    flags.elideLargeElementsAttrs(kElidedElements)
        .elideLargeResourceString(kElidedElements);
  return flags;
}

LogicalResult pquant::printModule(ModuleOp module, StringRef output,
                                  bool elideWeights) {
  OpPrintingFlags flags = getFlags(elideWeights);
  if (output == "-") {
    module.print(llvm::outs(), flags);
    llvm::outs() << "\n";
    return success();
  }
  auto file = OutputFile::create(output);
  if (failed(file))
    return failure();
  module.print((*file)->stream(), flags);
  (*file)->stream() << "\n";
  return (*file)->keep();
}

LogicalResult pquant::dumpModule(ModuleOp module, Phase phase,
                                 StringRef directory) {
  if (std::error_code error = llvm::sys::fs::create_directories(directory))
    return reportError("cannot make the directory '" + directory +
                       "': " + error.message());
  SmallString<128> path(directory);
  llvm::sys::path::append(path, Twine(static_cast<int>(phase)) + "-" +
                                    getPhaseName(phase) + ".mlir");
  auto file = OutputFile::create(path);
  if (failed(file))
    return failure();
  module.print((*file)->stream(),
               getFlags(/*elideWeights=*/true).enableDebugInfo());
  return (*file)->keep();
}
