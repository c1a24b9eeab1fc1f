//===- Weights.h - The weight blob of an artifact ---------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes the constants that `pquant-collect-weights` placed.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_WEIGHTS_H
#define PQUANT_LIB_DRIVER_WEIGHTS_H

#include "ModelInterface.h"
#include "OutputFile.h"

namespace pquant {

/// Writes every global with a `pquant.offset` to its place, frees its data and
/// erases it. Returns the size of the blob.
FailureOr<uint64_t> writeWeights(ModuleOp module, raw_ostream &os);

/// Writes them to `file`, a weight file that an artifact at `artifact` maps;
/// fills in `location`. The file is complete but not kept.
LogicalResult writeWeightFile(ModuleOp module, OutputFile &file,
                              StringRef destination, StringRef artifact,
                              WeightLocation &location);

/// Copies the weights' file into the section that emitModelDescriptor left
/// room in, which one of the objects has.
LogicalResult fillWeightSection(ArrayRef<std::string> objects,
                                const WeightLocation &weights);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_WEIGHTS_H
