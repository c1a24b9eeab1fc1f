//===- ONNXReader.h - ONNX bytes to a checked model -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The first half of the ONNX frontend: it parses a file and refuses everything
// that is wrong with the file itself, so that the importer may rely on it. No
// MLIR here. Every failure is one message; the file's name is for the caller to
// add.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_ONNXREADER_H
#define PQUANT_LIB_FRONTEND_ONNX_ONNXREADER_H

#include "pquant/Frontend/TensorBytes.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"

#include <onnx/onnx_pb.h>

#include <map>
#include <memory>
#include <vector>

namespace pquant {

/// The operator sets of the default domain that are understood.
constexpr int64_t minONNXOpset = 13, maxONNXOpset = 24;
/// The domain whose functions are operations of the dialect, and its version.
constexpr llvm::StringLiteral pquantDomain = "pquant";
constexpr int64_t pquantDomainVersion = 1;
constexpr int64_t minONNXIRVersion = 3, maxONNXIRVersion = 13;

/// A model that has passed every check of the reader.
struct ONNXModel {
  onnx::ModelProto proto;
  /// Indices into graph.node such that every node follows its producers.
  std::vector<int> nodeOrder;
  /// The same for proto.functions.
  std::vector<std::vector<int>> functionOrders;
  /// The same for the graphs that nodes have as attributes.
  std::map<const onnx::GraphProto *, std::vector<int>> subgraphOrders;
  /// Where external data must lie; empty when there is no such directory.
  std::string directory;
  /// Files of external data, each mapped once.
  std::map<std::string, std::shared_ptr<llvm::sys::fs::mapped_file_region>>
      mappings;
  /// The contents of the tensors that lie in those files.
  std::map<const onnx::TensorProto *, TensorBytes> externalBytes;

  /// Gives the little-endian contents of a checked tensor; bytes that the
  /// tensor holds are moved out of it, external data stays in its file.
  TensorBytes takeBytes(onnx::TensorProto &tensor);
};

using ModelOrError = llvm::Expected<std::unique_ptr<ONNXModel>>;

/// Reads a model file. External data is looked for in `directory`, by default
/// the file's own.
ModelOrError readONNXFile(llvm::StringRef path, llvm::StringRef directory);
/// Reads a model from memory.
ModelOrError readONNXBytes(llvm::StringRef bytes, llvm::StringRef directory);

/// Element types that are newer than the installed schema.
enum NarrowType : int32_t { UINT4 = 21, INT4 = 22, UINT2 = 25, INT2 = 26 };
/// Bits of one element as stored, 0 for types that have no fixed size or are
/// not supported.
int64_t getONNXElementBits(int32_t dataType);
/// "float", "int64", ... as in ONNX's TensorProto.DataType, in lower case.
std::string getONNXTypeName(int32_t dataType);
/// A node's name for messages: `'name' (Type)`.
std::string describeNode(const onnx::NodeProto &node, int index);

/// Checks one tensor, and maps its external data.
llvm::Error checkTensor(ONNXModel &model, const onnx::TensorProto &tensor);
/// Checks names and order of the graph and the functions, and every tensor.
llvm::Error checkGraphs(ONNXModel &model);

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_ONNXREADER_H
