//===- ONNXTranslation.cpp - Entry points of the ONNX frontend ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

#include "dialects/PQuant/PQuantDialect.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace pquant;

void pquant::registerONNXImportDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect,
                  cf::ControlFlowDialect, func::FuncDialect,
                  linalg::LinalgDialect, math::MathDialect, PQuantDialect,
                  scf::SCFDialect, tensor::TensorDialect>();
}

static void loadDialects(MLIRContext *context) {
  DialectRegistry registry;
  registerONNXImportDialects(registry);
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
importModel(ModelOrError model, StringRef file, MLIRContext *context,
            const ONNXImportOptions &options) {
  if (!model)
    return reportUnreadable(context, file, model.takeError());
  if (options.metadata)
    for (const auto &entry : (*model)->proto.metadata_props())
      (*options.metadata)[entry.key()] = entry.value();
  loadDialects(context);
  return GraphImporter(**model, context, file, /*collect=*/false).run();
}

static FailureOr<std::vector<UnsupportedOp>>
checkModel(ModelOrError model, StringRef file, MLIRContext *context) {
  if (!model)
    return reportUnreadable(context, file, model.takeError());
  loadDialects(context);
  GraphImporter importer(**model, context, file, /*collect=*/true);
  bool hasFailed = failed(importer.run());
  if (hasFailed && importer.getUnsupportedOps().empty())
    return failure();
  return importer.getUnsupportedOps().vec();
}

FailureOr<OwningOpRef<ModuleOp>>
pquant::importONNXFile(StringRef path, MLIRContext *context,
                       const ONNXImportOptions &options) {
  return importModel(readONNXFile(path, options.externalDataDirectory), path,
                     context, options);
}

FailureOr<OwningOpRef<ModuleOp>>
pquant::importONNXBytes(StringRef bytes, StringRef name, MLIRContext *context,
                        const ONNXImportOptions &options) {
  return importModel(readONNXBytes(bytes, options.externalDataDirectory), name,
                     context, options);
}

FailureOr<std::vector<UnsupportedOp>>
pquant::checkONNXFile(StringRef path, MLIRContext *context,
                      const ONNXImportOptions &options) {
  return checkModel(readONNXFile(path, options.externalDataDirectory), path,
                    context);
}

//===----------------------------------------------------------------------===//
// Translations
//===----------------------------------------------------------------------===//

/// The file that a source manager reads, as bytes, name and directory.
static std::tuple<StringRef, StringRef, StringRef>
getMainFile(const llvm::SourceMgr &sources) {
  const llvm::MemoryBuffer *buffer =
      sources.getMemoryBuffer(sources.getMainFileID());
  StringRef name = buffer->getBufferIdentifier();
  if (name == "<stdin>")
    return {buffer->getBuffer(), name, ""};
  StringRef parent = llvm::sys::path::parent_path(name);
  return {buffer->getBuffer(), name, parent.empty() ? StringRef(".") : parent};
}

static OwningOpRef<Operation *> translate(llvm::SourceMgr &sources,
                                          MLIRContext *context) {
  auto [bytes, name, directory] = getMainFile(sources);
  FailureOr<OwningOpRef<ModuleOp>> module =
      importModel(readONNXBytes(bytes, directory), name, context, {});
  if (failed(module))
    return nullptr;
  return OwningOpRef<Operation *>(module->release().getOperation());
}

static LogicalResult check(llvm::SourceMgr &sources, raw_ostream &os,
                           MLIRContext *context, bool asJSON) {
  auto [bytes, name, directory] = getMainFile(sources);
  FailureOr<std::vector<UnsupportedOp>> ops =
      checkModel(readONNXBytes(bytes, directory), name, context);
  if (failed(ops))
    return failure();
  asJSON ? printUnsupportedOpsAsJSON(*ops, os) : printUnsupportedOps(*ops, os);
  return success(ops->empty());
}

void pquant::registerONNXTranslation() {
  TranslateToMLIRRegistration(
      "import-onnx", "import an ONNX model",
      [](llvm::SourceMgr &sources, MLIRContext *context) {
        return translate(sources, context);
      },
      registerONNXImportDialects);
  TranslateRegistration(
      "check-onnx", "list the operators of an ONNX model that are unsupported",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, raw_ostream &os,
         MLIRContext *context) {
        return check(*sources, os, context, /*asJSON=*/false);
      });
  TranslateRegistration("check-onnx-json", "the same as --check-onnx, as JSON",
                        [](const std::shared_ptr<llvm::SourceMgr> &sources,
                           raw_ostream &os, MLIRContext *context) {
                          return check(*sources, os, context, /*asJSON=*/true);
                        });
  TranslateRegistration("list-onnx-ops",
                        "print the table of supported ONNX operators",
                        [](const std::shared_ptr<llvm::SourceMgr> &,
                           raw_ostream &os, MLIRContext *) {
                          listSupportedONNXOps(os);
                          return success();
                        });
}
