//===- Tokenizer.cpp - Text to tokens by a SentencePiece model ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Text is normalised, cut into characters, and these are joined to pieces: for
// BPE, again and again the neighbours whose piece has the highest score, for
// unigram the pieces with the highest sum of scores (TokenizerModel.cpp).
//
//===----------------------------------------------------------------------===//

#include "pquant/Text/Tokenizer.h"
#include "pquant/Text/UTF8.h"

using namespace pquant::text;

/// What stands for a space in pieces: U+2581.
static constexpr std::string_view spaceMark = "\xE2\x96\x81";

static bool startsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         !memcmp(text.data(), prefix.data(), prefix.size());
}

static bool endsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         !memcmp(text.data() + text.size() - suffix.size(), suffix.data(),
                 suffix.size());
}

//===----------------------------------------------------------------------===//
// The character map: a double-array trie, then the texts that it leads to
//===----------------------------------------------------------------------===//

bool CharacterMap::parse(std::string_view table) {
  trie = targets = {};
  if (table.empty())
    return true;
  uint32_t size;
  if (table.size() < sizeof size)
    return false;
  memcpy(&size, table.data(), sizeof size);
  table.remove_prefix(sizeof size);
  if (size < sizeof(uint32_t) || size % sizeof(uint32_t) ||
      size >= table.size() || table.back())
    return false;
  trie = {table.data(), size};
  table.remove_prefix(size);
  targets = table; // ends with a zero byte
  return true;
}

/// A unit of the trie; one outside of it matches no byte.
uint32_t CharacterMap::unit(size_t index) const {
  uint32_t value = 1u << 31;
  if (index < trie.size() / sizeof value)
    memcpy(&value, trie.data() + index * sizeof value, sizeof value);
  return value;
}

