//===- ChatTemplate.cpp - What stands around messages ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Text/ChatTemplate.h"

using namespace pquant::text;

//===----------------------------------------------------------------------===//
// Built-in templates
//===----------------------------------------------------------------------===//

const char pquant::text::builtinTemplateNames[] = "chatml, llama2, plain, zephyr";

namespace {
struct Builtin {
  std::string_view name, file;
};
} // namespace

static constexpr Builtin builtins[] = {
    {"chatml", "system.prefix = \"<|im_start|>system\\n\"\n"
               "system.suffix = \"<|im_end|>\\n\"\n"
               "user.prefix = \"<|im_start|>user\\n\"\n"
               "user.suffix = \"<|im_end|>\\n\"\n"
               "assistant.prefix = \"<|im_start|>assistant\\n\"\n"
               "assistant.suffix = \"<|im_end|>\\n\"\n"},
    {"llama2", "begin = \"[INST] \"\n"
               "system.prefix = \"<<SYS>>\\n\"\n"
               "system.suffix = \"\\n<</SYS>>\\n\\n\"\n"
               "user.prefix = \"\"\n"
               "user.suffix = \" [/INST]\"\n"
               "assistant.suffix = \"</s><s>[INST] \"\n"},
    {"plain", "system.suffix = \"\\n\"\n"
              "user.prefix = \"User: \"\n"
              "user.suffix = \"\\n\"\n"
              "assistant.prefix = \"Assistant:\"\n"
              "assistant.suffix = \"\\n\"\n"},
    {"zephyr", "system.prefix = \"<|system|>\\n\"\n"
               "system.suffix = \"</s>\\n\"\n"
               "user.prefix = \"<|user|>\\n\"\n"
               "user.suffix = \"</s>\\n\"\n"
               "assistant.prefix = \"<|assistant|>\\n\"\n"
               "assistant.suffix = \"</s>\\n\"\n"},
};

std::string_view pquant::text::findBuiltinTemplate(std::string_view name) {
  for (const Builtin &builtin : builtins)
    if (builtin.name == name)
      return builtin.file;
  return {};
}

//===----------------------------------------------------------------------===//
// Parse
//===----------------------------------------------------------------------===//

/// In the order of ChatTemplate::Part.
static constexpr std::string_view partNames[] = {
    "begin",       "system.prefix",    "system.suffix",   "user.prefix",
    "user.suffix", "assistant.prefix", "assistant.suffix"};

static bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static std::string_view trim(std::string_view text) {
  while (!text.empty() && isBlank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && isBlank(text.back()))
    text.remove_suffix(1);
  return text;
}

/// What comes before `mark`, which is removed with it.
static std::string_view takeUntil(std::string_view &text, char mark) {
  size_t length = 0;
  while (length < text.size() && text[length] != mark)
    ++length;
  std::string_view taken(text.data(), length);
  text.remove_prefix(length < text.size() ? length + 1 : length);
  return taken;
}

/// A string in quotation marks with \n, \t, \" and \\.
static const char *parseString(std::string_view text, Buffer<char> &value) {
  static constexpr char escaped[] = "nt\"\\", meant[] = "\n\t\"\\";
  if (text.size() < 2 || text.front() != '"' || text.back() != '"')
    return "expected a string in quotation marks after '='";
  text.remove_prefix(1);
  text.remove_suffix(1);
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text.front() == '"')
      return "expected \\\" for a quotation mark inside a string";
    if (text.front() != '\\') {
      value.append(text.front());
      continue;
    }
    text.remove_prefix(1);
    const char *found =
        text.empty() || !text.front() ? nullptr : strchr(escaped, text.front());
    if (!found)
      return "expected \\n, \\t, \\\" or \\\\ in a string";
    value.append(meant[found - escaped]);
  }
  return value.failed ? "out of memory" : nullptr;
}

static bool isJinja(std::string_view file) {
  for (size_t i = 0; i + 1 < file.size(); ++i)
    if (file[i] == '{' && (file[i + 1] == '%' || file[i + 1] == '{'))
      return true;
  return false;
}

const char *ChatTemplate::parse(std::string_view file, int &line) {
  line = 0;
  if (isJinja(file))
    return "a Jinja template is a program and is not supported; expected lines "
           "such as user.prefix = \"<|user|>\\n\"";
  bool isSet[NumParts] = {};
  while (!file.empty()) {
    std::string_view value = trim(takeUntil(file, '\n'));
    ++line;
    if (value.empty() || value.front() == '#')
      continue;
    std::string_view name = trim(takeUntil(value, '='));
    int part = 0;
    while (part < NumParts && partNames[part] != name)
      ++part;
    if (part == NumParts)
      return "expected begin, system.prefix, system.suffix, user.prefix, "
             "user.suffix, assistant.prefix or assistant.suffix, then '='";
    if (isSet[part])
      return "this string is given twice";
    isSet[part] = true;
    if (const char *error = parseString(trim(value), parts[part]))
      return error;
  }
  line = 0;
  return isSet[UserPrefix] || isSet[AssistantPrefix]
             ? nullptr
             : "expected user.prefix or assistant.prefix";
}

//===----------------------------------------------------------------------===//
// Messages to tokens
//===----------------------------------------------------------------------===//

bool MessageWriter::finish() {
  failed |= pending.failed || !tokenizer.encode(view(pending), ids);
  pending.clear();
  return !failed && !ids.failed;
}

void MessageWriter::addTemplate(std::string_view text) {
  while (!text.empty()) {
    int32_t special = tokenizer.matchSpecial(text);
    if (special < 0) {
      pending.append(text.front());
      text.remove_prefix(1);
      continue;
    }
    finish();
    ids.append(special);
    text.remove_prefix(tokenizer.piece(special).text.size());
  }
}
