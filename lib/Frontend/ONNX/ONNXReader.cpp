//===- ONNXReader.cpp - ONNX bytes to a checked model ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Files are parsed as a stream: the bytes of the weights exist once, in the
// parsed message, from which the importer moves them into the IR.
//
//===----------------------------------------------------------------------===//

#include "ONNXReader.h"

#include "llvm/Support/Path.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>

#include <climits>

using namespace llvm;
using namespace pquant;

/// Says what protobuf would write to stderr, or that it is silent.
static void ignoreProtobufLog(google::protobuf::LogLevel, const char *, int,
                              const std::string &) {}

static Error parse(google::protobuf::io::ZeroCopyInputStream &stream,
                   onnx::ModelProto &proto) {
  // Malformed input is reported once, by us.
  google::protobuf::LogHandler *previous =
      google::protobuf::SetLogHandler(ignoreProtobufLog);
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(INT_MAX);
  bool isParsed =
      proto.ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
  google::protobuf::SetLogHandler(previous);
  if (!isParsed)
    return createStringError("not an ONNX model: the bytes are truncated or "
                             "are not an ONNX protobuf message");
  return Error::success();
}

static Error checkVersions(const onnx::ModelProto &proto) {
  if (!proto.has_ir_version() && !proto.has_graph())
    return createStringError("not an ONNX model: it states no IR version and "
                             "holds no graph");
  if (proto.ir_version() < minONNXIRVersion ||
      proto.ir_version() > maxONNXIRVersion)
    return createStringError(
        "expected ONNX IR version " + Twine(minONNXIRVersion) + " to " +
        Twine(maxONNXIRVersion) + ", but got " + Twine(proto.ir_version()));
  if (!proto.has_graph())
    return createStringError("the model holds no graph");
  bool hasDefault = false;
  for (const onnx::OperatorSetIdProto &opset : proto.opset_import()) {
    if (!opset.domain().empty() && opset.domain() != "ai.onnx")
      continue;
    hasDefault = true;
    if (opset.version() < minONNXOpset || opset.version() > maxONNXOpset)
      return createStringError("expected opset " + Twine(minONNXOpset) +
                               " to " + Twine(maxONNXOpset) +
                               " of domain 'ai.onnx', but got " +
                               Twine(opset.version()));
  }
  if (!hasDefault)
    return createStringError("the model imports no opset of domain 'ai.onnx'");
  return Error::success();
}

static ModelOrError finish(std::unique_ptr<ONNXModel> model,
                           StringRef directory) {
  model->directory = directory.str();
  if (Error error = checkVersions(model->proto))
    return std::move(error);
  if (Error error = checkGraphs(*model))
    return std::move(error);
  return std::move(model);
}

ModelOrError pquant::readONNXFile(StringRef path, StringRef directory) {
  sys::fs::file_status status;
  if (std::error_code code = sys::fs::status(path, status))
    return createStringError("cannot open the file: " + code.message());
  if (sys::fs::is_directory(status))
    return createStringError("expected a file, but got a directory");
  int descriptor = -1;
  if (std::error_code code = sys::fs::openFileForRead(path, descriptor))
    return createStringError("cannot open the file: " + code.message());
  auto model = std::make_unique<ONNXModel>();
  google::protobuf::io::FileInputStream stream(descriptor);
  stream.SetCloseOnDelete(true);
  if (Error error = parse(stream, model->proto))
    return std::move(error);
  StringRef parent = sys::path::parent_path(path);
  if (directory.empty())
    directory = parent.empty() ? StringRef(".") : parent;
  return finish(std::move(model), directory);
}

ModelOrError pquant::readONNXBytes(StringRef bytes, StringRef directory) {
  if (bytes.size() > INT_MAX)
    return createStringError("expected at most 2 GiB, but got " +
                             Twine(bytes.size()) + " bytes");
  auto model = std::make_unique<ONNXModel>();
  google::protobuf::io::ArrayInputStream stream(bytes.data(), bytes.size());
  if (Error error = parse(stream, model->proto))
    return std::move(error);
  return finish(std::move(model), directory);
}
