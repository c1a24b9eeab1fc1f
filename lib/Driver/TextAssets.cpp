//===- TextAssets.cpp - What an artifact needs to write text --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TextAssets.h"
#include "OutputFile.h"

#include "pquant/Text/ChatTemplate.h"
#include "llvm/Support/Base64.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace pquant;

static std::string_view view(StringRef text) {
  return {text.data(), text.size()};
}

static FailureOr<std::string> readFile(StringRef flag, StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return reportError(flag + ": cannot read '" + path +
                       "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

static LogicalResult checkTokenizer(StringRef origin, StringRef file) {
  // What Hugging Face calls a tokenizer is JSON.
  bool isJSON = file.ltrim().starts_with("{");
  text::Tokenizer tokenizer;
  const char *error = tokenizer.parse(view(file));
  if (!error)
    return success();
  return reportError(origin + " is " +
                     (isJSON ? "JSON; python -m pquant.convert_tokenizer makes "
                               "a SentencePiece model of a tokenizer.json"
                             : error));
}

static LogicalResult checkTemplate(StringRef name, StringRef file) {
  text::ChatTemplate chat;
  int line = 0;
  const char *error = chat.parse(view(file), line);
  if (!error)
    return success();
  std::string place = line ? ":" + std::to_string(line) : std::string();
  return reportError("--chat-template: " + name + place + ": " + error);
}

LogicalResult TextAssets::read(const CompilerOptions &options) {
  addsBegin = options.addsBegin;
  if (!options.tokenizer.empty()) {
    FailureOr<std::string> file = readFile("--tokenizer", options.tokenizer);
    if (failed(file) || failed(checkTokenizer(
                            "--tokenizer: '" + options.tokenizer + "'", *file)))
      return failure();
    tokenizer = std::move(*file);
  }
  if (options.chatTemplate.empty())
    return success();
  std::string_view builtin = text::findBuiltinTemplate(options.chatTemplate);
  if (!builtin.empty()) {
    chatTemplate = builtin;
    return success();
  }
  if (!StringRef(options.chatTemplate).contains('.') &&
      !StringRef(options.chatTemplate).contains('/'))
    return reportError("--chat-template expected a file or one of " +
                       Twine(text::builtinTemplateNames) + ", but got '" +
                       options.chatTemplate + "'");
  auto file = readFile("--chat-template", options.chatTemplate);
  if (failed(file) || failed(checkTemplate(options.chatTemplate, *file)))
    return failure();
  chatTemplate = std::move(*file);
  return success();
}

LogicalResult
TextAssets::readMetadata(const llvm::StringMap<std::string> &metadata) {
  auto found = metadata.find("pquant.tokenizer.model");
  if (found == metadata.end() ||
      metadata.lookup("pquant.tokenizer.kind") != "sentencepiece")
    return success();
  std::vector<char> bytes;
  if (llvm::Error error = llvm::decodeBase64(found->second, bytes))
    return reportError("the tokenizer in the model's metadata: " +
                       llvm::toString(std::move(error)));
  tokenizer.assign(bytes.begin(), bytes.end());
  isFromMetadata = true;
  return checkTokenizer("the tokenizer in the model's metadata", tokenizer);
}

LogicalResult TextAssets::finish(const CompilerOptions &options) const {
  if (!addsBegin && chatTemplate.empty())
    return success();
  StringRef flag = addsBegin ? "--bos" : "--chat-template";
  if (tokenizer.empty())
    return reportError(flag + " needs --tokenizer");
  text::Tokenizer parsed;
  (void)parsed.parse(view(tokenizer));
  if (addsBegin && parsed.begin() < 0)
    return reportError("--bos: the tokenizer has no begin-of-sequence token");
  return success();
}

LogicalResult TextAssets::matchModel(const ModelInterface &model) {
  if (tokenizer.empty())
    return success();
  for (const EntryInterface &entry : model.entries) {
    if (entry.name != "decode" || entry.states.empty())
      continue;
    text::Tokenizer parsed;
    (void)parsed.parse(view(tokenizer));
    int64_t vocabulary = entry.outputs.front().sizes.back();
    if (parsed.size() <= vocabulary)
      return success();
    return reportError("--tokenizer: expected at most the model's " +
                       Twine(vocabulary) + " tokens, but got " +
                       Twine(parsed.size()));
  }
  if (isFromMetadata && !addsBegin && chatTemplate.empty()) {
    tokenizer.clear();
    return success();
  }
  return reportError(
      "the model has no entry point 'decode', so it cannot write text; export "
      "it with past keys and values (--opt-report says why caches were not "
      "recognised)");
}
