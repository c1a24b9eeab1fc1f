//===- Tokens.h - A file of token ids ---------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What text has become before a model sees it.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_TOKENS_H
#define PQUANT_LIB_RUNTIME_TOKENS_H

#include "Text.h"

#include "pquant/Runtime/Runtime.h"

#include <cstdint>

namespace pquant {

struct TokenList {
  TokenList() = default;
  TokenList(const TokenList &) = delete;
  ~TokenList();

  int64_t *ids = nullptr;
  int64_t count = 0;
};

/// Whether a path is one of those that readTokens reads.
bool isTokenFile(const char *path);

/// Reads token ids: a .npy file of one dimension with elements of an integer
/// type, a .bin file of pquant.prepare (little-endian uint16), or a folder that
/// it made, of which the held-out part (valid.bin) is taken. False with an
/// error.
bool readTokens(const char *path, TokenList &tokens, Text &error);

/// Reads a text by the model's own tokenizer, as pquant.prepare does: line by
/// line, with the token that ends a text behind. False with an error.
bool readText(const PQuantModel *model, const char *path, TokenList &tokens,
              Text &error);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_TOKENS_H
