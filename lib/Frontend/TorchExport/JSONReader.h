//===- JSONReader.h - Checked access to JSON values -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A cursor into a JSON document that knows where it is, and reads on with empty
// values after the first error: readers look like the schema, and ask for the
// error once at the end.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_JSONREADER_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_JSONREADER_H

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

namespace pquant::pt2 {

/// Parses a document of bounded size and depth.
llvm::Expected<llvm::json::Value> parseJSON(llvm::StringRef name,
                                            llvm::StringRef text);

class JSONCursor {
public:
  JSONCursor(const llvm::json::Value *value, std::string path,
             std::string &error)
      : value(value), path(std::move(path)), error(&error) {}

  /// A member that must be there.
  JSONCursor operator[](llvm::StringRef key) const;
  /// A member that may be missing or null.
  std::optional<JSONCursor> find(llvm::StringRef key) const;
  /// The elements of an array.
  std::vector<JSONCursor> elements() const;
  /// The members of an object, by name.
  std::vector<std::pair<std::string, JSONCursor>> members() const;
  /// The only member of a union: its kind and its value.
  std::pair<std::string, JSONCursor> alternative() const;

  int64_t getInt() const;
  bool getBool() const;
  std::string getString() const;
  /// A number, or one of the names that stand for infinities and NaN.
  double getDouble() const;

  /// Records what is wrong here, if nothing was before.
  void fail(const llvm::Twine &what) const;
  bool hasFailed() const { return !error->empty(); }

private:
  const llvm::json::Value *value;
  std::string path;
  std::string *error;
};

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_JSONREADER_H
