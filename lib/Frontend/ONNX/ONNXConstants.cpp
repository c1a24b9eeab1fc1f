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
  tensor = makeStoredConstant(builder, type, element, name, std::move(data));
  return tensor;
}
