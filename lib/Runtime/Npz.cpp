//===- Npz.cpp - Named arrays in a NumPy archive --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes in an archive are claims: the data of a member is allocated only when
// its .npy header, the archive's directory and what deflate can reach agree.
//
//===----------------------------------------------------------------------===//

#include "Npz.h"
#include "Npy.h"
#include "OutputText.h"

#include <minizip/unzip.h>
#include <minizip/zip.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using namespace pquant;

//===----------------------------------------------------------------------===//
// ArrayFile
//===----------------------------------------------------------------------===//

static void freeArray(const PQuantTensor &tensor) {
  free(const_cast<char *>(tensor.name));
  free(const_cast<void *>(tensor.data));
}

ArrayFile::~ArrayFile() {
  for (int32_t i = 0; i < count; ++i)
    freeArray(arrays[i]);
  free(arrays);
}

bool ArrayFile::add(const PQuantTensor &tensor) {
  void *grown = realloc(arrays, size_t(count + 1) * sizeof(PQuantTensor));
  if (!grown) {
    freeArray(tensor);
    return false;
  }
  arrays = static_cast<PQuantTensor *>(grown);
  arrays[count++] = tensor;
  return true;
}

const PQuantTensor *ArrayFile::find(const char *name) const {
  for (int32_t i = 0; i < count; ++i)
    if (!strcmp(arrays[i].name, name))
      return &arrays[i];
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Read
//===----------------------------------------------------------------------===//

namespace {
/// Closes an archive that is being read.
struct Unzip {
  unzFile zip;
  ~Unzip() { unzClose(zip); }
};
} // namespace

/// Reads exactly `bytes` bytes of the current member.
static bool readAll(unzFile zip, void *buffer, int64_t bytes) {
  auto to = static_cast<char *>(buffer);
  while (bytes > 0) {
    unsigned step = bytes > (1 << 30) ? 1u << 30 : unsigned(bytes);
    int got = unzReadCurrentFile(zip, to, step);
    if (got <= 0)
      return false;
    to += got;
    bytes -= got;
  }
  return true;
}

/// Row-major copy of column-major data.
static void transpose(char *to, const char *from, const NpyHeader &header) {
  int64_t size = pquant_dtype_size(header.dtype);
  int64_t index[PQUANT_MAX_RANK] = {};
  for (int64_t i = 0; i < header.dataBytes / size; ++i) {
    int64_t at = 0;
    for (int32_t d = header.rank - 1; d >= 0; --d)
      at = at * header.sizes[d] + index[d];
    memcpy(to + i * size, from + at * size, size_t(size));
    for (int32_t d = header.rank - 1; d >= 0; --d) {
      if (++index[d] < header.sizes[d])
        break;
      index[d] = 0;
    }
  }
}

static void *allocateData(int64_t bytes) {
  return aligned_alloc(64, size_t(bytes + 64) / 64 * 64);
}

/// The data of the current member, in row-major order; null with a reason.
static void *readData(unzFile zip, const NpyHeader &header, Text &reason) {
  void *data = allocateData(header.dataBytes);
  if (!data) {
    reason.append("out of memory: could not allocate %lld bytes",
                  (long long)header.dataBytes);
    return nullptr;
  }
  if (!readAll(zip, data, header.dataBytes)) {
    reason.append("its data is truncated or damaged");
    free(data);
    return nullptr;
  }
  if (!header.fortranOrder || header.rank < 2)
    return data;
  void *rows = allocateData(header.dataBytes);
  if (rows)
    transpose(static_cast<char *>(rows), static_cast<const char *>(data),
              header);
  else
    reason.append("out of memory: could not allocate %lld bytes",
                  (long long)header.dataBytes);
  free(data);
  return rows;
}

/// Reads the header of the current member.
static bool readHeader(unzFile zip, const unz_file_info64 &info,
                       NpyHeader &header, Text &reason) {
  unsigned char prefix[kNpyPrefix] = {};
  if (!readAll(zip, prefix, kNpyPrefix)) {
    reason.append("it is too short or damaged");
    return false;
  }
  int64_t at, length;
  if (!parseNpyPrefix(prefix, at, length, reason))
    return false;
  char *text = static_cast<char *>(malloc(size_t(length) + kNpyPrefix));
  if (!text) {
    reason.append("out of memory");
    return false;
  }
  int64_t have = kNpyPrefix - at; // bytes of the dictionary in the prefix
  memcpy(text, prefix + at, size_t(have));
  bool good = length >= have && readAll(zip, text + have, length - have);
  if (!good)
    reason.append("it is too short or damaged");
  else
    good = parseNpyDictionary(text, length, header, reason);
  free(text);
  if (!good)
    return false;
  auto expected = uint64_t(at + length) + uint64_t(header.dataBytes);
  // Deflate cannot shrink below 1 : 1032.
  if (info.uncompressed_size != expected ||
      expected / 1032 > info.compressed_size) {
    reason.append("expected %llu bytes for its shape, but got %llu",
                  (unsigned long long)expected,
                  (unsigned long long)info.uncompressed_size);
    return false;
  }
  return true;
}

/// Reads the member that `zip` stands on and adds it to `file`.
static bool readMember(unzFile zip, ArrayFile &file, char (&name)[1024],
                       Text &reason) {
  unz_file_info64 info;
  memset(name, 0, sizeof name);
  if (unzGetCurrentFileInfo64(zip, &info, name, sizeof name - 1, nullptr, 0,
                              nullptr, 0) != UNZ_OK) {
    reason.append("the archive's directory is damaged");
    return false;
  }
  size_t length = strlen(name);
  if (length > 4 && !strcmp(name + length - 4, ".npy"))
    name[length - 4] = 0;
  if (file.find(name)) {
    reason.append("it is there twice");
    return false;
  }
  if (unzOpenCurrentFile(zip) != UNZ_OK) {
    reason.append("its data is damaged or in an unsupported format");
    return false;
  }
  NpyHeader header;
  void *data = nullptr;
  if (readHeader(zip, info, header, reason))
    data = readData(zip, header, reason);
  // Closing checks the CRC once all data has been read.
  if (unzCloseCurrentFile(zip) != UNZ_OK && data) {
    reason.append("its checksum does not match");
    free(data);
    data = nullptr;
  }
  if (!data)
    return false;
  PQuantTensor tensor{strdup(name), data, header.dtype, header.rank, {}};
  memcpy(tensor.sizes, header.sizes, sizeof tensor.sizes);
  if (tensor.name && file.add(tensor))
    return true;
  reason.append("out of memory");
  return false;
}

bool pquant::readNpz(const char *path, ArrayFile &file, Text &error) {
  if (access(path, R_OK)) {
    error.append("could not read '%s': %s", path, strerror(errno));
    return false;
  }
  Unzip archive{unzOpen64(path)};
  if (!archive.zip) {
    error.append("'%s' is not an .npz file, or it is truncated", path);
    return false;
  }
  unz_global_info64 global;
  unzGetGlobalInfo64(archive.zip, &global);
  int status = global.number_entry ? unzGoToFirstFile(archive.zip)
                                   : UNZ_END_OF_LIST_OF_FILE;
  for (; status == UNZ_OK; status = unzGoToNextFile(archive.zip)) {
    char name[1024];
    Text reason;
    if (readMember(archive.zip, file, name, reason))
      continue;
    error.append("'%s': array '%s': %s", path, name, reason.data);
    return false;
  }
  if (status == UNZ_END_OF_LIST_OF_FILE)
    return true;
  error.append("'%s': the archive's directory is damaged", path);
  return false;
}

//===----------------------------------------------------------------------===//
// Write
//===----------------------------------------------------------------------===//

static int64_t dataBytes(const PQuantTensor &tensor) {
  int64_t bytes = pquant_dtype_size(tensor.dtype);
  for (int32_t d = 0; d < tensor.rank; ++d)
    bytes *= tensor.sizes[d];
  return bytes;
}

static bool writeAll(zipFile zip, const void *data, int64_t bytes) {
  auto from = static_cast<const char *>(data);
  while (bytes > 0) {
    unsigned step = bytes > (1 << 30) ? 1u << 30 : unsigned(bytes);
    if (zipWriteInFileInZip(zip, from, step) != ZIP_OK)
      return false;
    from += step;
    bytes -= step;
  }
  return true;
}

static bool writeMember(zipFile zip, const PQuantTensor &tensor) {
  char name[1024];
  snprintf(name, sizeof name, "%s.npy", tensor.name);
  char header[kMaxNpyHeader];
  int headerBytes = formatNpyHeader(tensor, header);
  int64_t bytes = dataBytes(tensor);
  zip_fileinfo info = {};
  info.tmz_date.tm_year = 1980; // the same bytes whenever it is written
  info.tmz_date.tm_mday = 1;
  constexpr int64_t zip32Limit = 0xffff0000;
  bool large = bytes > zip32Limit;
  if (zipOpenNewFileInZip64(zip, name, &info, nullptr, 0, nullptr, 0, nullptr,
                            /*method=*/0, /*level=*/0, large) != ZIP_OK)
    return false;
  bool good =
      writeAll(zip, header, headerBytes) && writeAll(zip, tensor.data, bytes);
  return zipCloseFileInZip(zip) == ZIP_OK && good;
}

bool pquant::writeNpz(const char *path, const PQuantTensor *const *tensors,
                      int32_t count, Text &error) {
  TemporaryFile temporary;
  if (!temporary.create(path, error))
    return false;
  zipFile zip = zipOpen64(temporary.path, APPEND_STATUS_CREATE);
  bool good = zip;
  for (int32_t i = 0; good && i < count; ++i)
    good = writeMember(zip, *tensors[i]);
  if (zip && zipClose(zip, nullptr) != ZIP_OK)
    good = false;
  return temporary.finish(path, good, error);
}
