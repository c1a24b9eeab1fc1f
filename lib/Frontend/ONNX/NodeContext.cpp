//===- NodeContext.cpp - One ONNX node while it is imported ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeContext.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace pquant;
using onnx::AttributeProto;
using onnx::TensorProto;

std::optional<ElementType> pquant::convertElementType(MLIRContext *context,
                                                      int64_t dataType) {
  auto integer = [&](unsigned bits, bool isUnsigned = false) {
    return ElementType{IntegerType::get(context, bits), isUnsigned};
  };
  switch (dataType) {
  case TensorProto::FLOAT:
    return ElementType{Float32Type::get(context)};
  case TensorProto::DOUBLE:
    return ElementType{Float64Type::get(context)};
  case TensorProto::FLOAT16:
    return ElementType{Float16Type::get(context)};
  case TensorProto::BFLOAT16:
    return ElementType{BFloat16Type::get(context)};
  case TensorProto::BOOL:
    return integer(1);
  case TensorProto::INT8:
    return integer(8);
  case TensorProto::INT16:
    return integer(16);
  case TensorProto::INT32:
    return integer(32);
  case TensorProto::INT64:
    return integer(64);
  case TensorProto::UINT8:
    return integer(8, true);
  case TensorProto::UINT16:
    return integer(16, true);
  case TensorProto::UINT32:
    return integer(32, true);
  case TensorProto::UINT64:
    return integer(64, true);
  case INT2:
  case INT4:
    return ElementType{IntegerType::get(context, 8), /*isUnsigned=*/false,
                       static_cast<unsigned>(getONNXElementBits(dataType))};
  case UINT2:
  case UINT4:
    return ElementType{IntegerType::get(context, 8), /*isUnsigned=*/true,
                       static_cast<unsigned>(getONNXElementBits(dataType))};
  default:
    return std::nullopt;
  }
}

const AttributeProto *NodeContext::findAttribute(StringRef name) {
  for (const AttributeProto &attribute : node.attribute()) {
    if (attribute.name() != name)
      continue;
    if (attribute.ref_attr_name().empty())
      return &attribute;
    // Inside a function: the attribute of the call, if it has it.
    return callAttributes ? callAttributes->lookup(attribute.ref_attr_name())
                          : nullptr;
  }
  return nullptr;
}

const AttributeProto *
NodeContext::findAttribute(StringRef name, AttributeProto::AttributeType type) {
  const AttributeProto *attribute = findAttribute(name);
  if (!attribute || attribute->type() == type)
    return attribute;
  error() << "expected attribute '" << name << "' of type "
          << AttributeProto::AttributeType_Name(type) << ", but got "
          << AttributeProto::AttributeType_Name(attribute->type());
  failedAttribute = true;
  return nullptr;
}

int64_t NodeContext::getInt(StringRef name, int64_t defaultValue) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::INT);
  return attribute ? attribute->i() : defaultValue;
}

double NodeContext::getFloat(StringRef name, double defaultValue) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::FLOAT);
  return attribute ? attribute->f() : defaultValue;
}

std::string NodeContext::getString(StringRef name, StringRef defaultValue) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::STRING);
  return attribute ? attribute->s() : defaultValue.str();
}

std::optional<SmallVector<int64_t>> NodeContext::getInts(StringRef name) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::INTS);
  if (!attribute)
    return std::nullopt;
  return llvm::to_vector(attribute->ints());
}

std::optional<SmallVector<float>> NodeContext::getFloats(StringRef name) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::FLOATS);
  if (!attribute)
    return std::nullopt;
  return llvm::to_vector(attribute->floats());
}

Tensor NodeContext::getTensor(StringRef name) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::TENSOR);
  if (!attribute)
    return nullptr;
  if (!attribute->has_t()) {
    error() << "expected attribute '" << name << "' to hold a tensor";
    failedAttribute = true;
    return nullptr;
  }
  return constants.import(attribute->t(), node.output(0));
}

