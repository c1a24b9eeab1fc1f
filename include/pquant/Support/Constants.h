//===- Constants.h - Reading and making large constants --------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one place that knows how tensor constants are stored. A constant is
// either a DenseElementsAttr (inline) or a DenseResourceElementsAttr (a blob
// that may point into a mapped file). Elements are row-major and little-endian.
//
// i1 elements take ONE BIT each in both, row-major, least significant bit
// first, rows NOT padded: element (n, k) of an N x K matrix is bit n * K + k,
// that is bit (n * K + k) % 8 of byte (n * K + k) / 8. Unused bits of the last
// byte are 0.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_SUPPORT_CONSTANTS_H
#define PQUANT_SUPPORT_CONSTANTS_H

#include "mlir/IR/AsmState.h"
#include "pquant/Support/LLVM.h"
#include <optional>

namespace pquant {

/// Constants of at most this many elements are stored inline.
inline constexpr int64_t maxInlineElements = 64;

/// The stored bytes of `attr`, in place: all elements, or one element when
/// `isSplatConstant(attr)`. Empty when `attr` is no tensor constant or its blob
/// is missing.
ArrayRef<char> getConstantBytes(Attribute attr);

/// Whether `attr` stores one element that stands for all.
bool isSplatConstant(Attribute attr);

/// The bytes that all elements of a static `type` take when stored (i1: bits).
int64_t getStoredBytes(ShapedType type);

/// Heap memory of `bytes` zero bytes, 64-byte aligned, to be filled through
/// `getMutableData()` and given to `makeResourceAttr`.
mlir::AsmResourceBlob allocateBlob(size_t bytes);

/// A resource constant that owns `blob`; its key is `name`, made unique.
/// `blob` must hold `getStoredBytes(type)` bytes.
DenseResourceElementsAttr makeResourceAttr(RankedTensorType type,
                                           mlir::AsmResourceBlob blob,
                                           StringRef name);

/// The same with a copy of `bytes`.
DenseResourceElementsAttr
makeResourceAttr(RankedTensorType type, ArrayRef<char> bytes, StringRef name);

/// A constant of `type` with these bytes: inline up to `maxInlineElements`
/// elements, otherwise a resource.
ElementsAttr makeConstantAttr(RankedTensorType type, ArrayRef<char> bytes,
                              StringRef name);

/// Frees the bytes of a resource constant that nothing refers to any more. The
/// attribute stays but reads as missing.
void releaseConstant(DenseResourceElementsAttr attr);

/// Frees the bytes of all resources, and the files that they are mapped from.
void releaseAllConstants(MLIRContext *context);

/// Element `index` (row-major) of i1 elements stored as above.
inline bool readBit(ArrayRef<char> bytes, int64_t index) {
  return (static_cast<unsigned char>(bytes[index >> 3]) >> (index & 7)) & 1;
}

/// Sets element `index`, which must be 0 before.
inline void setBit(MutableArrayRef<char> bytes, int64_t index) {
  bytes[index >> 3] = static_cast<char>(
      static_cast<unsigned char>(bytes[index >> 3]) | (1u << (index & 7)));
}

/// The i1 elements of a constant, whichever way it is stored.
class BitReader {
public:
  /// No value when `attr` is no i1 constant or its blob is missing or short.
  static std::optional<BitReader> get(Attribute attr);
  bool operator[](int64_t index) const {
    return readBit(bytes, splat ? 0 : index);
  }

private:
  BitReader(ArrayRef<char> bytes, bool splat) : bytes(bytes), splat(splat) {}
  ArrayRef<char> bytes;
  bool splat;
};

/// A constant `tensor<rows x columns x i1>` from bits packed as above.
ElementsAttr makeBitMatrixAttr(MLIRContext *context, int64_t rows,
                               int64_t columns, ArrayRef<char> bits,
                               StringRef name);

} // namespace pquant

#endif // PQUANT_SUPPORT_CONSTANTS_H
