//===- UTF8.h - Characters in bytes -----------------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TEXT_UTF8_H
#define PQUANT_TEXT_UTF8_H

#include <cstdint>
#include <string_view>

namespace pquant::text {

/// What stands for bytes that are no character: U+FFFD.
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// The bytes of the character that starts with `lead`, 1 where none does.
inline size_t characterLength(char lead) {
  auto byte = static_cast<uint8_t>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

enum class Character { Valid, Invalid, Incomplete };

/// Whether `text`, which is not empty, starts with a well-formed character
/// (neither overlong nor a surrogate) of characterLength bytes. Incomplete: it
/// ends before that can be said.
Character checkCharacter(std::string_view text);

} // namespace pquant::text

#endif // PQUANT_TEXT_UTF8_H
