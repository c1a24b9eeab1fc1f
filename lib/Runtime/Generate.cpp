//===- Generate.cpp - Write text with a session ---------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generate.h"
#include "Clock.h"
#include "Text.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace pquant;
using text::Buffer;

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

int Writer::fail(const char *message) const {
  fprintf(stderr, "%s: error: %s\n", options.program, message);
  return 1;
}

Writer::~Writer() {
  pquant_free_text_stream(stream);
  pquant_free_sampler(sampler);
  pquant_free_session(session);
  pquant_free_tokenizer(tokenizer);
}

int Writer::open() {
  if (pquant_load_weights(model, nullptr) != PQUANT_OK)
    return failed();
  if (!pquant_get_descriptor(model)->tokenizer && options.tokens)
    return 0;
  if (pquant_create_tokenizer(model, &tokenizer) != PQUANT_OK ||
      pquant_create_text_stream(tokenizer, &stream) != PQUANT_OK)
    return failed();
  return 0;
}

/// The number of logits of the entry point 'decode'.
static int64_t vocabularyOf(const PQuantModel *model) {
  int32_t index;
  if (pquant_find_entry(model, "decode", &index) != PQUANT_OK)
    return 0;
  const PQuantTensorSpec &logits = pquant_get_entry(model, index)->outputs[0];
  return logits.rank ? logits.sizes[logits.rank - 1] : 0;
}

int Writer::start(int64_t wanted) {
  int64_t most = pquant_max_capacity(model);
  int64_t capacity = options.context > 0     ? int64_t(options.context)
                     : most && wanted > most ? most
                                             : wanted;
  PQuantSampling sampling = pquant_default_sampling();
  sampling.temperature = options.temperature;
  sampling.topK = int64_t(options.topK);
  sampling.topP = options.topP;
  sampling.repeatPenalty = float(options.repeatPenalty);
  sampling.repeatWindow = int32_t(options.repeatWindow);
  sampling.seed = options.seed ? strtoull(options.seed, nullptr, 10) : 0;
  if (pquant_create_session(model, capacity, &session) != PQUANT_OK ||
      pquant_create_sampler(&sampling, vocabularyOf(model), &sampler) !=
          PQUANT_OK)
    return failed();
  return 0;
}

int Writer::reset() {
  pending = -1;
  return pquant_session_rewind(session, 0) == PQUANT_OK ? 0 : failed();
}

bool Writer::tokenize(std::string_view text, Buffer<int64_t> &result) {
  Buffer<int32_t> ids;
  if (!tokenizer->impl.encode(text, ids))
    return false;
  for (int32_t id : ids)
    result.append(id);
  return !result.failed;
}

//===----------------------------------------------------------------------===//
// Print
//===----------------------------------------------------------------------===//

void Writer::printText(std::string_view text) {
  if (options.json)
    written.append(text);
  else
    fwrite(text.data(), 1, text.size(), stdout);
}

void Writer::print(int64_t token, bool isNew) {
  if (isNew)
    tokens.append(token);
  if (!options.tokens) {
    std::string_view text = pquant_stream_text(stream, token);
    printText(isNew ? stops.add(text) : text);
  } else if (isNew && !options.json) {
    printf(isFirst ? "%" PRId64 : ",%" PRId64, token);
  }
  isFirst &= !isNew;
}

