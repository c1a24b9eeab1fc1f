//===- Chat.cpp - A conversation ------------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What was said stays in the session; each line adds its own tokens only. With
// a chat template, these are what closes the answer before, the line as the
// user's message and what opens the next answer.
//
//===----------------------------------------------------------------------===//

#include "Generate.h"

#include "pquant/Text/ChatTemplate.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using namespace pquant;
using text::Buffer;
using text::ChatTemplate;

namespace {
/// The tokens of one turn after the other.
class Conversation {
public:
  Conversation(Writer &writer, const Options &options)
      : writer(writer), options(options) {}
  /// Reads the model's template, if it has one; false when it is malformed.
  bool open(const char *file);
  /// The tokens that `line` adds; false when memory runs out.
  bool next(std::string_view line, Buffer<int64_t> &tokens);
  void restart() { isFirst = true; }
  bool hasTemplate = false;
  int64_t stop = -1; ///< the token that ends an answer, beside the end token

private:
  std::string_view part(ChatTemplate::Part which) const {
    return view(chat.parts[which]);
  }
  Writer &writer;
  const Options &options;
  ChatTemplate chat;
  bool isFirst = true;
};
} // namespace

bool Conversation::open(const char *file) {
  int line;
  hasTemplate = file;
  if (!file)
    return true;
  if (chat.parse(file, line))
    return false;
  stop = writer.getTokenizer()->impl.matchSpecial(
      part(ChatTemplate::AssistantSuffix));
  return true;
}

bool Conversation::next(std::string_view line, Buffer<int64_t> &tokens) {
  int64_t begin = pquant_begin_token(writer.getTokenizer());
  if (isFirst && begin >= 0)
    tokens.append(begin);
  bool starts = isFirst;
  isFirst = false;
  if (!hasTemplate)
    return writer.tokenize(line, tokens);
  Buffer<int32_t> ids;
  text::MessageWriter message(writer.getTokenizer()->impl, ids);
  if (starts) {
    message.addTemplate(part(ChatTemplate::Begin));
    if (options.system) {
      message.addTemplate(part(ChatTemplate::SystemPrefix));
      message.addMessage(options.system);
      message.addTemplate(part(ChatTemplate::SystemSuffix));
    }
  } else {
    message.addTemplate(part(ChatTemplate::AssistantSuffix));
  }
  message.addTemplate(part(ChatTemplate::UserPrefix));
  message.addMessage(line);
  message.addTemplate(part(ChatTemplate::UserSuffix));
  message.addTemplate(part(ChatTemplate::AssistantPrefix));
  bool isGood = message.finish();
  for (int32_t id : ids)
    tokens.append(id);
  return isGood && !tokens.failed;
}

/// Reads a line without its end; false at the end of the input.
static bool readLine(Buffer<char> &line) {
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
    fputs("> ", stdout);
    fflush(stdout);
  }
  line.clear();
  int c;
  while ((c = getchar()) != EOF && c != '\n')
    line.append(char(c));
  return c != EOF || line.size;
}

int pquant::converse(Writer &writer, const Options &options,
                     PQuantModel *model) {
  Conversation conversation(writer, options);
  if (!conversation.open(pquant_get_descriptor(model)->chatTemplate))
    return writer.fail("the model's chat template is malformed");
  if (options.system && !conversation.hasTemplate)
    return writer.fail("--system needs a model with a chat template "
                       "(pquant-compile --chat-template)");
  constexpr int64_t usualContext = 4096;
  if (int code = writer.start(usualContext))
    return code;
  Buffer<char> line;
  while (readLine(line)) {
    if (!line.size)
      continue;
    if (view(line) == "/reset") {
      if (int code = writer.reset())
        return code;
      conversation.restart();
      continue;
    }
    Buffer<int64_t> tokens;
    if (!conversation.next(view(line), tokens))
      return writer.fail("out of memory");
    if (int code = writer.write(tokens, /*echoes=*/false, conversation.stop))
      return code;
  }
  return 0;
}
