//===- JSONReader.cpp - Checked access to JSON values ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JSONReader.h"

#include <limits>

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

/// The largest programs have some ten thousand nodes, of 2 kB each.
static constexpr size_t maxLength = size_t(128) << 20;
/// LLVM's parser recurses; what exporters write is less than 20 deep.
static constexpr unsigned maxDepth = 100;

/// How deep brackets nest outside of strings.
static unsigned getDepth(StringRef text) {
  unsigned depth = 0, deepest = 0;
  bool isInString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (isInString) {
      i += c == '\\';
      isInString = c != '"';
    } else if (c == '"') {
      isInString = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

Expected<json::Value> pt2::parseJSON(StringRef name, StringRef text) {
  if (text.size() > maxLength)
    return createStringError("'" + name + "': expected at most " +
                             Twine(maxLength) + " bytes of JSON, but got " +
                             Twine(text.size()));
  if (getDepth(text) > maxDepth)
    return createStringError("'" + name +
                             "': expected JSON that nests at "
                             "most " +
                             Twine(maxDepth) + " deep");
  Expected<json::Value> value = json::parse(text);
  if (!value)
    return createStringError("'" + name +
                             "' is not JSON: " + toString(value.takeError()));
  return value;
}

void JSONCursor::fail(const Twine &what) const {
  if (error->empty())
    *error = (path + ": " + what).str();
}

std::optional<JSONCursor> JSONCursor::find(StringRef key) const {
  if (hasFailed())
    return std::nullopt;
  const json::Object *object = value ? value->getAsObject() : nullptr;
  if (!object) {
    fail("expected an object");
    return std::nullopt;
  }
  const json::Value *member = object->get(key);
  if (!member || member->kind() == json::Value::Null)
    return std::nullopt;
  return JSONCursor(member, path + "." + key.str(), *error);
}

JSONCursor JSONCursor::operator[](StringRef key) const {
  if (std::optional<JSONCursor> member = find(key))
    return *member;
  fail("expected a member '" + key + "'");
  return JSONCursor(nullptr, path, *error);
}

std::vector<JSONCursor> JSONCursor::elements() const {
  std::vector<JSONCursor> result;
  if (hasFailed())
    return result;
  const json::Array *array = value->getAsArray();
  if (!array) {
    fail("expected an array");
    return result;
  }
  for (size_t i = 0; i < array->size(); ++i)
    result.emplace_back(&(*array)[i], path + "[" + std::to_string(i) + "]",
                        *error);
  return result;
}

std::vector<std::pair<std::string, JSONCursor>> JSONCursor::members() const {
  std::vector<std::pair<std::string, JSONCursor>> result;
  if (hasFailed())
    return result;
  const json::Object *object = value->getAsObject();
  if (!object) {
    fail("expected an object");
    return result;
  }
  for (const auto &[key, member] : *object)
    result.emplace_back(key.str(),
                        JSONCursor(&member, path + "." + key.str(), *error));
  // Objects are hash tables: their order means nothing, and differs.
  llvm::sort(result,
             [](const auto &a, const auto &b) { return a.first < b.first; });
  return result;
}

std::pair<std::string, JSONCursor> JSONCursor::alternative() const {
  std::vector<std::pair<std::string, JSONCursor>> all = members();
  if (all.size() == 1)
    return all.front();
  fail("expected one of several kinds of value, but got " + Twine(all.size()));
  return {"", JSONCursor(nullptr, path, *error)};
}

int64_t JSONCursor::getInt() const {
  if (hasFailed())
    return 0;
  if (std::optional<int64_t> number = value->getAsInteger())
    return *number;
  fail("expected an integer of 64 bits");
  return 0;
}

bool JSONCursor::getBool() const {
  if (hasFailed())
    return false;
  if (std::optional<bool> truth = value->getAsBoolean())
    return *truth;
  fail("expected true or false");
  return false;
}

std::string JSONCursor::getString() const {
  if (hasFailed())
    return "";
  if (std::optional<StringRef> text = value->getAsString())
    return text->str();
  fail("expected a string");
  return "";
}

double JSONCursor::getDouble() const {
  if (hasFailed())
    return 0;
  if (std::optional<double> number = value->getAsNumber())
    return *number;
  StringRef text = value->getAsString().value_or("");
  double infinity = std::numeric_limits<double>::infinity();
  if (text == "Infinity")
    return infinity;
  if (text == "-Infinity")
    return -infinity;
  if (text == "NaN")
    return std::numeric_limits<double>::quiet_NaN();
  fail("expected a number");
  return 0;
}
