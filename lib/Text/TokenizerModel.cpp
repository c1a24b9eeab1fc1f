//===- TokenizerModel.cpp - Read a SentencePiece model file ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file is a protocol buffer: pieces, how it was trained, how text is
// normalised. It is read once, without copying texts; all that it says is
// checked here, so that encoding and decoding need not.
//
//===----------------------------------------------------------------------===//

#include "pquant/Text/Tokenizer.h"
#include "pquant/Text/UTF8.h"

using namespace pquant::text;

//===----------------------------------------------------------------------===//
// Protocol buffers
//===----------------------------------------------------------------------===//

static constexpr char malformed[] = "not a SentencePiece model";

namespace {
/// One field of a message: bytes, or a number of 64 or 32 bits.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
};

/// The fields of a message, one after the other.
class Message {
public:
  explicit Message(std::string_view rest) : rest(rest) {}
  /// False at the end, and where the message is malformed.
  bool next(Field &field);
  bool failed = false;

private:
  bool readNumber(uint64_t &value);
  bool readFixed(size_t bytes, uint64_t &value);
  std::string_view rest;
};
} // namespace

bool Message::readNumber(uint64_t &value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    auto byte = static_cast<uint8_t>(rest[0]);
    rest.remove_prefix(1);
    value |= uint64_t(byte & 0x7F) << shift;
    if (byte < 0x80)
      return true;
  }
  return false;
}

bool Message::readFixed(size_t bytes, uint64_t &value) {
  if (rest.size() < bytes)
    return false;
  value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= uint64_t(static_cast<uint8_t>(rest[i])) << (8 * i);
  rest.remove_prefix(bytes);
  return true;
}

bool Message::next(Field &field) {
  if (rest.empty())
    return false;
  uint64_t key;
  failed = !readNumber(key);
  if (failed)
    return false;
  field = {};
  field.number = key >> 3;
  switch (key & 7) {
  case 0:
    failed = !readNumber(field.value);
    break;
  case 1:
    failed = !readFixed(8, field.value);
    break;
  case 5:
    failed = !readFixed(4, field.value);
    break;
  case 2:
    failed = !readNumber(field.value) || field.value > rest.size();
    if (!failed) {
      field.bytes = {rest.data(), size_t(field.value)};
      rest.remove_prefix(size_t(field.value));
    }
    break;
  default:
    failed = true;
  }
  return !failed;
}

static float asFloat(uint64_t bits) {
  auto word = static_cast<uint32_t>(bits);
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

//===----------------------------------------------------------------------===//
// The messages of a model
//===----------------------------------------------------------------------===//

const char *Tokenizer::parsePiece(std::string_view bytes) {
  Message message(bytes);
  Piece piece = {{}, 0, PieceKind::Normal};
  for (Field field; message.next(field);) {
    if (field.number == 1)
      piece.text = field.bytes;
    if (field.number == 2)
      piece.score = asFloat(field.value);
    if (field.number != 3)
      continue;
    if (field.value < 1 || field.value > 6)
      return malformed;
    piece.kind = PieceKind(field.value);
  }
  if (message.failed || piece.text.empty())
    return malformed;
  pieces.append(piece);
  return nullptr;
}

const char *Tokenizer::parseTrainer(std::string_view bytes) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    switch (field.number) {
    case 3:
      modelKind = field.value;
      break;
    case 24:
      spaceIsSuffix = field.value;
      break;
    case 35:
      byteFallback = field.value;
      break;
    case 44:
      unknownSurface = field.bytes;
      break;
    case 45:
      unknownText = field.bytes;
      break;
    case 46:
      beginText = field.bytes;
      break;
    case 47:
      endText = field.bytes;
      break;
    }
  }
  return message.failed ? malformed : nullptr;
}

const char *Tokenizer::parseNormalizer(std::string_view bytes) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    switch (field.number) {
    case 2:
      if (!characters.parse(field.bytes))
        return "a SentencePiece model with a malformed normaliser";
      break;
    case 3:
      addsPrefix = field.value;
      break;
    case 4:
      removesSpaces = field.value;
      break;
    case 5:
      escapesSpaces = field.value;
      break;
    }
  }
  return message.failed ? malformed : nullptr;
}

