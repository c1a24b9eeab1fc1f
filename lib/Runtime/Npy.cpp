//===- Npy.cpp - The header of a NumPy array file -------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A scanner for the one dictionary that NumPy writes, and its printer.
//
//===----------------------------------------------------------------------===//

#include "Npy.h"

#include <cinttypes>
#include <cstring>

using namespace pquant;

static constexpr char magic[] = "\x93NUMPY";
static constexpr int magicBytes = 6;

bool pquant::parseNpyPrefix(const unsigned char *bytes, int64_t &dictionaryAt,
                            int64_t &dictionaryBytes, Text &reason) {
  if (memcmp(bytes, magic, magicBytes)) {
    reason.append("it is not a .npy file");
    return false;
  }
  int version = bytes[6];
  if (version == 1) {
    dictionaryAt = 10;
    dictionaryBytes = bytes[8] | bytes[9] << 8;
    return true;
  }
  if (version == 2 || version == 3) {
    dictionaryAt = 12;
    dictionaryBytes = int64_t(bytes[8]) | int64_t(bytes[9]) << 8 |
                      int64_t(bytes[10]) << 16 | int64_t(bytes[11]) << 24;
    constexpr int64_t longest = 1 << 20;
    if (dictionaryBytes <= longest)
      return true;
    reason.append("its header is longer than 1 MiB");
    return false;
  }
  reason.append("it has .npy version %d, expected 1 to 3", version);
  return false;
}

//===----------------------------------------------------------------------===//
// The dictionary
//===----------------------------------------------------------------------===//

namespace {

/// A type string without its byte order, and what it means here.
struct TypeCode {
  const char *code;
  int32_t dtype;
};

class Scanner {
public:
  Scanner(const char *text, int64_t length) : at(text), end(text + length) {}

  bool parse(NpyHeader &header, Text &reason);

private:
  void skipSpace() {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\t'))
      ++at;
  }
  /// Consumes `c` after spaces.
  bool eat(char c) {
    skipSpace();
    if (at == end || *at != c)
      return false;
    ++at;
    return true;
  }
  bool eatWord(const char *word) {
    skipSpace();
    size_t length = strlen(word);
    if (size_t(end - at) < length || memcmp(at, word, length))
      return false;
    at += length;
    return true;
  }
  bool eatString(char *buffer, size_t size);
  bool eatNumber(int64_t &number);
  bool parseType(NpyHeader &header, Text &reason);
  bool parseOrder(NpyHeader &header, Text &reason);
  bool parseShape(NpyHeader &header, Text &reason);

  const char *at;
  const char *end;
};

} // namespace

static constexpr TypeCode typeCodes[] = {
    {"f4", PQUANT_FLOAT32},  {"f8", PQUANT_FLOAT64}, {"f2", PQUANT_FLOAT16},
    {"V2", PQUANT_BFLOAT16}, {"i1", PQUANT_INT8},    {"i2", PQUANT_INT16},
    {"i4", PQUANT_INT32},    {"i8", PQUANT_INT64},   {"u1", PQUANT_UINT8},
    {"u2", PQUANT_UINT16},   {"u4", PQUANT_UINT32},  {"u8", PQUANT_UINT64},
    {"b1", PQUANT_BOOL},
};

static bool malformed(Text &reason) {
  reason.append("its .npy header is malformed");
  return false;
}

/// A quoted string without escapes.
bool Scanner::eatString(char *buffer, size_t size) {
  skipSpace();
  if (at == end || (*at != '\'' && *at != '"'))
    return false;
  char quote = *at++;
  size_t length = 0;
  while (at != end && *at != quote) {
    if (*at == '\\' || length + 1 == size)
      return false;
    buffer[length++] = *at++;
  }
  buffer[length] = 0;
  return eat(quote);
}

bool Scanner::eatNumber(int64_t &number) {
  skipSpace();
  if (at == end || *at < '0' || *at > '9')
    return false;
  number = 0;
  for (; at != end && *at >= '0' && *at <= '9'; ++at)
    if (__builtin_mul_overflow(number, 10, &number) ||
        __builtin_add_overflow(number, *at - '0', &number))
      return false;
  return true;
}

