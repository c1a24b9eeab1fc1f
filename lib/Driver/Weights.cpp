//===- Weights.cpp - The weight blob of an artifact -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Streams the blob: one constant at a time, in the order of the offsets.
//
//===----------------------------------------------------------------------===//

#include "Weights.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Layout/WeightFile.h"
#include "pquant/Support/Constants.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace pquant;

FailureOr<uint64_t> pquant::writeWeights(ModuleOp module, raw_ostream &os) {
  uint64_t position = 0;
  auto padTo = [&](uint64_t offset) {
    os.write_zeros(offset - position);
    position = offset;
  };
  SmallVector<memref::GlobalOp> globals;
  for (auto global : module.getOps<memref::GlobalOp>())
    if (global->hasAttr("pquant.offset"))
      globals.push_back(global);
  for (memref::GlobalOp global : globals) {
    padTo(global->getAttrOfType<IntegerAttr>("pquant.offset").getInt());
    Attribute value = *global.getInitialValue();
    ArrayRef<char> bytes = getConstantBytes(value);
    uint64_t size =
        global.getType().getNumElements() *
        llvm::divideCeil(global.getType().getElementTypeBitWidth(), 8);
    if (std::optional<BitReader> bits = BitReader::get(value)) {
      for (uint64_t i = 0; i < size; ++i)
        os << static_cast<char>((*bits)[i]);
    } else if (isSplatConstant(value)) {
      for (uint64_t at = 0; at < size; at += bytes.size())
        os.write(bytes.data(), bytes.size());
    } else if (bytes.size() == size) {
      os.write(bytes.data(), bytes.size());
    } else {
      return global.emitOpError() << "expected a constant of " << size
                                  << " bytes, but got " << bytes.size();
    }
    position += size;
    global.erase();
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
      releaseConstant(resource);
  }
  if (auto total = module->getAttrOfType<IntegerAttr>("pquant.weight_bytes"))
    padTo(total.getInt());
  return position;
}

/// Where the object's weight section begins in its file; none without one.
static FailureOr<std::optional<uint64_t>> findWeightSection(StringRef object) {
  auto file = llvm::object::ObjectFile::createObjectFile(object);
  if (!file)
    return reportError(llvm::toString(file.takeError()));
  for (llvm::object::ELFSectionRef section : file->getBinary()->sections()) {
    llvm::Expected<StringRef> name = section.getName();
    if (!name)
      return reportError(llvm::toString(name.takeError()));
    if (*name == kWeightSection)
      return std::optional<uint64_t>(section.getOffset());
  }
  return std::optional<uint64_t>();
}

/// Copies a file to `offset` of another.
static LogicalResult copyInto(StringRef target, uint64_t offset,
                              StringRef source) {
  namespace fs = llvm::sys::fs;
  llvm::Expected<fs::file_t> from = fs::openNativeFileForRead(source);
  if (!from)
    return reportError("cannot read '" + source +
                       "': " + llvm::toString(from.takeError()));
  int to;
  if (std::error_code code = fs::openFileForReadWrite(
          target, to, fs::CD_OpenExisting, fs::OF_None))
    return reportError("cannot write '" + target + "': " + code.message());
  llvm::raw_fd_ostream os(to, /*shouldClose=*/true, /*unbuffered=*/true);
  os.seek(offset);
  std::vector<char> buffer(size_t(1) << 20);
  llvm::Error error = llvm::Error::success();
  while (!error) {
    llvm::Expected<size_t> count = fs::readNativeFile(*from, buffer);
    if (!count)
      error = count.takeError();
    else if (*count == 0)
      break;
    else
      os.write(buffer.data(), *count);
  }
  fs::closeFile(*from);
  if (error)
    return reportError("cannot read '" + source +
                       "': " + llvm::toString(std::move(error)));
  if (std::error_code code = os.error()) {
    os.clear_error();
    return reportError("cannot write '" + target + "': " + code.message());
  }
  return success();
}

LogicalResult pquant::fillWeightSection(ArrayRef<std::string> objects,
                                        const WeightLocation &weights) {
  if (weights.path.empty() || !weights.bytes)
    return success();
  for (StringRef object : objects) {
    FailureOr<std::optional<uint64_t>> offset = findWeightSection(object);
    if (failed(offset))
      return failure();
    if (*offset)
      return copyInto(object, **offset, weights.path);
  }
  return reportError("no object has the section " + kWeightSection);
}

/// `file` as seen from the folder of `artifact`; as it is when absolute.
static std::string pathFromArtifact(StringRef file, StringRef artifact) {
  namespace path = llvm::sys::path;
  if (path::is_absolute(file))
    return file.str();
  SmallString<128> from(artifact), to(file);
  for (SmallString<128> *each : {&from, &to}) {
    (void)llvm::sys::fs::make_absolute(*each);
    path::remove_dots(*each, /*remove_dot_dot=*/true);
  }
  path::remove_filename(from);
  auto fromAt = path::begin(from), fromEnd = path::end(from);
  auto toAt = path::begin(to), toEnd = path::end(to);
  for (; fromAt != fromEnd && toAt != toEnd && *fromAt == *toAt; ++fromAt)
    ++toAt;
  SmallString<128> result;
  for (; fromAt != fromEnd; ++fromAt)
    path::append(result, "..");
  for (; toAt != toEnd; ++toAt)
    path::append(result, *toAt);
  return result.str().str();
}

LogicalResult pquant::writeWeightFile(ModuleOp module, OutputFile &file,
                                      StringRef destination, StringRef artifact,
                                      WeightLocation &location) {
  llvm::raw_fd_ostream &os = file.stream();
  os.write_zeros(layout::kWeightOffset);
  FailureOr<uint64_t> bytes = writeWeights(module, os);
  if (failed(bytes))
    return failure();
  os.flush();
  if (os.has_error())
    return file.close();
  auto written = llvm::MemoryBuffer::getFile(file.path(), /*IsText=*/false,
                                             /*RequiresNullTerminator=*/false);
  if (!written)
    return reportError("cannot read '" + file.path() +
                       "': " + written.getError().message());
  layout::WeightFileHeader header;
  header.bytes = *bytes;
  header.hash = layout::hashWeights(
      (*written)->getBufferStart() + layout::kWeightOffset, *bytes);
  os.pwrite(reinterpret_cast<const char *>(&header), sizeof header, 0);
  location.separateFile = pathFromArtifact(destination, artifact);
  location.hash = header.hash;
  return file.close();
}
