//===- TextAPI.cpp - Text and tokens, for C -------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TextAPI.h"
#include "Error.h"

#include <cinttypes>
#include <new>

using namespace pquant;

struct PQuantTextStream {
  explicit PQuantTextStream(const text::Tokenizer &tokenizer)
      : detokenizer(tokenizer) {}
  text::Detokenizer detokenizer;
  text::Buffer<char> text;
};

//===----------------------------------------------------------------------===//
// Tokenizers
//===----------------------------------------------------------------------===//

PQuantStatus pquant_create_tokenizer_from_memory(const void *file,
                                                 uint64_t bytes,
                                                 PQuantTokenizer **result) {
  *result = nullptr;
  void *memory = malloc(sizeof(PQuantTokenizer));
  if (!memory)
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not open the tokenizer");
  auto *tokenizer = new (memory) PQuantTokenizer();
  if (const char *error = tokenizer->impl.parse(
          {static_cast<const char *>(file), size_t(bytes)})) {
    pquant_free_tokenizer(tokenizer);
    return setError(PQUANT_INVALID_ARGUMENT, "the tokenizer is %s", error);
  }
  *result = tokenizer;
  return PQUANT_OK;
}

PQuantStatus pquant_create_tokenizer(const PQuantModel *model,
                                     PQuantTokenizer **result) {
  *result = nullptr;
  const PQuantModelDescriptor *descriptor = pquant_get_descriptor(model);
  if (!descriptor->tokenizer)
    return setError(PQUANT_NOT_FOUND,
                    "the model was compiled without a tokenizer "
                    "(pquant-compile --tokenizer)");
  PQuantStatus status = pquant_create_tokenizer_from_memory(
      descriptor->tokenizer, descriptor->tokenizerBytes, result);
  if (status == PQUANT_OK)
    (*result)->addsBegin = descriptor->addsBegin;
  return status;
}

void pquant_free_tokenizer(PQuantTokenizer *tokenizer) {
  if (!tokenizer)
    return;
  tokenizer->~PQuantTokenizer();
  free(tokenizer);
}

int64_t pquant_tokenizer_size(const PQuantTokenizer *tokenizer) {
  return tokenizer->impl.size();
}

int64_t pquant_begin_token(const PQuantTokenizer *tokenizer) {
  return tokenizer->addsBegin ? tokenizer->impl.begin() : -1;
}

int64_t pquant_end_token(const PQuantTokenizer *tokenizer) {
  return tokenizer->impl.end();
}

PQuantStatus pquant_tokenize(const PQuantTokenizer *tokenizer, const char *text,
                             int64_t bytes, int64_t *tokens, int64_t capacity,
                             int64_t *count) {
  *count = 0;
  text::Buffer<int32_t> ids;
  if (!tokenizer->impl.encode({text, size_t(bytes)}, ids))
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not tokenize %" PRId64 " bytes",
                    bytes);
  *count = int64_t(ids.size);
  for (int64_t i = 0; i < *count && i < capacity; ++i)
    tokens[i] = ids[size_t(i)];
  if (*count <= capacity || !tokens)
    return PQUANT_OK;
  return setError(PQUANT_INVALID_ARGUMENT,
                  "expected room for %" PRId64 " tokens, but got %" PRId64,
                  *count, capacity);
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

PQuantStatus pquant_create_text_stream(const PQuantTokenizer *tokenizer,
                                       PQuantTextStream **result) {
  void *memory = malloc(sizeof(PQuantTextStream));
  *result = memory ? new (memory) PQuantTextStream(tokenizer->impl) : nullptr;
  return memory ? PQUANT_OK
                : setError(PQUANT_OUT_OF_MEMORY,
                           "out of memory: could not create a text stream");
}

void pquant_free_text_stream(PQuantTextStream *stream) {
  if (!stream)
    return;
  stream->~PQuantTextStream();
  free(stream);
}

const char *pquant_stream_text(PQuantTextStream *stream, int64_t token) {
  text::Buffer<char> &text = stream->text;
  text.clear();
  if (token < 0)
    stream->detokenizer.finish(text);
  else if (token == int32_t(token))
    stream->detokenizer.push(int32_t(token), text);
  text.append('\0');
  return text.size ? text.data : "";
}
