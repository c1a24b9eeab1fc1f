//===- ONNXConstants.cpp - Initialisers as attributes ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The contents stay in the model message or in a mapped file.
//
//===----------------------------------------------------------------------===//

#include "NodeContext.h"

#include "pquant/Frontend/ConstantData.h"

using namespace mlir;
using namespace pquant;

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
  tensor = makeStoredConstant(builder, type, element, name, std::move(data));
  return tensor;
}
