//===- Tokenizer.h - SentencePiece models -----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads a SentencePiece model file (unigram or BPE) in place and turns text
// into token ids and back, with the results of the SentencePiece library, whose
// static form Debian does not have. docs/TextGeneration.md says what is
// supported; test/Text compares the two.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TEXT_TOKENIZER_H
#define PQUANT_TEXT_TOKENIZER_H

#include "pquant/Text/Buffer.h"

#include <cstdint>

namespace pquant::text {

/// Kinds of pieces, as the file numbers them.
enum class PieceKind : uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6,
};

/// Bit `kind` for each.
using KindSet = uint32_t;
constexpr KindSet kindBit(PieceKind kind) {
  return 1u << static_cast<int>(kind);
}
/// What text can become by itself, and what it cannot.
constexpr KindSet kTextKinds = kindBit(PieceKind::Normal) |
                               kindBit(PieceKind::UserDefined) |
                               kindBit(PieceKind::Unused);
constexpr KindSet kReservedKinds = kindBit(PieceKind::Unknown) |
                                   kindBit(PieceKind::Control) |
                                   kindBit(PieceKind::Byte);

/// An entry of the vocabulary.
struct Piece {
  std::string_view text;
  float score;
  PieceKind kind;
};

/// The part of a SentencePiece normaliser that a table in the file defines.
class CharacterMap {
public:
  /// False when the table is malformed. Empty: nothing is mapped.
  bool parse(std::string_view table);
  /// The longest prefix of `text` that is mapped: its length, or 0; `mapped`
  /// gets what it becomes.
  size_t match(std::string_view text, std::string_view &mapped) const;

private:
  uint32_t unit(size_t index) const;
  std::string_view trie, targets;
};

class Tokenizer {
public:
  /// Reads the model in `file`, which must outlive the tokenizer. Null, or why
  /// the file cannot be used.
  const char *parse(std::string_view file);

  int32_t size() const { return int32_t(pieces.size); }
  const Piece &piece(int32_t id) const { return pieces[size_t(id)]; }
  /// -1 where there is none.
  int32_t begin() const { return beginId; }
  int32_t end() const { return endId; }

  /// Appends the tokens of `text`. False when memory runs out.
  bool encode(std::string_view text, Buffer<int32_t> &ids) const;
  /// The longest control or user-defined piece that `text` starts with; -1.
  int32_t matchSpecial(std::string_view text) const;

private:
  friend class Detokenizer;
  struct Symbol;
  class Merger;
  const char *parsePiece(std::string_view message);
  const char *parseTrainer(std::string_view message);
  const char *parseNormalizer(std::string_view message);
  const char *finish();
  const char *index();
  int32_t find(std::string_view text, uint64_t hash, KindSet kinds) const;
  /// Any piece, the unknown one when there is none.
  int32_t find(std::string_view text) const;
  /// One that text can become by itself; -1.
  int32_t findText(std::string_view text) const;
  int32_t longest(std::string_view text, KindSet kinds) const;
  size_t normalizePrefix(std::string_view text, std::string_view &mapped) const;
  void normalize(std::string_view text, Buffer<char> &result) const;
  bool encodeBPE(std::string_view text, Buffer<int32_t> &ids) const;
  bool encodeUnigram(std::string_view text, Buffer<int32_t> &ids) const;
  void addPiece(std::string_view text, int32_t id, bool &afterUnknown,
                Buffer<int32_t> &ids) const;

  Buffer<Piece> pieces;
  Buffer<int32_t> table; ///< hash table of id + 1
  CharacterMap characters;
  std::string_view unknownSurface = " \xE2\x81\x87 ";
  std::string_view unknownText = "<unk>", beginText = "<s>", endText = "</s>";
  size_t longestPiece = 0;
  KindSet kinds = 0; ///< those that occur
  int32_t unknownId = -1, beginId = -1, endId = -1;
  int32_t byteIds[256];
  float leastScore = 0, mostScore = 0; ///< of normal pieces
  uint64_t modelKind = 1;
  bool byteFallback = false, spaceIsSuffix = false;
  bool addsPrefix = true, removesSpaces = true, escapesSpaces = true;
};

/// Turns tokens into text as they come. A character whose bytes are spread over
/// several tokens comes out with the last of them.
class Detokenizer {
public:
  explicit Detokenizer(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}
  /// Appends the text that `id` completes.
  void push(int32_t id, Buffer<char> &text);
  /// Appends what the unfinished bytes become, and starts over.
  void finish(Buffer<char> &text);

private:
  void pushByte(char byte, Buffer<char> &text);
  void flush(bool all, Buffer<char> &text);
  const Tokenizer &tokenizer;
  char pending[4];
  size_t numPending = 0;
  bool started = false; ///< no leading space will be dropped any more
};

} // namespace pquant::text

#endif // PQUANT_TEXT_TOKENIZER_H
