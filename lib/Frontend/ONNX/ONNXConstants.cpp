//===- ONNXConstants.cpp - Initialisers as attributes ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small tensors are written inline; the others are resource blobs over the
// bytes of the model message or of a mapped file, which the blob keeps alive.
//
//===----------------------------------------------------------------------===//

#include "NodeContext.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace pquant;

/// A blob over the bytes, or over an aligned copy where they are not aligned.
static AsmResourceBlob makeBlob(TensorBytes data, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(data.bytes.data()) % alignment != 0)
    return HeapAsmResourceBlob::allocateAndCopyWithAlign(
        data.bytes, alignment, /*dataIsMutable=*/false);
  auto keepAlive = [owner = std::move(data.owner)](void *, size_t, size_t) {};
  return AsmResourceBlob(data.bytes, alignment, std::move(keepAlive),
                         /*dataIsMutable=*/false);
}

static Attribute makeResource(RankedTensorType type, StringRef name,
                              TensorBytes data) {
  size_t alignment = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  return DenseResourceElementsAttr::get(type, name,
                                        makeBlob(std::move(data), alignment));
}

/// Truth values are one byte each in ONNX.
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

/// Elements of a few bits, lowest first, as one byte each.
static TensorBytes unpackNarrow(const TensorBytes &packed, int64_t count,
                                ElementType element) {
  unsigned bits = element.narrowBits, perByte = 8 / bits;
  auto bytes = std::make_shared<std::vector<char>>(count);
  for (int64_t i = 0; i < count; ++i) {
    uint8_t raw = packed.bytes[i / perByte];
    // The number's highest bit goes to the byte's, and back with its copies.
    uint8_t high = raw << (8 - bits * (i % perByte + 1));
    (*bytes)[i] = element.isUnsigned ? high >> (8 - bits)
                                     : static_cast<int8_t>(high) >> (8 - bits);
  }
  return {*bytes, bytes};
}

Tensor ConstantImporter::import(const onnx::TensorProto &proto,
                                StringRef name) {
  Tensor &tensor = imported[&proto];
  if (tensor)
    return tensor;
  ElementType element =
      *convertElementType(builder.getBuilder().getContext(), proto.data_type());
  auto type =
      RankedTensorType::get(llvm::to_vector(proto.dims()), element.type);
  // The reader has checked the tensor; its bytes are moved, not changed.
  TensorBytes data = model.takeBytes(const_cast<onnx::TensorProto &>(proto));
  if (element.narrowBits)
    data = unpackNarrow(data, type.getNumElements(), element);
  if (element.isBool()) {
    tensor = makeBoolConstant(builder, type, element, name, std::move(data));
    return tensor;
  }
  Attribute contents;
  if (type.getNumElements() <= TensorBuilder::maxInlineElements) {
    // DenseElementsAttr reads whole elements: the bytes may be unaligned.
    SmallVector<char> aligned(data.bytes);
    contents = DenseElementsAttr::getFromRawBuffer(type, aligned);
  } else {
    contents = makeResource(type, name, std::move(data));
  }
  tensor = builder.makeConstant(cast<ElementsAttr>(contents), element);
  return tensor;
}
