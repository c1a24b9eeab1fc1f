//===- TorchExport.h - The torch.export frontend ----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads a file of torch.export.save (.pt2, of torch 2.9 or later) into the same
// IR as an ONNX file gives, one node after the other: nothing is inferred about
// what the nodes mean together. Neither PyTorch nor Python is needed.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_TORCHEXPORT_H
#define PQUANT_FRONTEND_TORCHEXPORT_H

#include "pquant/Frontend/UnsupportedOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace pquant {

/// Imports a program; its weights stay in the mapped file. Errors, all
/// unsupported operators among them, go to the context's diagnostics and name
/// the file.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importTorchExportFile(llvm::StringRef path, mlir::MLIRContext *context);

/// Lists everything that keeps the program from being imported, in one run;
/// fails when the file itself is malformed.
mlir::FailureOr<std::vector<UnsupportedOp>>
checkTorchExportFile(llvm::StringRef path, mlir::MLIRContext *context);

/// Writes the table of supported operators as Markdown.
void listSupportedATenOps(llvm::raw_ostream &os);

/// Registers `--import-torch-export`.
void registerTorchExportTranslation();

} // namespace pquant

#endif // PQUANT_FRONTEND_TORCHEXPORT_H
