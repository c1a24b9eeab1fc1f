//===- GraphReader.h - Graphs of the schema to structures -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHREADER_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHREADER_H

#include "JSONReader.h"
#include "Program.h"

namespace pquant::pt2 {

/// One value of the union `Argument`, as an argument without a name.
Argument readArgument(const JSONCursor &json);
/// The same where the schema allows no list.
ArgumentItem readSingleArgument(const JSONCursor &json);
TensorMeta readTensorMeta(const JSONCursor &json);
/// A graph whose names are defined once, before they are read.
Graph readGraph(const JSONCursor &json);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHREADER_H
