//===- Constants.cpp - Reading and making large constants -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// See the header for the storage format.
//
//===----------------------------------------------------------------------===//

#include "pquant/Support/Constants.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/MathExtras.h"
#include <cassert>
#include <cstring>

using namespace pquant;
using mlir::AsmResourceBlob;

ArrayRef<char> pquant::getConstantBytes(Attribute attr) {
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(attr))
    return dense.getRawData();
  auto resource = dyn_cast_or_null<DenseResourceElementsAttr>(attr);
  if (!resource)
    return {};
  AsmResourceBlob *blob = resource.getRawHandle().getBlob();
  return blob ? blob->getData() : ArrayRef<char>();
}

bool pquant::isSplatConstant(Attribute attr) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(attr);
  return dense && dense.isSplat();
}

int64_t pquant::getStoredBytes(ShapedType type) {
  int64_t bits = type.getElementTypeBitWidth();
  if (bits != 1)
    bits = llvm::alignTo(bits, 8);
  return llvm::divideCeil(type.getNumElements() * bits, 8);
}

AsmResourceBlob pquant::allocateBlob(size_t bytes) {
  AsmResourceBlob blob =
      mlir::HeapAsmResourceBlob::allocate(bytes, /*align=*/64,
                                          /*dataIsMutable=*/true);
  if (bytes)
    std::memset(blob.getMutableData().data(), 0, bytes);
  return blob;
}

DenseResourceElementsAttr pquant::makeResourceAttr(RankedTensorType type,
                                                   AsmResourceBlob blob,
                                                   StringRef name) {
  assert(static_cast<int64_t>(blob.getData().size()) == getStoredBytes(type) &&
         "blob of another size than its type");
  return DenseResourceElementsAttr::get(type, name, std::move(blob));
}

DenseResourceElementsAttr pquant::makeResourceAttr(RankedTensorType type,
                                                   ArrayRef<char> bytes,
                                                   StringRef name) {
  return makeResourceAttr(type,
                          mlir::HeapAsmResourceBlob::allocateAndCopyWithAlign(
                              bytes, /*align=*/64, /*dataIsMutable=*/true),
                          name);
}

ElementsAttr pquant::makeConstantAttr(RankedTensorType type,
                                      ArrayRef<char> bytes, StringRef name) {
  if (type.getNumElements() > maxInlineElements)
    return makeResourceAttr(type, bytes, name);
  if (!type.getElementType().isInteger(1))
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  SmallVector<bool> values;
  for (int64_t i = 0, e = type.getNumElements(); i < e; ++i)
    values.push_back(readBit(bytes, i));
  return DenseElementsAttr::get(type, ArrayRef<bool>(values));
}

void pquant::releaseConstant(DenseResourceElementsAttr attr) {
  mlir::DenseResourceElementsHandle handle = attr.getRawHandle();
  handle.getResource()->setBlob(AsmResourceBlob());
}

void pquant::releaseAllConstants(MLIRContext *context) {
  auto &manager =
      mlir::DenseResourceElementsHandle::getManagerInterface(context)
          .getBlobManager();
  SmallVector<std::string> keys;
  manager.getBlobMap([&](const auto &blobs) {
    for (StringRef key : blobs.keys())
      keys.push_back(key.str());
  });
  for (const std::string &key : keys)
    manager.update(key, AsmResourceBlob());
}

std::optional<BitReader> BitReader::get(Attribute attr) {
  auto elements = dyn_cast_or_null<ElementsAttr>(attr);
  if (!elements || !elements.getShapedType().getElementType().isInteger(1))
    return std::nullopt;
  ArrayRef<char> bytes = getConstantBytes(attr);
  bool splat = isSplatConstant(attr);
  int64_t needed = splat ? 1 : getStoredBytes(elements.getShapedType());
  if (static_cast<int64_t>(bytes.size()) < needed)
    return std::nullopt;
  return BitReader(bytes, splat);
}

ElementsAttr pquant::makeBitMatrixAttr(MLIRContext *context, int64_t rows,
                                       int64_t columns, ArrayRef<char> bits,
                                       StringRef name) {
  auto type =
      RankedTensorType::get({rows, columns}, IntegerType::get(context, 1));
  return makeConstantAttr(type, bits, name);
}