bool Scanner::parseType(NpyHeader &header, Text &reason) {
  skipSpace();
  if (at != end && *at == '[') {
    reason.append("structured arrays are not supported");
    return false;
  }
  char type[32];
  if (!eatString(type, sizeof type))
    return malformed(reason);
  const char *code = type;
  if (strchr("<>|=", *type) && *type)
    ++code;
  if (*code == 'O') {
    reason.append("object arrays are not supported");
    return false;
  }
  for (const TypeCode &known : typeCodes) {
    if (strcmp(known.code, code))
      continue;
    if (*type == '>' && code[1] != '1') {
      reason.append("big-endian arrays ('%s') are not supported", type);
      return false;
    }
    header.dtype = known.dtype;
    return true;
  }
  reason.append("arrays of type '%s' are not supported", type);
  return false;
}

bool Scanner::parseOrder(NpyHeader &header, Text &reason) {
  header.fortranOrder = eatWord("True");
  return header.fortranOrder || eatWord("False") || malformed(reason);
}

bool Scanner::parseShape(NpyHeader &header, Text &reason) {
  if (!eat('('))
    return malformed(reason);
  while (!eat(')')) {
    if (header.rank == PQUANT_MAX_RANK) {
      reason.append("arrays of more than %d dimensions are not supported",
                    PQUANT_MAX_RANK);
      return false;
    }
    if (!eatNumber(header.sizes[header.rank++]))
      return malformed(reason);
    eat('L'); // NumPy on Python 2
    if (!eat(',') && (at == end || *at != ')'))
      return malformed(reason);
  }
  return true;
}

bool Scanner::parse(NpyHeader &header, Text &reason) {
  bool type = false, order = false, shape = false;
  if (!eat('{'))
    return malformed(reason);
  while (!eat('}')) {
    char key[32];
    if (!eatString(key, sizeof key) || !eat(':'))
      return malformed(reason);
    bool *seen = !strcmp(key, "descr")           ? &type
                 : !strcmp(key, "fortran_order") ? &order
                 : !strcmp(key, "shape")         ? &shape
                                                 : nullptr;
    if (!seen || *seen)
      return malformed(reason);
    *seen = true;
    bool parsed = seen == &type    ? parseType(header, reason)
                  : seen == &order ? parseOrder(header, reason)
                                   : parseShape(header, reason);
    if (!parsed)
      return false;
    if (!eat(',') && (at == end || *at != '}'))
      return malformed(reason);
  }
  skipSpace();
  return (at == end && type && order && shape) || malformed(reason);
}

bool pquant::parseNpyDictionary(const char *text, int64_t length,
                                NpyHeader &header, Text &reason) {
  header = {};
  if (!Scanner(text, length).parse(header, reason))
    return false;
  int64_t bytes = pquant_dtype_size(header.dtype);
  bool empty = false, overflow = false;
  for (int32_t d = 0; d < header.rank; ++d) {
    empty |= !header.sizes[d];
    if (header.sizes[d])
      overflow |= __builtin_mul_overflow(bytes, header.sizes[d], &bytes);
  }
  if (overflow) {
    reason.append("its shape is too large");
    return false;
  }
  header.dataBytes = empty ? 0 : bytes;
  return true;
}

int pquant::formatNpyHeader(const PQuantTensor &tensor,
                            char (&buffer)[kMaxNpyHeader]) {
  const char *code = "";
  for (const TypeCode &known : typeCodes)
    if (known.dtype == tensor.dtype)
      code = known.code;
  Text text;
  text.append("{'descr': '%c%s', 'fortran_order': False, 'shape': (",
              pquant_dtype_size(tensor.dtype) == 1 ? '|' : '<', code);
  for (int32_t d = 0; d < tensor.rank; ++d)
    text.append("%s%" PRId64, d ? ", " : "", tensor.sizes[d]);
  text.append("%s), }", tensor.rank == 1 ? "," : "");
  // NumPy aligns the data to 64 bytes with spaces and a newline.
  int length = int(10 + text.length + 1 + 63) / 64 * 64;
  memset(buffer, ' ', size_t(length));
  memcpy(buffer, magic, magicBytes);
  buffer[6] = 1;
  buffer[7] = 0;
  buffer[8] = char((length - 10) & 0xff);
  buffer[9] = char((length - 10) >> 8);
  memcpy(buffer + 10, text.data, text.length);
  buffer[length - 1] = '\n';
  return length;
}
