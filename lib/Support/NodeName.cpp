//===- NodeName.cpp - What an operation is called -------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads names out of nested locations.
//
//===----------------------------------------------------------------------===//

#include "pquant/Support/NodeName.h"

using namespace mlir;
using namespace pquant;

std::string pquant::getNodeName(Location location) {
  if (auto name = dyn_cast<NameLoc>(location))
    return name.getName().str();
  std::string names;
  if (auto fused = dyn_cast<FusedLoc>(location))
    for (Location inner : fused.getLocations())
      if (std::string name = getNodeName(inner); !name.empty())
        names += (names.empty() ? "" : "+") + name;
  return names;
}
