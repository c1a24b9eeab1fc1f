//===- pquant-translate.cpp - Model files to IR and back ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/ONNX.h"
#include "pquant/Frontend/TorchExport.h"

#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"

int main(int argc, char **argv) {
  pquant::registerONNXTranslation();
  pquant::registerTorchExportTranslation();
  return failed(mlir::mlirTranslateMain(argc, argv, "pquant translation tool"));
}
