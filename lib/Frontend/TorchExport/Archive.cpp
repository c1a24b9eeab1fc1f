//===- Archive.cpp - The zip archive around an exported program -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// minizip reads the directory and compares it with the header of each entry,
// from memory. Contents never pass through it.
//
//===----------------------------------------------------------------------===//

#include "Archive.h"

#include "llvm/ADT/Twine.h"

#include <cstring>
#include <minizip/unzip.h>
#include <zlib.h>

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

/// More files than any model has, fewer than would take long to list.
static constexpr uint64_t maxEntries = uint64_t(1) << 20;
static constexpr size_t maxNameLength = 4096;

//===----------------------------------------------------------------------===//
// A file in memory, for minizip
//===----------------------------------------------------------------------===//

namespace {
struct MemoryFile {
  StringRef bytes;
  uint64_t position = 0;
};
} // namespace

static voidpf openMemory(voidpf opaque, const void *, int) { return opaque; }
static int closeMemory(voidpf, voidpf) { return 0; }
static int getMemoryError(voidpf, voidpf) { return 0; }
static ZPOS64_T tellMemory(voidpf, voidpf stream) {
  return static_cast<MemoryFile *>(stream)->position;
}

static uLong readMemory(voidpf, voidpf stream, void *buffer, uLong size) {
  auto &file = *static_cast<MemoryFile *>(stream);
  size = std::min<uint64_t>(size, file.bytes.size() - file.position);
  std::memcpy(buffer, file.bytes.data() + file.position, size);
  file.position += size;
  return size;
}

static long seekMemory(voidpf, voidpf stream, ZPOS64_T offset, int origin) {
  auto &file = *static_cast<MemoryFile *>(stream);
  uint64_t base = origin == ZLIB_FILEFUNC_SEEK_CUR   ? file.position
                  : origin == ZLIB_FILEFUNC_SEEK_END ? file.bytes.size()
                                                     : 0;
  if (offset > file.bytes.size() - base)
    return -1;
  file.position = base + offset;
  return 0;
}

//===----------------------------------------------------------------------===//
// The directory
//===----------------------------------------------------------------------===//

static Error notAnArchive() {
  return createStringError("not a torch.export archive: the bytes are "
                           "truncated or are not a zip file");
}

Error Archive::addEntry(void *zip) {
  unz_file_info64 info;
  std::string name(maxNameLength, '\0');
  if (unzGetCurrentFileInfo64(zip, &info, name.data(), name.size(), nullptr, 0,
                              nullptr, 0) != UNZ_OK ||
      info.size_filename >= maxNameLength)
    return notAnArchive();
  name.resize(info.size_filename);
  if (StringRef(name).ends_with("/"))
    return Error::success();
  auto fail = [&](const Twine &what) {
    return createStringError("archive entry '" + name + "' " + what);
  };
  if (info.flag & 1)
    return fail("is encrypted");
  if (info.compression_method != 0)
    return fail("is compressed; expected stored entries, as torch.export.save "
                "writes them");
  if (info.compressed_size != info.uncompressed_size)
    return fail("states two sizes: " + Twine(info.compressed_size) + " and " +
                Twine(info.uncompressed_size) + " bytes");
  if (unzOpenCurrentFile(zip) != UNZ_OK)
    return fail("has a header that differs from the archive's directory");
  uint64_t offset = unzGetCurrentFileZStreamPos64(zip);
  unzCloseCurrentFile(zip);
  if (offset > bytes.size() || info.compressed_size > bytes.size() - offset)
    return fail("ends after the end of the file");
  Entry entry{offset, info.compressed_size, static_cast<uint32_t>(info.crc)};
  if (!entries.emplace(name, entry).second)
    return fail("is there twice");
  return Error::success();
}

