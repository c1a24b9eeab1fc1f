//===- ChatTemplate.h - What stands around messages -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A chat template is a list of strings, the texts before and after what system,
// user and assistant say; docs/TextGeneration.md describes the file.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TEXT_CHATTEMPLATE_H
#define PQUANT_TEXT_CHATTEMPLATE_H

#include "pquant/Text/Tokenizer.h"

namespace pquant::text {

struct ChatTemplate {
  enum Part {
    Begin,
    SystemPrefix,
    SystemSuffix,
    UserPrefix,
    UserSuffix,
    AssistantPrefix,
    AssistantSuffix,
    NumParts
  };
  Buffer<char> parts[NumParts];

  /// Null, or what is wrong with line `line` (from 1; 0: with all of it).
  const char *parse(std::string_view file, int &line);
};

/// The file of a template that has a name; empty for an unknown name.
std::string_view findBuiltinTemplate(std::string_view name);
/// Their names, for messages.
extern const char builtinTemplateNames[];

/// Makes tokens of a template's strings, in which the names of control and
/// user-defined pieces stand for those, and of messages, in which they do not.
/// What lies between two such pieces is tokenised as one text.
class MessageWriter {
public:
  MessageWriter(const Tokenizer &tokenizer, Buffer<int32_t> &ids)
      : tokenizer(tokenizer), ids(ids) {}
  void addTemplate(std::string_view text);
  void addMessage(std::string_view text) { pending.append(text); }
  /// Must come last. False when memory ran out.
  bool finish();

private:
  const Tokenizer &tokenizer;
  Buffer<int32_t> &ids;
  Buffer<char> pending;
  bool failed = false;
};

} // namespace pquant::text

#endif // PQUANT_TEXT_CHATTEMPLATE_H
