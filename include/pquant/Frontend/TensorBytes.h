//===- TensorBytes.h - Contents of a stored tensor --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_TENSORBYTES_H
#define PQUANT_FRONTEND_TENSORBYTES_H

#include "llvm/ADT/ArrayRef.h"

#include <memory>

namespace pquant {

/// The bytes of a tensor, and who keeps them alive.
struct TensorBytes {
  llvm::ArrayRef<char> bytes;
  std::shared_ptr<const void> owner;
  /// They are a file's, mapped for reading: memory that can be given back as
  /// soon as nobody reads them.
  bool isMapped = false;
};

} // namespace pquant

#endif // PQUANT_FRONTEND_TENSORBYTES_H
