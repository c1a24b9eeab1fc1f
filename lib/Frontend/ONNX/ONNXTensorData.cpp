//===- ONNXTensorData.cpp - Bytes of tensors, inside and outside the file -===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// External data is mapped, never read, and must lie in the model's directory
// after every symbolic link is resolved.
//
//===----------------------------------------------------------------------===//

#include "ONNXReader.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace pquant;
using onnx::TensorProto;

int64_t pquant::getONNXElementBits(int32_t dataType) {
  switch (dataType) {
  case UINT2:
  case INT2:
    return 2;
  case UINT4:
  case INT4:
    return 4;
  case TensorProto::BOOL:
  case TensorProto::INT8:
  case TensorProto::UINT8:
    return 8;
  case TensorProto::INT16:
  case TensorProto::UINT16:
  case TensorProto::FLOAT16:
  case TensorProto::BFLOAT16:
    return 16;
  case TensorProto::INT32:
  case TensorProto::UINT32:
  case TensorProto::FLOAT:
    return 32;
  case TensorProto::INT64:
  case TensorProto::UINT64:
  case TensorProto::DOUBLE:
    return 64;
  default:
    return 0;
  }
}

std::string pquant::getONNXTypeName(int32_t dataType) {
  static constexpr std::pair<int32_t, const char *> newer[] = {
      {17, "float8e4m3fn"},   {18, "float8e4m3fnuz"}, {19, "float8e5m2"},
      {20, "float8e5m2fnuz"}, {UINT4, "uint4"},       {INT4, "int4"},
      {23, "float4e2m1"},     {24, "float8e8m0"},     {UINT2, "uint2"},
      {INT2, "int2"}};
  for (auto [number, name] : newer)
    if (number == dataType)
      return name;
  if (!onnx::TensorProto_DataType_IsValid(dataType))
    return "type " + std::to_string(dataType);
  return StringRef(onnx::TensorProto_DataType_Name(
                       static_cast<onnx::TensorProto_DataType>(dataType)))
      .lower();
}

/// The number of bytes that the tensor's type and dimensions ask for.
static Expected<int64_t> getByteCount(const TensorProto &tensor) {
  int64_t bits = getONNXElementBits(tensor.data_type()), count = 1;
  if (bits == 0)
    return createStringError("tensors of element type '" +
                             getONNXTypeName(tensor.data_type()) +
                             "' are not supported");
  for (int64_t dim : tensor.dims()) {
    if (dim < 0)
      return createStringError("expected dimensions of at least 0, but got " +
                               Twine(dim));
    if (MulOverflow(count, dim, count))
      return createStringError("the tensor's dimensions overflow 2^63 bytes");
  }
  if (bits < 8)
    return divideCeil(count, 8 / bits);
  int64_t bytes = 0;
  if (MulOverflow(count, bits / 8, bytes))
    return createStringError("the tensor's dimensions overflow 2^63 bytes");
  return bytes;
}

/// The number of elements in the typed field that the element type uses.
static int64_t getTypedCount(const TensorProto &tensor) {
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    return tensor.float_data_size();
  case TensorProto::DOUBLE:
    return tensor.double_data_size();
  case TensorProto::INT64:
    return tensor.int64_data_size();
  case TensorProto::UINT32:
  case TensorProto::UINT64:
    return tensor.uint64_data_size();
  default:
    return tensor.int32_data_size();
  }
}

static std::string getExternalField(const TensorProto &tensor, StringRef key) {
  for (const onnx::StringStringEntryProto &entry : tensor.external_data())
    if (entry.key() == key)
      return entry.value();
  return {};
}

/// Finds the file and checks that it is inside the model's directory.
static Expected<std::string> resolveLocation(const ONNXModel &model,
                                             const std::string &location) {
  if (location.empty())
    return createStringError("external data without a location");
  if (model.directory.empty())
    return createStringError("external data '" + location +
                             "' is not available: the model does not come "
                             "from a file");
  if (sys::path::is_absolute(location))
    return createStringError("expected external data in the model's "
                             "directory, but got the absolute path '" +
                             location + "'");
  for (StringRef part :
       make_range(sys::path::begin(location), sys::path::end(location)))
    if (part == "..")
      return createStringError("expected external data in the model's "
                               "directory, but got '" +
                               location + "'");
  SmallString<256> path(model.directory), realDirectory, realFile;
  sys::path::append(path, location);
  if (std::error_code code = sys::fs::real_path(path, realFile))
    return createStringError("cannot open external data '" + path +
                             "': " + code.message());
  if (std::error_code code = sys::fs::real_path(model.directory, realDirectory))
    return createStringError("cannot open directory '" + model.directory +
                             "': " + code.message());
  if (!realDirectory.ends_with("/"))
    realDirectory += "/";
  if (!realFile.starts_with(realDirectory))
    return createStringError("expected external data in the model's "
                             "directory, but '" +
                             location + "' is a link to '" + realFile + "'");
  return std::string(realFile);
}

