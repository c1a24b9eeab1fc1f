//===- ONNX.h - The ONNX frontend -------------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads an ONNX model into func, tensor, linalg, arith and math, one node after
// the other: nothing is inferred about what the nodes mean together. Functions
// of domain `pquant` become the pquant ops that they stand for.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_ONNX_H
#define PQUANT_FRONTEND_ONNX_H

#include "pquant/Frontend/UnsupportedOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace pquant {

struct ONNXImportOptions {
  /// The directory that external data must lie in; empty for the directory of
  /// the model file.
  std::string externalDataDirectory;
  /// Gets the model's metadata, where given.
  llvm::StringMap<std::string> *metadata = nullptr;
};

/// Imports a model. Errors, all unsupported operators among them, go to the
/// context's diagnostics and name the file.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importONNXFile(llvm::StringRef path, mlir::MLIRContext *context,
               const ONNXImportOptions &options = {});

/// Imports a model from memory; `name` stands for the file in messages.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importONNXBytes(llvm::StringRef bytes, llvm::StringRef name,
                mlir::MLIRContext *context,
                const ONNXImportOptions &options = {});

/// Lists everything that keeps the model from being imported, in one run; fails
/// when the file itself is malformed.
mlir::FailureOr<std::vector<UnsupportedOp>>
checkONNXFile(llvm::StringRef path, mlir::MLIRContext *context,
              const ONNXImportOptions &options = {});

/// Writes the table of supported operators as Markdown.
void listSupportedONNXOps(llvm::raw_ostream &os);

/// Registers the dialects that imported models use.
void registerONNXImportDialects(mlir::DialectRegistry &registry);

/// Registers `--import-onnx`.
void registerONNXTranslation();

} // namespace pquant

#endif // PQUANT_FRONTEND_ONNX_H
