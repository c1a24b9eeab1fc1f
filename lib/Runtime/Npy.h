//===- Npy.h - The header of a NumPy array file -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A .npy file is the magic "\x93NUMPY", a version, the length of a Python
// dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, the
// dictionary, and the data. Files are hostile: nothing is trusted.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_NPY_H
#define PQUANT_RUNTIME_NPY_H

#include "Text.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// What a header says.
struct NpyHeader {
  int32_t dtype = 0;
  bool fortranOrder = false;
  int32_t rank = 0;
  int64_t sizes[PQUANT_MAX_RANK] = {};
  int64_t dataBytes = 0; ///< of all elements
};

/// The bytes before the dictionary's length is known: magic, version and the
/// longest length field.
constexpr int kNpyPrefix = 12;

/// Reads the first kNpyPrefix bytes. Where the dictionary starts and how long
/// it is; false with a reason when this is no .npy file.
bool parseNpyPrefix(const unsigned char *bytes, int64_t &dictionaryAt,
                    int64_t &dictionaryBytes, Text &reason);

/// Reads the dictionary; false with a reason.
bool parseNpyDictionary(const char *text, int64_t length, NpyHeader &header,
                        Text &reason);

/// Longest header that formatNpyHeader writes.
constexpr int kMaxNpyHeader = 512;

/// Writes everything before the data of `tensor`; returns its length.
int formatNpyHeader(const PQuantTensor &tensor, char (&buffer)[kMaxNpyHeader]);

} // namespace pquant

#endif // PQUANT_RUNTIME_NPY_H
