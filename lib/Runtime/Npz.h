//===- Npz.h - Named arrays in a NumPy archive ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An .npz file is a zip archive of .npy files; minizip reads and writes the
// archive. Every failure is one line that names the file.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_NPZ_H
#define PQUANT_RUNTIME_NPZ_H

#include "Text.h"

#include "pquant/Runtime/Runtime.h"

namespace pquant {

/// The arrays of a file, in its order, dense and row-major.
class ArrayFile {
public:
  ArrayFile() = default;
  ArrayFile(const ArrayFile &) = delete;
  ~ArrayFile();

  /// Adds an array and takes its name and data, which come from malloc; false
  /// when out of memory (they are freed).
  bool add(const PQuantTensor &tensor);
  /// The array of that name, or null.
  const PQuantTensor *find(const char *name) const;

  PQuantTensor *arrays = nullptr;
  int32_t count = 0;
};

/// Reads all arrays; false with an error.
bool readNpz(const char *path, ArrayFile &file, Text &error);

/// Writes named tensors, uncompressed like numpy.savez, to a temporary file
/// beside `path` that then replaces it; false with an error.
bool writeNpz(const char *path, const PQuantTensor *const *tensors,
              int32_t count, Text &error);

} // namespace pquant

#endif // PQUANT_RUNTIME_NPZ_H