static Expected<std::shared_ptr<sys::fs::mapped_file_region>>
mapFile(ONNXModel &model, const std::string &path) {
  auto &mapping = model.mappings[path];
  if (mapping)
    return mapping;
  Expected<sys::fs::file_t> file = sys::fs::openNativeFileForRead(path);
  if (!file)
    return createStringError("cannot open external data '" + path +
                             "': " + toString(file.takeError()));
  sys::fs::file_status status;
  std::error_code code = sys::fs::status(*file, status);
  if (!code && !sys::fs::is_regular_file(status)) {
    sys::fs::closeFile(*file);
    return createStringError("external data '" + path + "' is not a file");
  }
  uint64_t size = status.getSize();
  auto region = std::make_shared<sys::fs::mapped_file_region>();
  // An empty file cannot be mapped; it holds the data of empty tensors only.
  if (!code && size > 0)
    region = std::make_shared<sys::fs::mapped_file_region>(
        *file, sys::fs::mapped_file_region::readonly, size, 0, code);
  sys::fs::closeFile(*file);
  if (code)
    return createStringError("cannot map external data '" + path +
                             "': " + code.message());
  mapping = std::move(region);
  return mapping;
}

/// The part of an external file that holds the tensor.
static Expected<TensorBytes> getExternalBytes(ONNXModel &model,
                                              const TensorProto &tensor,
                                              int64_t byteCount) {
  std::string location = getExternalField(tensor, "location");
  Expected<std::string> path = resolveLocation(model, location);
  if (!path)
    return path.takeError();
  int64_t offset = 0, length = byteCount;
  for (auto [key, number] :
       {std::pair("offset", &offset), {"length", &length}}) {
    std::string text = getExternalField(tensor, key);
    if (!text.empty() &&
        (StringRef(text).getAsInteger(10, *number) || *number < 0))
      return createStringError("expected a number of at least 0 as external " +
                               Twine(key) + ", but got '" + text + "'");
  }
  if (length != byteCount)
    return createStringError("expected " + Twine(byteCount) +
                             " bytes of external data, but got length " +
                             Twine(length));
  auto region = mapFile(model, *path);
  if (!region)
    return region.takeError();
  int64_t size = **region ? (*region)->size() : 0;
  if (offset > size || length > size - offset)
    return createStringError("expected external data '" + location +
                             "' to hold bytes " + Twine(offset) + " to " +
                             Twine(uint64_t(offset) + uint64_t(length)) +
                             ", but it has " + Twine(size) + " bytes");
  if (length == 0)
    return TensorBytes{{}, *region};
  return TensorBytes{{(*region)->const_data() + offset, size_t(length)},
                     *region,
                     /*isMapped=*/true};
}

Error pquant::checkTensor(ONNXModel &model, const TensorProto &tensor) {
  Expected<int64_t> byteCount = getByteCount(tensor);
  if (!byteCount)
    return byteCount.takeError();
  if (tensor.has_segment())
    return createStringError("segmented tensors are not supported");
  if (tensor.data_location() == TensorProto::EXTERNAL) {
    Expected<TensorBytes> bytes = getExternalBytes(model, tensor, *byteCount);
    if (!bytes)
      return bytes.takeError();
    model.externalBytes[&tensor] = std::move(*bytes);
    return Error::success();
  }
  // Narrow elements come by the byte in typed fields too.
  int64_t entrySize = divideCeil(getONNXElementBits(tensor.data_type()), 8);
  if (tensor.has_raw_data()) {
    if (static_cast<int64_t>(tensor.raw_data().size()) != *byteCount)
      return createStringError("expected " + Twine(*byteCount) +
                               " bytes, but got " +
                               Twine(tensor.raw_data().size()));
    return Error::success();
  }
  if (getTypedCount(tensor) != *byteCount / entrySize)
    return createStringError("expected " + Twine(*byteCount / entrySize) +
                             " elements, but got " +
                             Twine(getTypedCount(tensor)));
  return Error::success();
}

/// Appends numbers as little-endian integers or floats of type T.
template <typename T, typename Field>
static void appendAs(std::string &out, const Field &field) {
  for (auto number : field) {
    T element = static_cast<T>(number);
    out.append(reinterpret_cast<const char *>(&element), sizeof(T));
  }
}

TensorBytes ONNXModel::takeBytes(TensorProto &tensor) {
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return externalBytes.at(&tensor);
  std::shared_ptr<std::string> bytes;
  if (tensor.has_raw_data()) {
    bytes.reset(tensor.release_raw_data());
    return {{bytes->data(), bytes->size()}, bytes};
  }
  bytes = std::make_shared<std::string>();
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    appendAs<float>(*bytes, tensor.float_data());
    break;
  case TensorProto::DOUBLE:
    appendAs<double>(*bytes, tensor.double_data());
    break;
  case TensorProto::INT64:
    appendAs<int64_t>(*bytes, tensor.int64_data());
    break;
  case TensorProto::UINT64:
    appendAs<uint64_t>(*bytes, tensor.uint64_data());
    break;
  case TensorProto::UINT32:
    appendAs<uint32_t>(*bytes, tensor.uint64_data());
    break;
  case TensorProto::INT32:
    appendAs<int32_t>(*bytes, tensor.int32_data());
    break;
  default:
    if (getONNXElementBits(tensor.data_type()) <= 8)
      appendAs<uint8_t>(*bytes, tensor.int32_data());
    else
      appendAs<uint16_t>(*bytes, tensor.int32_data());
    break;
  }
  return {{bytes->data(), bytes->size()}, bytes};
}