FailureOr<SmallVector<Tensor>>
NodeContext::importSubgraph(StringRef name, ArrayRef<Tensor> graphInputs) {
  const AttributeProto *attribute = findAttribute(name, AttributeProto::GRAPH);
  if (failedAttribute)
    return failure();
  if (!attribute)
    return error() << "expected attribute '" << name << "'";
  return importGraph(attribute->g(), graphInputs);
}

FailureOr<int64_t> NodeContext::getAxis(StringRef name, int64_t defaultValue,
                                        int64_t rank) {
  return normalizeAxis(getInt(name, defaultValue), rank);
}

FailureOr<int64_t> NodeContext::normalizeAxis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return error() << "expected an axis in [" << -rank << ", " << rank - 1
                   << "], but got " << axis;
  return axis < 0 ? axis + rank : axis;
}

FailureOr<SmallVector<int64_t>>
NodeContext::normalizeAxes(ArrayRef<int64_t> axes, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t axis : axes) {
    FailureOr<int64_t> normalized = normalizeAxis(axis, rank);
    if (failed(normalized))
      return failure();
    if (llvm::is_contained(result, *normalized))
      return error() << "axis " << axis << " is given twice";
    result.push_back(*normalized);
  }
  llvm::sort(result);
  return result;
}

FailureOr<std::optional<SmallVector<int64_t>>>
NodeContext::getAxes(size_t i, int64_t rank) {
  std::optional<SmallVector<int64_t>> axes;
  if (getInput(i)) {
    FailureOr<SmallVector<int64_t>> ints = getConstantInts(i);
    if (failed(ints))
      return failure();
    axes = *ints;
  } else {
    axes = getInts("axes");
  }
  if (!axes)
    return axes;
  FailureOr<SmallVector<int64_t>> normalized = normalizeAxes(*axes, rank);
  if (failed(normalized))
    return failure();
  return std::optional<SmallVector<int64_t>>(*normalized);
}

FailureOr<SmallVector<int64_t>> NodeContext::getConstantInts(size_t i) {
  std::optional<SmallVector<int64_t>> ints = b.getConstantInts(inputs[i]);
  if (!ints)
    return error() << "expected input " << i << " ('" << node.input(i)
                   << "') to be a constant vector of integers";
  return *ints;
}

FailureOr<SizeList> NodeContext::getElements(size_t i) {
  std::optional<SizeList> elements = b.getElements(inputs[i]);
  if (!elements)
    return error() << "expected input " << i << " ('" << node.input(i)
                   << "') to be a vector of integers of known, small length";
  return *elements;
}

FailureOr<ElementType> NodeContext::getElementType(int64_t dataType) {
  std::optional<ElementType> type =
      convertElementType(b.getBuilder().getContext(), dataType);
  if (!type)
    return error() << "element type '" << getONNXTypeName(dataType)
                   << "' is not supported";
  return *type;
}

LogicalResult NodeContext::requireSameType(size_t i, size_t j) {
  ElementType left = inputs[i]->element, right = inputs[j]->element;
  if (left == right)
    return success();
  return error() << "expected inputs " << i << " and " << j
                 << " of the same element type, but got " << getNumPyName(left)
                 << " and " << getNumPyName(right);
}

LogicalResult NodeContext::requireFloat(size_t i) {
  if (inputs[i]->element.isFloat())
    return success();
  return error() << "expected floating-point input " << i << ", but got "
                 << getNumPyName(inputs[i]->element);
}

LogicalResult NodeContext::requireRank(size_t i, int64_t rank) {
  if (inputs[i]->getRank() == rank)
    return success();
  return error() << "expected input " << i << " of rank " << rank
                 << ", but got rank " << inputs[i]->getRank();
}

LogicalResult NodeContext::requireMinRank(size_t i, int64_t rank) {
  if (inputs[i]->getRank() >= rank)
    return success();
  return error() << "expected input " << i << " of rank " << rank
                 << " or more, but got rank " << inputs[i]->getRank();
}

LogicalResult NodeContext::setResult(FailureOr<Tensor> tensor) {
  if (failed(tensor))
    return failure();
  setOutput(0, *tensor);
  return success();
}
