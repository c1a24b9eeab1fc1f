//===- StopTexts.cpp - Texts that end a text ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StopTexts.h"

#include <cstring>

using namespace pquant;

/// Whether `text` ends with the first `length` characters of `stop`.
static bool endsWith(std::string_view text, std::string_view stop,
                     size_t length) {
  return !memcmp(text.data() + text.size() - length, stop.data(), length);
}

void StopTexts::start() {
  held.clear();
  shown = 0;
  found = false;
}

std::string_view StopTexts::add(std::string_view more) {
  if (found)
    return {};
  if (shown)
    memmove(held.data, held.data + shown, held.size - shown);
  held.size -= shown;
  held.append(more);
  // Up to the first stop text, or to what could become one.
  shown = held.size;
  std::string_view text = view(held);
  for (int i = 0; i < stops.count; ++i) {
    std::string_view stop = stops.items[i];
    size_t at = text.find(stop);
    if (at != text.npos) {
      found = true;
    } else {
      size_t length = stop.size() - 1;
      length = length < text.size() ? length : text.size();
      while (length && !endsWith(text, stop, length))
        --length;
      at = text.size() - length;
    }
    shown = at < shown ? at : shown;
  }
  return {held.data, shown};
}

std::string_view StopTexts::finish() {
  std::string_view rest = view(held);
  rest.remove_prefix(found ? rest.size() : shown);
  return rest;
}