static void printQuoted(std::string_view text) {
  putchar('"');
  for (char c : text) {
    if (c == '"' || c == '\\')
      printf("\\%c", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      printf("\\u%04x", static_cast<unsigned>(c));
    else
      putchar(c);
  }
  putchar('"');
}

static double perSecond(int64_t tokens, double seconds) {
  return seconds > 0 ? double(tokens) / seconds : 0;
}

void Writer::printJSON() {
  putchar('{');
  if (!options.tokens) {
    printf("\"text\": ");
    printQuoted(view(written));
    printf(", ");
  }
  printf("\"tokens\": [");
  for (size_t i = 0; i < tokens.size; ++i)
    printf(i ? ", %" PRId64 : "%" PRId64, tokens[i]);
  printf("], \"stop\": \"%s\", \"prompt_tokens\": %" PRId64
         ", \"prompt_seconds\": %.6f, \"decoded_tokens\": %" PRId64
         ", \"decode_seconds\": %.6f, \"tokens_per_second\": %.3f}\n",
         outcome.stop, outcome.promptTokens, outcome.promptSeconds,
         outcome.decoded, outcome.decodeSeconds,
         perSecond(outcome.decoded, outcome.decodeSeconds));
}

void Writer::printSpeed() const {
  fprintf(stderr,
          "prompt: %" PRId64 " tokens, %.1f tokens/s; decode: %" PRId64
          " tokens, %.1f tokens/s\n",
          total.promptTokens,
          perSecond(total.promptTokens, total.promptSeconds), total.decoded,
          perSecond(total.decoded, total.decodeSeconds));
}

//===----------------------------------------------------------------------===//
// Write
//===----------------------------------------------------------------------===//

/// Reads the prompt and draws the token that follows.
int Writer::prefill(const Buffer<int64_t> &prompt, int64_t &token) {
  double begin = clockSeconds();
  Buffer<int64_t> all;
  if (pending >= 0)
    all.append(pending);
  all.append(prompt.data, prompt.size);
  if (all.failed)
    return fail("out of memory");
  if (pquant_sampler_accept(sampler, prompt.data, int64_t(prompt.size)) !=
          PQUANT_OK ||
      pquant_session_sample(session, all.data, int64_t(all.size), sampler,
                            &token) != PQUANT_OK)
    return failed();
  pending = -1;
  outcome.promptSeconds = clockSeconds() - begin;
  outcome.promptTokens = int64_t(all.size);
  return 0;
}

int Writer::write(const Buffer<int64_t> &prompt, bool echoes, int64_t stop) {
  outcome = {};
  written.clear();
  tokens.clear();
  stops.start();
  isFirst = true;
  int64_t token;
  if (int code = prefill(prompt, token))
    return code;
  for (int64_t given : prompt)
    if (echoes && !options.tokens)
      print(given, /*isNew=*/false);

  int64_t end = tokenizer ? pquant_end_token(tokenizer) : -1;
  double begin = clockSeconds();
  while (true) {
    if (token == end || token == stop) {
      outcome.stop = "end";
      break;
    }
    print(token, /*isNew=*/true);
    pending = token;
    fflush(stdout);
    ++outcome.newTokens;
    if (stops.found) {
      outcome.stop = "stop";
      break;
    }
    if (outcome.newTokens == int64_t(options.count))
      break;
    if (pquant_session_position(session) == pquant_session_capacity(session)) {
      outcome.stop = "context";
      break;
    }
    if (pquant_session_sample(session, &token, 1, sampler, &token) != PQUANT_OK)
      return failed();
    pending = -1;
    ++outcome.decoded;
  }
  outcome.decodeSeconds = clockSeconds() - begin;
  if (stream) {
    printText(stops.add(pquant_stream_text(stream, -1)));
    printText(stops.finish());
  }
  if (options.json)
    printJSON();
  else
    putchar('\n');
  fflush(stdout);
  total.promptTokens += outcome.promptTokens;
  total.promptSeconds += outcome.promptSeconds;
  total.decoded += outcome.decoded;
  total.decodeSeconds += outcome.decodeSeconds;
  return 0;
}

//===----------------------------------------------------------------------===//
// The prompt
//===----------------------------------------------------------------------===//

/// Token ids by commas.
static bool parseTokens(const char *text, Buffer<int64_t> &tokens) {
  while (true) {
    char *end;
    bool isDigit = *text >= '0' && *text <= '9';
    tokens.append(int64_t(strtoll(text, &end, 10)));
    if (!isDigit || (*end && *end != ','))
      return false;
    if (!*end)
      return true;
    text = end + 1;
  }
}

static bool readFile(const char *path, Buffer<char> &text) {
  bool isInput = !strcmp(path, "-");
  FILE *file = isInput ? stdin : fopen(path, "rb");
  char block[4096];
  while (size_t count = file ? fread(block, 1, sizeof block, file) : 0)
    text.append(block, count);
  bool isGood = file && !ferror(file) && !text.failed;
  if (file && !isInput)
    fclose(file);
  return isGood;
}

static int readPrompt(Writer &writer, const Options &options,
                      Buffer<int64_t> &prompt) {
  Text error;
  if (options.tokens) {
    if (parseTokens(options.tokens, prompt))
      return 0;
    error.append("--tokens expected token ids by commas, but got '%s'",
                 options.tokens);
    return writer.fail(error.data);
  }
  Buffer<char> read;
  if (options.file && !readFile(options.file, read)) {
    error.append("could not read '%s'", options.file);
    return writer.fail(error.data);
  }
  std::string_view text = options.file ? view(read) : options.prompt;
  if (options.file && !text.empty() && text.back() == '\n')
    text.remove_suffix(1); // that ends the last line
  const PQuantTokenizer *tokenizer = writer.getTokenizer();
  int64_t begin = pquant_begin_token(tokenizer);
  if (begin >= 0)
    prompt.append(begin);
  if (!writer.tokenize(text, prompt))
    return writer.fail("out of memory");
  // A text out of nothing follows the end of another one.
  if (!prompt.size && pquant_end_token(tokenizer) >= 0)
    prompt.append(pquant_end_token(tokenizer));
  return prompt.size ? 0 : writer.fail("the prompt has no tokens");
}

int pquant::writeText(const Options &options, PQuantModel *model) {
  Writer writer(options, model);
  if (int code = writer.open())
    return code;
  int code;
  if (options.interactive) {
    code = converse(writer, options, model);
  } else {
    Buffer<int64_t> prompt;
    code = readPrompt(writer, options, prompt);
    if (!code)
      code = writer.start(int64_t(prompt.size) + int64_t(options.count));
    if (!code)
      code = writer.write(prompt, /*echoes=*/!options.json, /*stop=*/-1);
  }
  if (!code)
    writer.printSpeed();
  return code;
}