/// Whether a denormaliser changes text.
static bool hasTable(std::string_view bytes) {
  Message message(bytes);
  for (Field field; message.next(field);)
    if (field.number == 2 && !field.bytes.empty())
      return true;
  return false;
}

const char *Tokenizer::parse(std::string_view file) {
  Message message(file);
  for (Field field; message.next(field);) {
    const char *error = nullptr;
    if (field.number == 1)
      error = parsePiece(field.bytes);
    else if (field.number == 2)
      error = parseTrainer(field.bytes);
    else if (field.number == 3)
      error = parseNormalizer(field.bytes);
    else if (field.number == 5 && hasTable(field.bytes))
      error = "a SentencePiece model with a denormaliser, which is not "
              "supported";
    if (error)
      return error;
  }
  return message.failed || !pieces.size ? malformed : finish();
}

//===----------------------------------------------------------------------===//
// The vocabulary
//===----------------------------------------------------------------------===//

static constexpr uint64_t hashStart = 0xCBF29CE484222325;

static uint64_t extendHash(uint64_t hash, char byte) {
  return (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
}

static uint64_t hashText(std::string_view text) {
  uint64_t hash = hashStart;
  for (char byte : text)
    hash = extendHash(hash, byte);
  return hash;
}

/// Where a hash starts in a table of `size`, a power of two.
static size_t slotOf(uint64_t hash, size_t size) {
  return size_t(hash ^ hash >> 29) & (size - 1);
}

const char *Tokenizer::index() {
  size_t slots = 16;
  while (slots < 2 * pieces.size)
    slots *= 2;
  table.assignZero(slots);
  if (pieces.failed || table.failed)
    return "out of memory";
  for (size_t id = 0; id < pieces.size; ++id) {
    const Piece &piece = pieces[id];
    uint64_t hash = hashText(piece.text);
    KindSet bit = kindBit(piece.kind);
    if (find(piece.text, hash,
             bit & kTextKinds ? kTextKinds : kReservedKinds) >= 0)
      return "a SentencePiece model that has a piece twice";
    size_t slot = slotOf(hash, slots);
    while (table[slot])
      slot = (slot + 1) & (slots - 1);
    table[slot] = int32_t(id) + 1;
    kinds |= bit;
    if (piece.text.size() > longestPiece)
      longestPiece = piece.text.size();
  }
  return nullptr;
}

/// The byte of "<0x41>"; -1 for any other text.
static int parseByte(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  if (text.size() != 6 || memcmp(text.data(), "<0x", 3) || text[5] != '>')
    return -1;
  const void *high = memchr(digits, text[3], 16);
  const void *low = memchr(digits, text[4], 16);
  if (!high || !low)
    return -1;
  return int(static_cast<const char *>(high) - digits) * 16 +
         int(static_cast<const char *>(low) - digits);
}

const char *Tokenizer::finish() {
  if (modelKind != 1 && modelKind != 2)
    return "a SentencePiece model of words or characters; expected unigram or "
           "BPE";
  if (const char *error = index())
    return error;
  for (int32_t &id : byteIds)
    id = -1;
  bool isFirst = true;
  for (size_t id = 0; id < pieces.size; ++id) {
    const Piece &piece = pieces[id];
    if (piece.kind == PieceKind::Unknown)
      unknownId = int32_t(id);
    if (piece.kind == PieceKind::Byte) {
      int byte = parseByte(piece.text);
      if (byte < 0)
        return "a SentencePiece model with a malformed byte piece";
      byteIds[byte] = int32_t(id);
    }
    if (piece.kind != PieceKind::Normal)
      continue;
    if (isFirst || piece.score < leastScore)
      leastScore = piece.score;
    if (isFirst || piece.score > mostScore)
      mostScore = piece.score;
    isFirst = false;
  }
  if (unknownId < 0)
    return "a SentencePiece model without an unknown piece";
  if (byteFallback)
    for (int32_t id : byteIds)
      if (id < 0)
        return "a SentencePiece model with byte fallback but not all bytes";
  beginId = find(beginText, hashText(beginText), kindBit(PieceKind::Control));
  endId = find(endText, hashText(endText), kindBit(PieceKind::Control));
  return nullptr;
}

int32_t Tokenizer::find(std::string_view text, uint64_t hash,
                        KindSet wanted) const {
  size_t slot = slotOf(hash, table.size);
  for (; table[slot]; slot = (slot + 1) & (table.size - 1)) {
    const Piece &piece = pieces[size_t(table[slot]) - 1];
    if (piece.text == text && (kindBit(piece.kind) & wanted))
      return table[slot] - 1;
  }
  return -1;
}

int32_t Tokenizer::findText(std::string_view text) const {
  return find(text, hashText(text), kTextKinds);
}

int32_t Tokenizer::find(std::string_view text) const {
  int32_t id = find(text, hashText(text), kReservedKinds);
  if (id < 0)
    id = findText(text);
  return id < 0 ? unknownId : id;
}

int32_t Tokenizer::longest(std::string_view text, KindSet wanted) const {
  if (!(kinds & wanted))
    return -1;
  uint64_t hash = hashStart;
  int32_t found = -1;
  for (size_t i = 0; i < text.size() && i < longestPiece; ++i) {
    hash = extendHash(hash, text[i]);
    int32_t id = find({text.data(), i + 1}, hash, wanted);
    if (id >= 0)
      found = id;
  }
  return found;
}

int32_t Tokenizer::matchSpecial(std::string_view text) const {
  return longest(text,
                 kindBit(PieceKind::Control) | kindBit(PieceKind::UserDefined));
}

//===----------------------------------------------------------------------===//
// Encoding by the vocabulary's scores
//===----------------------------------------------------------------------===//

namespace {
/// The best tokens that end at one place of a text.
struct Place {
  int32_t id;
  float score;
  size_t begin; ///< plus 1; 0 where none ends
};
} // namespace

/// The tokens of the greatest sum of scores. Characters that no piece has score
/// 10 below the least piece; user-defined pieces always win.
bool Tokenizer::encodeUnigram(std::string_view text,
                              Buffer<int32_t> &ids) const {
  Buffer<Place> places;
  places.assignZero(text.size() + 1);
  if (places.failed)
    return false;
  auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    double sum = score + double(places[begin].score);
    if (!places[end].begin || sum > double(places[end].score))
      places[end] = {id, float(sum), begin + 1};
  };
  const float unknownScore = leastScore - 10.0f;
  for (size_t at = 0; at < text.size();) {
    size_t left = text.size() - at, length = characterLength(text[at]);
    if (length > left)
      length = left;
    bool hasCharacter = false;
    uint64_t hash = hashStart;
    for (size_t n = 1; n <= left && n <= longestPiece; ++n) {
      hash = extendHash(hash, text[at + n - 1]);
      int32_t id = find({text.data() + at, n}, hash, kTextKinds);
      if (id < 0 || pieces[size_t(id)].kind == PieceKind::Unused)
        continue;
      bool isUsers = pieces[size_t(id)].kind == PieceKind::UserDefined;
      offer(at, at + n, id,
            isUsers ? double(float(n) * mostScore) - 0.1
                    : double(pieces[size_t(id)].score));
      hasCharacter |= n == length;
    }
    if (!hasCharacter) {
      float sum = unknownScore + places[at].score;
      offer(at, at + length, unknownId, double(sum) - double(places[at].score));
    }
    at += length;
  }
  // Backwards from the end, then turned around.
  Buffer<size_t> begins;
  for (size_t end = text.size(); end; end = places[end].begin - 1)
    begins.append(end);
  bool afterUnknown = false;
  for (size_t i = begins.size; i-- > 0;) {
    const Place &place = places[begins[i]];
    size_t begin = place.begin - 1;
    addPiece({text.data() + begin, begins[i] - begin}, place.id, afterUnknown,
             ids);
  }
  return !begins.failed && !ids.failed;
}
