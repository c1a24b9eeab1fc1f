//===- BlockAccess.h - What a thread touches of memory ----------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How a loop nest, shared out between the threads of one block, walks a memref:
// two accesses of the same memory by the same walk are by the same thread.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_BLOCKACCESS_H
#define PQUANT_LIB_CONVERSION_BLOCKACCESS_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Value.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// The memory of which `memref` is a view.
Value getMemoryRoot(Value memref);

/// Whether two roots may be the same memory. Allocations and the arguments of
/// a function are memory of their own.
bool mayAlias(Value a, Value b);

struct BlockAccess {
  Value memory;        ///< the memref, without reshapes where `map` is null
  mlir::AffineMap map; ///< null: element i at point i
  llvm::SmallVector<int64_t>
      sizes; ///< of the loops; {count} where `map` is null
  Value root;

  /// Of the loops `sizes`, by `map`.
  BlockAccess(Value memref, mlir::AffineMap map, llvm::ArrayRef<int64_t> sizes);
  /// Of memory that any thread may touch at any place.
  static BlockAccess anywhere(Value memref);

  bool isUniform() const { return uniform; } ///< one element, for all threads
  /// Whether each thread touches the elements that it touches by `other`.
  bool isSame(const BlockAccess &other) const;
  /// Whether a store and a load, or two stores, may be two threads' to the same
  /// place. One element is stored by the first thread and loaded by all.
  bool mayCross(const BlockAccess &other, bool areStores) const {
    return mayTouch(other) && (!isSame(other) || (uniform && !areStores));
  }
  /// Whether both may have an element in common.
  bool mayTouch(const BlockAccess &other) const;

private:
  BlockAccess() = default;
  bool uniform = false;
};

/// Whether `lanes` elements at the points i * lanes on stand side by side in
/// memory, at an address that is a multiple of their size.
bool isVectorAccess(Value memref, mlir::AffineMap map,
                    llvm::ArrayRef<int64_t> sizes, int64_t lanes);

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_BLOCKACCESS_H
