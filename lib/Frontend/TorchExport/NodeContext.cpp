//===- NodeContext.cpp - One ATen node while it is imported ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeContext.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

std::optional<ElementType> pt2::convertElementType(MLIRContext *context,
                                                   ScalarType type) {
  auto integer = [&](unsigned bits, bool isUnsigned = false) {
    return ElementType{IntegerType::get(context, bits), isUnsigned};
  };
  switch (type) {
  case ScalarType::Byte:
    return integer(8, true);
  case ScalarType::Char:
    return integer(8);
  case ScalarType::Short:
    return integer(16);
  case ScalarType::UInt16:
    return integer(16, true);
  case ScalarType::Int:
    return integer(32);
  case ScalarType::Long:
    return integer(64);
  case ScalarType::Bool:
    return integer(1);
  case ScalarType::Half:
    return ElementType{Float16Type::get(context)};
  case ScalarType::BFloat16:
    return ElementType{BFloat16Type::get(context)};
  case ScalarType::Float:
    return ElementType{Float32Type::get(context)};
  case ScalarType::Double:
    return ElementType{Float64Type::get(context)};
  case ScalarType::Unknown:
    break;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Finding arguments
//===----------------------------------------------------------------------===//

const Argument *NodeContext::find(StringRef name) const {
  // Operators of Python have no schema; theirs are counted.
  size_t position;
  if (name.consume_front("#") && !name.getAsInteger(10, position))
    return position < node.inputs.size() ? &node.inputs[position] : nullptr;
  for (const Argument &argument : node.inputs)
    if (argument.name == name)
      return &argument;
  return nullptr;
}

void NodeContext::reject(StringRef name, const Twine &expected) {
  error() << "expected argument '" << name << "' to be " << expected.str();
  failedArgument = true;
}

bool NodeContext::has(StringRef name) const {
  const Argument *argument = find(name);
  return argument && (argument->isList || argument->items.empty() ||
                      argument->items.front().kind != ArgumentItem::None);
}

const ArgumentItem *NodeContext::findItem(StringRef name) {
  if (!has(name))
    return nullptr;
  const Argument *argument = find(name);
  if (!argument->isList)
    return &argument->items.front();
  // A list of one is a scalar where the schema says int[1].
  if (argument->items.size() == 1)
    return &argument->items.front();
  reject(name, "one value, but got a list of " + Twine(argument->items.size()));
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Tensor NodeContext::getTensor(StringRef name) const {
  return lookup(find(name)->items.front().text);
}

Tensor NodeContext::getOptionalTensor(StringRef name) {
  const ArgumentItem *item = findItem(name);
  if (!item)
    return nullptr;
  if (item->kind == ArgumentItem::Value)
    return lookup(item->text);
  reject(name, "a tensor");
  return nullptr;
}

SmallVector<Tensor> NodeContext::getTensors(StringRef name) {
  SmallVector<Tensor> tensors;
  if (!has(name))
    return tensors;
  for (const ArgumentItem &item : find(name)->items)
    tensors.push_back(item.kind == ArgumentItem::Value ? lookup(item.text)
                                                       : nullptr);
  return tensors;
}

bool NodeContext::isNumber(StringRef name) const {
  const Argument *argument = find(name);
  if (!argument || argument->isList || argument->items.empty())
    return false;
  const ArgumentItem &item = argument->items.front();
  if (item.kind == ArgumentItem::Value)
    return graph.numbers.contains(item.text);
  return item.kind == ArgumentItem::Int || item.kind == ArgumentItem::Float ||
         item.kind == ArgumentItem::Bool;
}

Tensor NodeContext::getOperand(StringRef name, ElementType element) {
  if (!isNumber(name)) {
    if (Tensor tensor = getOptionalTensor(name))
      return tensor;
    reject(name, "a tensor or a number");
    return b.makeScalar(element, 0);
  }
  const ArgumentItem &item = find(name)->items.front();
  if (item.kind == ArgumentItem::Value)
    return b.castElements(lookup(item.text), element);
  if (item.kind == ArgumentItem::Float)
    return b.makeScalar(element, item.real);
  // Numbers of the program's text are constants, exact in 64 bits.
  auto type = RankedTensorType::get({}, element.type);
  if (element.isFloat())
    return b.makeScalar(element, item.real);
  unsigned bits = element.type.getIntOrFloatBitWidth();
  APInt number(64, item.number);
  if (element.isBool())
    number = APInt(64, item.number != 0);
  return b.makeConstant(DenseElementsAttr::get(type, number.sextOrTrunc(bits)),
                        element);
}

Tensor NodeContext::getOperandAs(StringRef name, ElementType element) {
  return b.castElements(getOperand(name, element), element);
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

std::optional<SizeExpr> NodeContext::readSize(const ArgumentItem &item) {
  if (item.kind == ArgumentItem::Int || item.kind == ArgumentItem::Bool ||
      item.kind == ArgumentItem::Enum)
    return SizeExpr(item.number);
  if (item.kind != ArgumentItem::Value)
    return std::nullopt;
  std::optional<SizeList> elements = b.getElements(lookup(item.text));
  if (!elements || elements->size() != 1)
    return std::nullopt;
  return elements->front();
}

SizeExpr NodeContext::getSize(StringRef name,
                              std::optional<SizeExpr> defaultValue) {
  const ArgumentItem *item = findItem(name);
  if (!item && defaultValue)
    return *defaultValue;
  std::optional<SizeExpr> size = item ? readSize(*item) : std::nullopt;
  if (!size)
    reject(name, "an integer");
  return size.value_or(SizeExpr(0));
}

SizeList NodeContext::getSizes(StringRef name) {
  SizeList sizes;
  if (!has(name))
    return sizes;
  for (const ArgumentItem &item : find(name)->items) {
    std::optional<SizeExpr> size = readSize(item);
    if (!size)
      reject(name, "a list of integers");
    sizes.push_back(size.value_or(SizeExpr(0)));
  }
  return sizes;
}

int64_t NodeContext::getInt(StringRef name,
                            std::optional<int64_t> defaultValue) {
  std::optional<SizeExpr> fallback;
  if (defaultValue)
    fallback = SizeExpr(*defaultValue);
  std::optional<int64_t> number = getSize(name, fallback).getConstant();
  if (!number)
    reject(name, "an integer that is known at compile time");
  return number.value_or(0);
}

SmallVector<int64_t> NodeContext::getInts(StringRef name) {
  SmallVector<int64_t> ints;
  for (const SizeExpr &size : getSizes(name)) {
    if (!size.getConstant())
      reject(name, "a list of integers that are known at compile time");
    ints.push_back(size.getConstant().value_or(0));
  }
  return ints;
}

double NodeContext::getDouble(StringRef name,
                              std::optional<double> defaultValue) {
  const ArgumentItem *item = findItem(name);
  if (!item && defaultValue)
    return *defaultValue;
  if (item &&
      (item->kind == ArgumentItem::Float || item->kind == ArgumentItem::Int ||
       item->kind == ArgumentItem::Bool))
    return item->real;
  if (item && item->kind == ArgumentItem::Value)
    if (std::optional<double> number = b.getConstantScalar(lookup(item->text)))
      return *number;
  reject(name, "a number that is known at compile time");
  return 0;
}

bool NodeContext::getBool(StringRef name, bool defaultValue) {
  return getInt(name, defaultValue) != 0;
}

std::string NodeContext::getString(StringRef name, StringRef defaultValue) {
  const ArgumentItem *item = findItem(name);
  return item && item->kind == ArgumentItem::String ? item->text
                                                    : defaultValue.str();
}

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

int64_t NodeContext::normalizeAxis(int64_t axis, int64_t rank) {
  // Scalars have one axis in PyTorch, for reductions over it.
  int64_t count = std::max<int64_t>(rank, 1);
  if (axis >= -count && axis < count)
    return axis < 0 ? axis + count : axis;
  error() << "expected an axis in [" << -count << ", " << count - 1
          << "], but got " << axis;
  failedArgument = true;
  return 0;
}

int64_t NodeContext::getAxis(StringRef name, int64_t rank,
                             std::optional<int64_t> defaultValue) {
  return normalizeAxis(getInt(name, defaultValue), rank);
}

SmallVector<int64_t> NodeContext::getAxes(StringRef name, int64_t rank) {
  SmallVector<int64_t> axes;
  for (int64_t axis : getInts(name)) {
    axes.push_back(normalizeAxis(axis, rank));
    if (llvm::is_contained(ArrayRef(axes).drop_back(), axes.back()))
      reject(name, "distinct axes");
  }
  if (axes.empty())
    axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (rank == 0)
    axes.clear();
  llvm::sort(axes);
  return axes;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

ElementType NodeContext::getResultType(size_t i) {
  MLIRContext *context = b.getBuilder().getContext();
  ScalarType type = ScalarType::Unknown;
  if (wantsResult(i)) {
    auto tensor = graph.tensors.find(node.outputs[i]);
    type = tensor != graph.tensors.end()
               ? tensor->second.type
               : graph.numbers.lookup(node.outputs[i]);
  }
  if (auto element = convertElementType(context, type))
    return *element;
  error() << "a result of element type " << getScalarTypeName(type)
          << " is not supported";
  failedArgument = true;
  return {Float32Type::get(context)};
}

LogicalResult NodeContext::setResult(FailureOr<Tensor> tensor, size_t i) {
  if (failed(tensor))
    return failure();
  if (i < results.size())
    results[i] = *tensor;
  return success();
}

LogicalResult NodeContext::requireFloat(Tensor tensor) {
  if (tensor->element.isFloat())
    return success();
  return error() << "expected a floating-point tensor, but got "
                 << getNumPyName(tensor->element);
}

LogicalResult NodeContext::requireInteger(Tensor tensor) {
  if (tensor->element.isInteger())
    return success();
  return error() << "expected an integer tensor, but got "
                 << getNumPyName(tensor->element);
}

LogicalResult NodeContext::requireRank(Tensor tensor, int64_t min,
                                       int64_t max) {
  int64_t rank = tensor->getRank();
  if (rank >= min && rank <= max)
    return success();
  return error() << "expected a tensor of rank " << min
                 << (min == max ? "" : " to " + std::to_string(max))
                 << ", but got rank " << rank;
}
