//===- Select.cpp - Which array of a file is which tensor -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Names come first: "in0" may be the real name of an input.
//
//===----------------------------------------------------------------------===//

#include "Select.h"

#include <cstring>

using namespace pquant;

/// The name that tensor `i` of `side` has in the file.
static Text nameInFile(const Side &side, bool byPosition, int32_t i) {
  Text name;
  if (byPosition)
    name.append("%s%d", side.prefix, i);
  else
    name.append("%s", side.specs[i].name);
  return name;
}

/// Whether the file names tensors of `side` by position: none by name.
static bool isPositional(const ArrayFile &file, const Side &side) {
  for (int32_t i = 0; i < side.count; ++i)
    if (file.find(side.specs[i].name))
      return false;
  return true;
}

static bool belongsTo(const ArrayFile &file, const char *name,
                      const Side &side) {
  bool byPosition = isPositional(file, side);
  for (int32_t i = 0; i < side.count; ++i)
    if (!strcmp(nameInFile(side, byPosition, i).data, name))
      return true;
  return false;
}

int32_t pquant::selectArrays(const ArrayFile &file, const char *path,
                             const Side &side, const Side &other,
                             PQuantTensor *selected, Text &error) {
  for (int32_t i = 0; i < file.count; ++i) {
    const char *name = file.arrays[i].name;
    if (belongsTo(file, name, side) || belongsTo(file, name, other))
      continue;
    error.append("'%s': the model has no %s '%s'", path, side.what, name);
    if (side.count)
      error.append("; expected '%s' or '%s0'", side.specs[0].name, side.prefix);
    return -1;
  }
  bool byPosition = isPositional(file, side);
  int32_t found = 0;
  for (int32_t i = 0; i < side.count; ++i) {
    Text name = nameInFile(side, byPosition, i);
    const PQuantTensor *array = file.find(name.data);
    if (!array)
      continue;
    selected[found] = *array;
    selected[found++].name = side.specs[i].name;
  }
  return found;
}
