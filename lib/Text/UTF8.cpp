//===- UTF8.cpp - Characters in bytes -------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Text/UTF8.h"

using namespace pquant::text;

Character pquant::text::checkCharacter(std::string_view text) {
  static constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80)
    return Character::Valid;
  if (lead < 0xC0 || lead >= 0xF8)
    return Character::Invalid;
  size_t length = characterLength(text[0]);
  uint32_t code = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size())
      return Character::Incomplete;
    auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0) != 0x80)
      return Character::Invalid;
    code = code << 6 | (byte & 0x3F);
  }
  bool isCharacter = code >= least[length] && code <= 0x10FFFF &&
                     (code < 0xD800 || code > 0xDFFF);
  return isCharacter ? Character::Valid : Character::Invalid;
}
