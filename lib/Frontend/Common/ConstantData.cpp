//===- ConstantData.cpp - Stored bytes as constants -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small tensors are written inline; the others are resource blobs over the
// bytes of the model or of a mapped file, which the blob keeps alive.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/ConstantData.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Process.h"
#include <sys/mman.h>

using namespace mlir;
using namespace pquant;

/// Gives back the whole pages among mapped bytes; a later read maps them anew.
static void dropPages(const void *bytes, size_t size) {
  uint64_t page = llvm::sys::Process::getPageSizeEstimate();
  uint64_t address = reinterpret_cast<uintptr_t>(bytes);
  uint64_t begin = llvm::alignTo(address, page);
  uint64_t end = llvm::alignDown(address + size, page);
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

/// A blob over the bytes, or over an aligned copy where they are not aligned.
static AsmResourceBlob makeBlob(TensorBytes data, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(data.bytes.data()) % alignment != 0)
    return HeapAsmResourceBlob::allocateAndCopyWithAlign(
        data.bytes, alignment, /*dataIsMutable=*/false);
  auto keepAlive = [owner = std::move(data.owner),
                    mapped = data.isMapped](void *bytes, size_t size, size_t) {
    if (mapped)
      dropPages(bytes, size);
  };
  return AsmResourceBlob(data.bytes, alignment, std::move(keepAlive),
                         /*dataIsMutable=*/false);
}

static Attribute makeResource(RankedTensorType type, StringRef name,
                              TensorBytes data) {
  size_t alignment = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  return DenseResourceElementsAttr::get(type, name,
                                        makeBlob(std::move(data), alignment));
}

/// Truth values are one byte each.
static Tensor makeBoolConstant(TensorBuilder &b, RankedTensorType type,
                               ElementType element, StringRef name,
                               TensorBytes data) {
  bool isSplat = llvm::all_of(data.bytes, [&](char byte) {
    return (byte != 0) == (data.bytes.front() != 0);
  });
  if (isSplat || type.getNumElements() <= TensorBuilder::maxInlineElements) {
    SmallVector<bool> bits;
    for (char byte : data.bytes.take_front(
             isSplat && !data.bytes.empty() ? 1 : data.bytes.size()))
      bits.push_back(byte != 0);
    return b.makeConstant(DenseElementsAttr::get(type, ArrayRef<bool>(bits)),
                          element);
  }
  Type byteType = b.getBuilder().getI8Type();
  Attribute bytes = makeResource(type.clone(byteType), name, std::move(data));
  return b.castElements(
      b.makeConstant(cast<ElementsAttr>(bytes), ElementType{byteType}),
      element);
}

Tensor pquant::makeStoredConstant(TensorBuilder &b, RankedTensorType type,
                                  ElementType element, StringRef name,
                                  TensorBytes data) {
  if (element.isBool())
    return makeBoolConstant(b, type, element, name, std::move(data));
  Attribute contents;
  if (type.getNumElements() <= TensorBuilder::maxInlineElements) {
    // DenseElementsAttr reads whole elements: the bytes may be unaligned.
    SmallVector<char> aligned(data.bytes);
    contents = DenseElementsAttr::getFromRawBuffer(type, aligned);
  } else {
    contents = makeResource(type, name, std::move(data));
  }
  return b.makeConstant(cast<ElementsAttr>(contents), element);
}
