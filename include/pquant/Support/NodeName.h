//===- NodeName.h - What an operation is called -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Frontends keep the names of a model's nodes in locations; reports, profiles
// and the artifact's own list of layers take them from there.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_SUPPORT_NODENAME_H
#define PQUANT_SUPPORT_NODENAME_H

#include "pquant/Support/LLVM.h"

#include <string>

namespace pquant {

/// The names of the nodes that an operation came from, joined by "+"; empty
/// when there is none.
std::string getNodeName(Location location);

} // namespace pquant

#endif // PQUANT_SUPPORT_NODENAME_H
