//===- ONNXFuzzer.cpp - Any bytes as an ONNX model ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Frontend/ONNX/ONNXReader.h"

using namespace pquant;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  ModelOrError model = readONNXBytes(bytes, "");
  if (!model)
    llvm::consumeError(model.takeError());
  return 0;
}
