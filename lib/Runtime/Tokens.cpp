//===- Tokens.cpp - A file of token ids -----------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file is read whole; a token of training is two bytes.
//
//===----------------------------------------------------------------------===//

#include "Tokens.h"
#include "Npy.h"

#include "pquant/Runtime/Generate.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>

using namespace pquant;

TokenList::~TokenList() { free(ids); }

namespace {
/// The bytes of a file.
struct Bytes {
  unsigned char *data = nullptr;
  int64_t size = 0;
  ~Bytes() { free(data); }
  bool read(const char *path, Text &error);
};
} // namespace

bool Bytes::read(const char *path, Text &error) {
  FILE *file = fopen(path, "rb");
  struct stat status;
  if (!file || fstat(fileno(file), &status)) {
    error.append("could not read '%s': %s", path, strerror(errno));
    if (file)
      fclose(file);
    return false;
  }
  size = status.st_size;
  data = static_cast<unsigned char *>(malloc(size_t(size) + 1));
  bool good = data && fread(data, 1, size_t(size), file) == size_t(size);
  fclose(file);
  if (!good)
    error.append(data ? "could not read '%s': it is shorter than expected"
                      : "could not read '%s': out of memory",
                 path);
  return good;
}

static bool endsWith(const char *text, const char *end) {
  size_t length = strlen(text), endLength = strlen(end);
  return length >= endLength && !strcmp(text + length - endLength, end);
}

/// The integer at `from`.
template <typename T>
static int64_t load(const unsigned char *from) {
  T value;
  memcpy(&value, from, sizeof value);
  return int64_t(value);
}

static int64_t loadElement(const unsigned char *from, int32_t dtype) {
  switch (dtype) {
  case PQUANT_INT8:
    return load<int8_t>(from);
  case PQUANT_UINT8:
    return load<uint8_t>(from);
  case PQUANT_INT16:
    return load<int16_t>(from);
  case PQUANT_UINT16:
    return load<uint16_t>(from);
  case PQUANT_INT32:
    return load<int32_t>(from);
  case PQUANT_UINT32:
    return load<uint32_t>(from);
  default:
    return load<int64_t>(from);
  }
}

/// Finds the elements of a .npy file; false with a reason.
static bool parseArray(const Bytes &bytes, NpyHeader &header,
                       const unsigned char *&data, Text &reason) {
  int64_t at = 0, length = 0;
  if (bytes.size < kNpyPrefix) {
    reason.append("it is too short");
    return false;
  }
  if (!parseNpyPrefix(bytes.data, at, length, reason))
    return false;
  if (length > bytes.size - at) {
    reason.append("it is too short");
    return false;
  }
  auto text = reinterpret_cast<const char *>(bytes.data + at);
  if (!parseNpyDictionary(text, length, header, reason))
    return false;
  data = bytes.data + at + length;
  if (header.rank != 1 || header.dtype < PQUANT_INT8 ||
      header.dtype > PQUANT_UINT64) {
    reason.append("expected one dimension of integers");
    return false;
  }
  if (header.dataBytes == bytes.size - at - length)
    return true;
  reason.append("expected %lld bytes for its shape, but got %lld",
                (long long)header.dataBytes,
                (long long)(bytes.size - at - length));
  return false;
}

static bool convert(const unsigned char *data, int32_t dtype, int64_t count,
                    TokenList &tokens, Text &reason) {
  tokens.ids =
      static_cast<int64_t *>(malloc((size_t(count) + 1) * sizeof(int64_t)));
  if (!tokens.ids) {
    reason.append("out of memory");
    return false;
  }
  tokens.count = count;
  int64_t size = pquant_dtype_size(dtype);
  for (int64_t i = 0; i < count; ++i)
    tokens.ids[i] = loadElement(data + i * size, dtype);
  return true;
}

static bool parseTokens(const char *path, const Bytes &bytes, TokenList &tokens,
                        Text &reason) {
  if (endsWith(path, ".npy")) {
    NpyHeader header;
    const unsigned char *data;
    return parseArray(bytes, header, data, reason) &&
           convert(data, header.dtype, header.sizes[0], tokens, reason);
  }
  if (bytes.size % 2 == 0)
    return convert(bytes.data, PQUANT_UINT16, bytes.size / 2, tokens, reason);
  reason.append("expected two bytes a token, but got %lld bytes",
                (long long)bytes.size);
  return false;
}

static bool isFolder(const char *path) {
  struct stat status;
  return !stat(path, &status) && S_ISDIR(status.st_mode);
}

bool pquant::isTokenFile(const char *path) {
  return isFolder(path) || endsWith(path, ".bin") || endsWith(path, ".npy");
}

bool pquant::readTokens(const char *path, TokenList &tokens, Text &error) {
  char inFolder[4096];
  if (isFolder(path)) {
    snprintf(inFolder, sizeof inFolder, "%s/valid.bin", path);
    path = inFolder;
  }
  Bytes bytes;
  if (!bytes.read(path, error))
    return false;
  Text reason;
  if (parseTokens(path, bytes, tokens, reason))
    return true;
  error.append("'%s': %s", path, reason.data);
  return false;
}

/// Appends the tokens of each line: at most one for each byte, and a prefix.
static PQuantStatus encode(const PQuantTokenizer *tokenizer, const Bytes &text,
                           TokenList &tokens) {
  auto rest = reinterpret_cast<const char *>(text.data);
  for (int64_t left = text.size, length; left; left -= length) {
    auto end = static_cast<const char *>(memchr(rest, '\n', size_t(left)));
    length = end ? end + 1 - rest : left;
    int64_t count;
    PQuantStatus status =
        pquant_tokenize(tokenizer, rest, length, tokens.ids + tokens.count,
                        2 * text.size - tokens.count, &count);
    if (status != PQUANT_OK)
      return status;
    tokens.count += count;
    rest += length;
  }
  if (pquant_end_token(tokenizer) >= 0)
    tokens.ids[tokens.count++] = pquant_end_token(tokenizer);
  return PQUANT_OK;
}

bool pquant::readText(const PQuantModel *model, const char *path,
                      TokenList &tokens, Text &error) {
  if (!pquant_get_descriptor(model)->tokenizer) {
    error.append("'%s' is no file of tokens (.bin or .npy, or a folder of "
                 "pquant.prepare), and the model has no tokenizer for a text",
                 path);
    return false;
  }
  Bytes bytes;
  if (!bytes.read(path, error))
    return false;
  tokens.ids = static_cast<int64_t *>(
      malloc((2 * size_t(bytes.size) + 1) * sizeof(int64_t)));
  if (!tokens.ids) {
    error.append("out of memory");
    return false;
  }
  PQuantTokenizer *tokenizer;
  PQuantStatus status = pquant_create_tokenizer(model, &tokenizer);
  if (status == PQUANT_OK)
    status = encode(tokenizer, bytes, tokens);
  pquant_free_tokenizer(tokenizer);
  if (status != PQUANT_OK)
    error.append("'%s': %s", path, pquant_last_error());
  return status == PQUANT_OK;
}