/// Where the children of a unit are, relative to it.
static size_t offsetOf(uint32_t unit) {
  return size_t(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

size_t CharacterMap::match(std::string_view text,
                           std::string_view &mapped) const {
  if (trie.empty())
    return 0;
  size_t longest = 0, node = offsetOf(unit(0));
  for (size_t i = 0; i < text.size(); ++i) {
    node ^= static_cast<uint8_t>(text[i]);
    uint32_t entry = unit(node);
    if ((entry & (1u << 31 | 0xFF)) != static_cast<uint8_t>(text[i]))
      break;
    node ^= offsetOf(entry);
    if (!(entry >> 8 & 1))
      continue;
    size_t target = unit(node) & ~(1u << 31);
    if (target >= targets.size())
      break;
    longest = i + 1;
    const char *begin = targets.data() + target;
    mapped = {begin, strlen(begin)};
  }
  return longest;
}

//===----------------------------------------------------------------------===//
// Normalisation
//===----------------------------------------------------------------------===//

/// What the start of `text` becomes; returns how much of it that is.
size_t Tokenizer::normalizePrefix(std::string_view text,
                                  std::string_view &mapped) const {
  int32_t users = longest(text, kindBit(PieceKind::UserDefined));
  if (users >= 0) {
    mapped = pieces[size_t(users)].text;
    return mapped.size();
  }
  if (size_t length = characters.match(text, mapped))
    return length;
  if (checkCharacter(text) != Character::Valid) {
    mapped = kReplacement;
    return 1;
  }
  mapped = {text.data(), characterLength(text[0])};
  return mapped.size();
}

void Tokenizer::normalize(std::string_view text, Buffer<char> &result) const {
  std::string_view space = escapesSpaces ? spaceMark : " ", mapped;
  while (removesSpaces && !text.empty()) {
    size_t length = normalizePrefix(text, mapped);
    if (mapped != " ")
      break;
    text.remove_prefix(length);
  }
  if (text.empty())
    return;
  if (addsPrefix && !spaceIsSuffix)
    result.append(space);
  bool afterSpace = removesSpaces;
  while (!text.empty()) {
    text.remove_prefix(normalizePrefix(text, mapped));
    while (afterSpace && startsWith(mapped, " "))
      mapped.remove_prefix(1);
    for (char byte : mapped)
      result.append(byte == ' ' ? space : std::string_view(&byte, 1));
    if (!mapped.empty())
      afterSpace = removesSpaces && endsWith(mapped, " ");
  }
  while (removesSpaces && endsWith(view(result), space))
    result.size -= space.size();
  if (addsPrefix && spaceIsSuffix)
    result.append(space);
}

//===----------------------------------------------------------------------===//
// Byte-pair encoding
//===----------------------------------------------------------------------===//

/// A piece in the making: a range of the text in a list.
struct Tokenizer::Symbol {
  size_t begin, size; ///< size 0: joined to its left neighbour
  int32_t left, right;
  bool isFrozen;
};

/// Joins neighbours, the highest score first and the leftmost first among
/// equals.
class Tokenizer::Merger {
public:
  Merger(const Tokenizer &tokenizer, std::string_view text)
      : tokenizer(tokenizer), text(text) {}
  bool run(Buffer<int32_t> &ids);

private:
  struct Candidate {
    float score;
    int32_t left, right;
    size_t size;
    bool comesBefore(const Candidate &other) const {
      return score > other.score || (score == other.score && left < other.left);
    }
  };
  /// How an unused piece came about.
  struct Split {
    std::string_view piece;
    size_t leftSize;
  };
  void split();
  void offer(int32_t left, int32_t right);
  Candidate take();
  void merge(const Candidate &top);
  void addUnmerged(std::string_view piece, bool &afterUnknown,
                   Buffer<int32_t> &ids) const;

  const Tokenizer &tokenizer;
  std::string_view text;
  Buffer<Symbol> symbols;
  Buffer<Candidate> heap;
  Buffer<Split> splits;
};

void Tokenizer::Merger::split() {
  for (size_t at = 0; at < text.size();) {
    std::string_view rest(text.data() + at, text.size() - at);
    int32_t users = tokenizer.longest(rest, kindBit(PieceKind::UserDefined));
    size_t size = users >= 0 ? tokenizer.pieces[size_t(users)].text.size()
                             : characterLength(text[at]);
    if (size > rest.size())
      size = rest.size();
    auto number = int32_t(symbols.size);
    at += size;
    symbols.append({at - size, size, number - 1,
                    at < text.size() ? number + 1 : -1, users >= 0});
  }
}

void Tokenizer::Merger::offer(int32_t left, int32_t right) {
  if (left < 0 || right < 0 || symbols[size_t(left)].isFrozen ||
      symbols[size_t(right)].isFrozen)
    return;
  const Symbol &first = symbols[size_t(left)];
  std::string_view joined(text.data() + first.begin,
                          first.size + symbols[size_t(right)].size);
  if (joined.size() > tokenizer.longestPiece)
    return;
  int32_t id = tokenizer.findText(joined);
  if (id < 0)
    return;
  const Piece &piece = tokenizer.pieces[size_t(id)];
  if (piece.kind == PieceKind::Unused)
    splits.append({joined, first.size});
  heap.append({piece.score, left, right, joined.size()});
  for (size_t i = heap.size - 1; i && heap.data; i = (i - 1) / 2) {
    if (!heap[i].comesBefore(heap[(i - 1) / 2]))
      break;
    Candidate lower = heap[i];
    heap[i] = heap[(i - 1) / 2];
    heap[(i - 1) / 2] = lower;
  }
}

Tokenizer::Merger::Candidate Tokenizer::Merger::take() {
  Candidate top = heap[0], last = heap.back();
  --heap.size;
  size_t hole = 0;
  for (size_t child; (child = 2 * hole + 1) < heap.size; hole = child) {
    child += child + 1 < heap.size && heap[child + 1].comesBefore(heap[child]);
    if (!heap[child].comesBefore(last))
      break;
    heap[hole] = heap[child];
  }
  if (heap.size)
    heap[hole] = last;
  return top;
}

void Tokenizer::Merger::merge(const Candidate &top) {
  Symbol &left = symbols[size_t(top.left)];
  Symbol &right = symbols[size_t(top.right)];
  // One that lost a neighbour to another join is of another size.
  if (!left.size || !right.size || left.size + right.size != top.size)
    return;
  left.size = top.size;
  right.size = 0;
  left.right = right.right;
  if (right.right >= 0)
    symbols[size_t(right.right)].left = top.left;
  offer(left.left, top.left);
  offer(top.left, left.right);
}

/// Unused pieces serve on the way to longer ones; left over, they fall apart.
void Tokenizer::Merger::addUnmerged(std::string_view piece, bool &afterUnknown,
                                    Buffer<int32_t> &ids) const {
  int32_t id = tokenizer.find(piece);
  if (tokenizer.pieces[size_t(id)].kind == PieceKind::Unused)
    for (size_t i = splits.size; i-- > 0;)
      if (splits[i].piece == piece) {
        size_t size = splits[i].leftSize;
        addUnmerged({piece.data(), size}, afterUnknown, ids);
        addUnmerged({piece.data() + size, piece.size() - size}, afterUnknown,
                    ids);
        return;
      }
  tokenizer.addPiece(piece, id, afterUnknown, ids);
}

bool Tokenizer::Merger::run(Buffer<int32_t> &ids) {
  split();
  if (symbols.failed)
    return false;
  for (size_t i = 1; i < symbols.size; ++i)
    offer(int32_t(i) - 1, int32_t(i));
  while (heap.size)
    merge(take());
  if (heap.failed || splits.failed)
    return false;
  bool afterUnknown = false;
  for (int32_t i = 0; i >= 0; i = symbols[size_t(i)].right) {
    const Symbol &symbol = symbols[size_t(i)];
    addUnmerged({text.data() + symbol.begin, symbol.size}, afterUnknown, ids);
  }
  return !ids.failed;
}

//===----------------------------------------------------------------------===//
// Encode
//===----------------------------------------------------------------------===//

/// Appends a piece: bytes where it is unknown and the model has those; one
/// token for unknown pieces side by side.
void Tokenizer::addPiece(std::string_view text, int32_t id, bool &afterUnknown,
                         Buffer<int32_t> &ids) const {
  bool isUnknown = id == unknownId;
  if (isUnknown && byteFallback) {
    for (char byte : text)
      ids.append(byteIds[static_cast<uint8_t>(byte)]);
  } else if (!isUnknown || !afterUnknown) {
    ids.append(id);
  }
  afterUnknown = isUnknown;
}

bool Tokenizer::encode(std::string_view text, Buffer<int32_t> &ids) const {
  Buffer<char> normalized;
  normalize(text, normalized);
  if (normalized.failed)
    return false;
  if (!normalized.size)
    return true;
  if (modelKind == 2)
    return Merger(*this, view(normalized)).run(ids);
  return encodeUnigram(view(normalized), ids);
}

//===----------------------------------------------------------------------===//
// Decode
//===----------------------------------------------------------------------===//

/// Moves characters that are complete to `text`; all bytes when `all` is set.
void Detokenizer::flush(bool all, Buffer<char> &text) {
  while (numPending) {
    std::string_view bytes(pending, numPending);
    Character first = checkCharacter(bytes);
    if (first == Character::Incomplete && !all)
      return;
    size_t length = first == Character::Valid ? characterLength(pending[0]) : 1;
    text.append(first == Character::Valid ? std::string_view(pending, length)
                                          : kReplacement);
    numPending -= length;
    memmove(pending, pending + length, numPending);
    started = true;
  }
}

void Detokenizer::pushByte(char byte, Buffer<char> &text) {
  pending[numPending++] = byte;
  flush(/*all=*/false, text);
}

void Detokenizer::push(int32_t id, Buffer<char> &text) {
  if (id < 0 || id >= tokenizer.size())
    return;
  const Piece &piece = tokenizer.piece(id);
  if (piece.kind == PieceKind::Byte) {
    for (int byte = 0; byte < 256; ++byte)
      if (tokenizer.byteIds[byte] == id)
        return pushByte(char(byte), text);
  }
  flush(/*all=*/true, text);
  if (piece.kind == PieceKind::Control)
    return;
  std::string_view rest = piece.text;
  if (piece.kind == PieceKind::Unknown)
    rest = tokenizer.unknownSurface;
  // The space that encoding puts before a text, and those that it would remove.
  if (!started && (tokenizer.addsPrefix || tokenizer.removesSpaces) &&
      startsWith(rest, spaceMark)) {
    rest.remove_prefix(spaceMark.size());
    started = !tokenizer.removesSpaces;
  }
  size_t before = text.size;
  while (!rest.empty()) {
    bool isSpace = startsWith(rest, spaceMark);
    text.append(isSpace ? std::string_view(" ")
                        : std::string_view(rest.data(), 1));
    rest.remove_prefix(isSpace ? spaceMark.size() : 1);
  }
  started |= text.size > before;
}

void Detokenizer::finish(Buffer<char> &text) {
  flush(/*all=*/true, text);
  started = false;
}
