//===- TorchExportTranslation.cpp - Entry points of the frontend ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

#include "pquant/Frontend/TorchExport.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static void registerDialects(DialectRegistry &registry) {
  registry
      .insert<affine::AffineDialect, arith::ArithDialect,
              cf::ControlFlowDialect, func::FuncDialect, linalg::LinalgDialect,
              math::MathDialect, scf::SCFDialect, tensor::TensorDialect>();
}

static void loadDialects(MLIRContext *context) {
  DialectRegistry registry;
  registerDialects(registry);
  context->appendDialectRegistry(registry);
  context->loadAllAvailableDialects();
}

/// Reports why a file could not be read.
static InFlightDiagnostic reportUnreadable(MLIRContext *context, StringRef file,
                                           llvm::Error error) {
  Location loc = FileLineColLoc::get(StringAttr::get(context, file), 0, 0);
  return emitError(loc) << llvm::toString(std::move(error));
}

static FailureOr<OwningOpRef<ModuleOp>>
importProgram(ProgramOrError program, StringRef file, MLIRContext *context) {
  if (!program)
    return reportUnreadable(context, file, program.takeError());
  loadDialects(context);
  return GraphImporter(**program, context, file, /*collect=*/false).run();
}

static FailureOr<std::vector<UnsupportedOp>>
checkProgram(ProgramOrError program, StringRef file, MLIRContext *context) {
  if (!program)
    return reportUnreadable(context, file, program.takeError());
  loadDialects(context);
  GraphImporter importer(**program, context, file, /*collect=*/true);
  bool hasFailed = failed(importer.run());
  if (hasFailed && importer.getUnsupportedOps().empty())
    return failure();
  return importer.getUnsupportedOps().vec();
}

FailureOr<OwningOpRef<ModuleOp>>
pquant::importTorchExportFile(StringRef path, MLIRContext *context) {
  return importProgram(readTorchExportFile(path), path, context);
}

FailureOr<std::vector<UnsupportedOp>>
pquant::checkTorchExportFile(StringRef path, MLIRContext *context) {
  return checkProgram(readTorchExportFile(path), path, context);
}

//===----------------------------------------------------------------------===//
// Translations
//===----------------------------------------------------------------------===//

/// The program in the main file of a source manager, which keeps its bytes, and
/// the file's name.
static std::pair<ProgramOrError, StringRef>
readMainFile(const std::shared_ptr<llvm::SourceMgr> &sources) {
  const llvm::MemoryBuffer *buffer =
      sources->getMemoryBuffer(sources->getMainFileID());
  return {readTorchExport(buffer->getBuffer(), sources),
          buffer->getBufferIdentifier()};
}

static LogicalResult check(const std::shared_ptr<llvm::SourceMgr> &sources,
                           raw_ostream &os, MLIRContext *context, bool asJSON) {
  auto [program, name] = readMainFile(sources);
  FailureOr<std::vector<UnsupportedOp>> ops =
      checkProgram(std::move(program), name, context);
  if (failed(ops))
    return failure();
  asJSON ? printUnsupportedOpsAsJSON(*ops, os) : printUnsupportedOps(*ops, os);
  return success(ops->empty());
}

void pquant::registerTorchExportTranslation() {
  TranslateToMLIRRegistration(
      "import-torch-export", "import a file of torch.export.save (.pt2)",
      [](const std::shared_ptr<llvm::SourceMgr> &sources,
         MLIRContext *context) -> OwningOpRef<Operation *> {
        auto [program, name] = readMainFile(sources);
        FailureOr<OwningOpRef<ModuleOp>> module =
            importProgram(std::move(program), name, context);
        if (failed(module))
          return nullptr;
        return OwningOpRef<Operation *>(module->release().getOperation());
      },
      registerDialects);
  TranslateRegistration(
      "check-torch-export",
      "list the operators of a .pt2 file that are unsupported",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, raw_ostream &os,
         MLIRContext *context) {
        return check(sources, os, context, /*asJSON=*/false);
      });
  TranslateRegistration("check-torch-export-json",
                        "the same as --check-torch-export, as JSON",
                        [](const std::shared_ptr<llvm::SourceMgr> &sources,
                           raw_ostream &os, MLIRContext *context) {
                          return check(sources, os, context, /*asJSON=*/true);
                        });
  TranslateRegistration("list-aten-ops",
                        "print the table of supported ATen operators",
                        [](const std::shared_ptr<llvm::SourceMgr> &,
                           raw_ostream &os, MLIRContext *) {
                          listSupportedATenOps(os);
                          return success();
                        });
}
