//===- Select.h - Which array of a file is which tensor ---------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One file may hold both the inputs and the expected outputs of a model. Arrays
// belong to tensors by name; when none has a tensor's name, by position: in0,
// in1, ... and out0, out1, ...
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_SELECT_H
#define PQUANT_RUNTIME_SELECT_H

#include "Npz.h"

namespace pquant {

/// One side of an entry point.
struct Side {
  const char *what;   ///< "input" or "output"
  const char *prefix; ///< of positional names
  const PQuantTensorSpec *specs;
  int32_t count;
};

inline Side inputsOf(const PQuantEntry &entry) {
  return {"input", "in", entry.inputs, entry.numInputs};
}
inline Side outputsOf(const PQuantEntry &entry) {
  return {"output", "out", entry.outputs, entry.numOutputs};
}

/// Sets `selected`, room for side.count tensors, to the arrays of `side` that
/// `file` holds, under their specs' names; returns how many, or -1 with an
/// error for an array that belongs to neither `side` nor `other`.
int32_t selectArrays(const ArrayFile &file, const char *path, const Side &side,
                     const Side &other, PQuantTensor *selected, Text &error);

} // namespace pquant

#endif // PQUANT_RUNTIME_SELECT_H