Error Archive::readDirectory() {
  MemoryFile file{bytes};
  zlib_filefunc64_def functions = {openMemory,     readMemory, nullptr,
                                   tellMemory,     seekMemory, closeMemory,
                                   getMemoryError, &file};
  unzFile opened = unzOpen2_64("", &functions);
  if (!opened)
    return notAnArchive();
  std::unique_ptr<void, int (*)(unzFile)> zip(opened, unzClose);
  unz_global_info64 info;
  if (unzGetGlobalInfo64(opened, &info) != UNZ_OK)
    return notAnArchive();
  if (info.number_entry > maxEntries)
    return createStringError("expected at most " + Twine(maxEntries) +
                             " archive entries, but got " +
                             Twine(info.number_entry));
  int status = unzGoToFirstFile(opened);
  for (uint64_t i = 0; i < info.number_entry; ++i) {
    if (status != UNZ_OK)
      return notAnArchive();
    if (Error error = addEntry(opened))
      return error;
    status = unzGoToNextFile(opened);
  }
  return Error::success();
}

/// Says which other kind of file an archive without our marker is.
static Error explainMissingRoot(bool hasProgram, bool hasPickle) {
  if (hasProgram)
    return createStringError(
        "the archive has the layout of torch 2.7 or earlier; load it with "
        "torch.export.load and save it again with torch 2.9 or later");
  if (hasPickle)
    return createStringError(
        "a file of torch.save or torch.jit.save holds no exported program; "
        "expected one of torch.export.save");
  return createStringError("not a torch.export archive: it has no entry "
                           "'archive_format'");
}

Error Archive::findRoot() {
  bool hasProgram = false, hasPickle = false;
  for (const auto &[name, entry] : entries) {
    auto [folder, rest] = StringRef(name).split('/');
    if (rest == "archive_format") {
      if (!root.empty())
        return createStringError("the archive has two roots, '" + root +
                                 "' and '" + folder.str() + "'");
      root = folder.str();
    }
    StringRef file = StringRef(name).rsplit('/').second;
    hasProgram |= StringRef(name).ends_with("serialized_exported_program.json");
    hasPickle |= file == "data.pkl" || file == "constants.pkl";
  }
  if (root.empty())
    return explainMissingRoot(hasProgram, hasPickle);
  return Error::success();
}

Expected<Archive> Archive::open(StringRef bytes,
                                std::shared_ptr<const void> owner) {
  Archive archive;
  archive.bytes = bytes;
  archive.owner = std::move(owner);
  if (Error error = archive.readDirectory())
    return std::move(error);
  if (Error error = archive.findRoot())
    return std::move(error);
  return std::move(archive);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

bool Archive::contains(StringRef path) const {
  return entries.count(root + "/" + path.str());
}

std::vector<StringRef> Archive::list(StringRef prefix) const {
  std::vector<StringRef> names;
  std::string begin = root + "/" + prefix.str();
  for (auto it = entries.lower_bound(begin);
       it != entries.end() && StringRef(it->first).starts_with(begin); ++it)
    names.push_back(StringRef(it->first).drop_front(root.size() + 1));
  return names;
}

/// zlib counts bytes in 32 bits.
static uint32_t computeChecksum(StringRef bytes) {
  uLong checksum = crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    StringRef part = bytes.take_front(size_t(1) << 30);
    checksum = crc32(checksum, reinterpret_cast<const Bytef *>(part.data()),
                     static_cast<uInt>(part.size()));
    bytes = bytes.drop_front(part.size());
  }
  return static_cast<uint32_t>(checksum);
}

Expected<StringRef> Archive::read(StringRef path) {
  auto it = entries.find(root + "/" + path.str());
  if (it == entries.end())
    return createStringError("the archive has no entry '" + path + "'");
  Entry &entry = it->second;
  StringRef contents = bytes.substr(entry.offset, entry.size);
  if (!entry.isChecked && computeChecksum(contents) != entry.checksum)
    return createStringError("archive entry '" + it->first +
                             "' is damaged: its checksum is wrong");
  entry.isChecked = true;
  return contents;
}
