//===- TextAssets.h - What an artifact needs to write text ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The tokenizer and the chat template, read and checked before a compile, as
// the runtime will read them.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_TEXTASSETS_H
#define PQUANT_LIB_DRIVER_TEXTASSETS_H

#include "ModelInterface.h"
#include "pquant/Driver/Compiler.h"

#include "llvm/ADT/StringMap.h"

namespace pquant {

struct TextAssets {
  std::string tokenizer;    ///< the bytes of its file; empty for none
  std::string chatTemplate; ///< the text of its file; empty for none
  bool addsBegin = false;

  /// Reads what `options` name. Reports what cannot be used.
  LogicalResult read(const CompilerOptions &options);
  /// Takes the tokenizer that an ONNX file carries (python/pquant/metadata.py).
  LogicalResult readMetadata(const llvm::StringMap<std::string> &metadata);
  /// Checks what is there together, once the model has been read.
  LogicalResult finish(const CompilerOptions &options) const;
  /// Checks that the model can write text; leaves out a tokenizer that came
  /// with one that cannot.
  LogicalResult matchModel(const ModelInterface &model);

private:
  bool isFromMetadata = false;
};

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_TEXTASSETS_H
