//===- Archive.h - The zip archive around an exported program ---*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A .pt2 file is a zip archive whose entries are stored, so that their bytes
// can be used where the file is mapped. Nothing is trusted: every entry lies in
// the file, is not compressed, and has the checksum that the directory states.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_ARCHIVE_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_ARCHIVE_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <map>
#include <memory>

namespace pquant::pt2 {

class Archive {
public:
  /// Reads the directory of an archive in memory; `owner` keeps it there.
  static llvm::Expected<Archive> open(llvm::StringRef bytes,
                                      std::shared_ptr<const void> owner);

  /// The one folder that holds everything, after its marker `archive_format`.
  llvm::StringRef getRoot() const { return root; }
  /// Whether there is an entry of this name below the root.
  bool contains(llvm::StringRef path) const;
  /// The contents of an entry below the root.
  llvm::Expected<llvm::StringRef> read(llvm::StringRef path);
  /// Names below the root that begin with `prefix`, in order.
  std::vector<llvm::StringRef> list(llvm::StringRef prefix) const;
  const std::shared_ptr<const void> &getOwner() const { return owner; }

private:
  struct Entry {
    uint64_t offset, size;
    uint32_t checksum;
    bool isChecked = false;
  };

  llvm::Error readDirectory();
  llvm::Error addEntry(void *zip);
  llvm::Error findRoot();

  llvm::StringRef bytes;
  std::shared_ptr<const void> owner;
  std::string root;
  std::map<std::string, Entry> entries;
};

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_ARCHIVE_H
