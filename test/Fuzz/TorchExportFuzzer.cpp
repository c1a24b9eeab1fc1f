//===- TorchExportFuzzer.cpp - Any bytes as an exported program -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input that begins with "{" is the JSON of a program, put into an archive with
// the checksums that it needs; all other input is the archive itself.
//
//===----------------------------------------------------------------------===//

#include "lib/Frontend/TorchExport/GraphImporter.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <zlib.h>

using namespace mlir;
using namespace pquant;

namespace {
/// A zip file of stored entries.
class ArchiveWriter {
public:
  void add(StringRef name, StringRef contents) {
    std::string fields;
    append(fields, 20, 2); // version
    append(fields, 0, 2);  // flags
    append(fields, 0, 2);  // stored
    append(fields, 0, 4);  // date
    append(fields,
           crc32(0, reinterpret_cast<const Bytef *>(contents.data()),
                 contents.size()),
           4);
    append(fields, contents.size(), 4);
    append(fields, contents.size(), 4);
    append(fields, name.size(), 2);
    append(fields, 0, 2); // extra
    directory += "PK\1\2" + std::string("\24\0", 2) + fields;
    append(directory, 0, 2 + 2 + 2); // comment, disk, attributes
    append(directory, 0, 4);
    append(directory, bytes.size(), 4);
    directory += name;
    bytes += "PK\3\4" + fields + name.str() + contents.str();
    ++count;
  }

  std::string finish() {
    std::string end = "PK\5\6";
    append(end, 0, 4);
    append(end, count, 2);
    append(end, count, 2);
    append(end, directory.size(), 4);
    append(end, bytes.size(), 4);
    append(end, 0, 2);
    return bytes + directory + end;
  }

private:
  static void append(std::string &to, uint64_t number, unsigned size) {
    for (unsigned i = 0; i < size; ++i)
      to.push_back(static_cast<char>(i < 8 ? number >> (8 * i) : 0));
  }

  std::string bytes, directory;
  unsigned count = 0;
};
} // namespace

/// An archive around a program whose parameter `w` has four elements.
static std::string wrap(StringRef program) {
  ArchiveWriter archive;
  archive.add("m/archive_format", "pt2");
  archive.add("m/models/model.json", program);
  archive.add("m/data/weights/weight_0", StringRef("0123456789abcdef", 16));
  archive.add("m/data/weights/model_weights_config.json",
              R"({"config": {"w": {"path_name": "weight_0", "use_pickle": false,
                  "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 4}],
                  "strides": [{"as_int": 1}],
                  "storage_offset": {"as_int": 0}}}}})");
  return archive.finish();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string bytes(reinterpret_cast<const char *>(data), size);
  if (StringRef(bytes).starts_with("{"))
    bytes = wrap(bytes);
  pt2::ProgramOrError program = pt2::readTorchExport(bytes, nullptr);
  if (!program) {
    llvm::consumeError(program.takeError());
    return 0;
  }
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<affine::AffineDialect, arith::ArithDialect,
                      cf::ControlFlowDialect, func::FuncDialect,
                      linalg::LinalgDialect, math::MathDialect, scf::SCFDialect,
                      tensor::TensorDialect>();
  ScopedDiagnosticHandler quiet(&context,
                                [](Diagnostic &) { return success(); });
  // Whatever is wrong has been said; it must not crash.
  (void)pt2::GraphImporter(**program, &context, "fuzz", false).run();
  return 0;
}
