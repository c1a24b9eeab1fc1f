//===- ModelInterface.cpp - Entry points, tensors and layers --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads the interface of a model from its attributes and types.
//
//===----------------------------------------------------------------------===//

#include "ModelInterface.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "pquant/Runtime/ModelDescriptor.h"
#include "pquant/Support/NodeName.h"

using namespace mlir;
using namespace pquant;

static constexpr std::pair<StringLiteral, int32_t> dtypes[] = {
    {"float32", PQUANT_FLOAT32}, {"float64", PQUANT_FLOAT64},
    {"float16", PQUANT_FLOAT16}, {"bfloat16", PQUANT_BFLOAT16},
    {"int8", PQUANT_INT8},       {"int16", PQUANT_INT16},
    {"int32", PQUANT_INT32},     {"int64", PQUANT_INT64},
    {"uint8", PQUANT_UINT8},     {"uint16", PQUANT_UINT16},
    {"uint32", PQUANT_UINT32},   {"uint64", PQUANT_UINT64},
    {"bool", PQUANT_BOOL}};

/// NumPy's name of an element type that no `pquant.dtype` names.
static std::string defaultDType(Type type) {
  if (type.isInteger(1))
    return "bool";
  if (type.isBF16())
    return "bfloat16";
  if (!type.isIntOrFloat())
    return "";
  return ((isa<FloatType>(type) ? "float" : "int") +
          Twine(type.getIntOrFloatBitWidth()))
      .str();
}

static FailureOr<TensorInterface> readTensor(func::FuncOp function, Type type,
                                             DictionaryAttr attributes,
                                             const Twine &fallbackName) {
  auto tensor = dyn_cast<ShapedType>(type);
  TensorInterface result;
  result.name = fallbackName.str();
  std::string dtype = tensor ? defaultDType(tensor.getElementType()) : "";
  ArrayAttr sizes;
  if (attributes) {
    if (auto name = attributes.getAs<StringAttr>("pquant.name"))
      result.name = name.str();
    if (auto name = attributes.getAs<StringAttr>("pquant.dtype"))
      dtype = name.str();
    sizes = attributes.getAs<ArrayAttr>("pquant.dims");
  }
  const auto *known =
      llvm::find_if(dtypes, [&](auto &entry) { return entry.first == dtype; });
  if (known == std::end(dtypes) || tensor.getRank() > PQUANT_MAX_RANK)
    return function.emitError()
           << "'" << result.name << "' expected a tensor of rank "
           << PQUANT_MAX_RANK
           << " at most with elements of a NumPy type, but got " << type;
  result.dtype = known->second;
  for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
    bool dynamic = ShapedType::isDynamic(size);
    result.sizes.push_back(dynamic ? -1 : size);
    std::string name;
    if (sizes && i < sizes.size() && (dynamic || isa<MemRefType>(type)))
      if (auto text = dyn_cast<StringAttr>(sizes[i]); text && text != "?")
        name = text.str();
    result.sizeNames.push_back(name);
  }
  return result;
}

LogicalResult ModelInterface::readEntries(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function.isPublic() || function.isDeclaration())
      continue;
    EntryInterface entry;
    entry.name = function.getName().str();
    for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
      auto tensor = readTensor(function, type, function.getArgAttrDict(i),
                               "in" + Twine(i));
      if (failed(tensor))
        return failure();
      (isa<MemRefType>(type) ? entry.states : entry.inputs).push_back(*tensor);
    }
    for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
      auto tensor = readTensor(function, type, function.getResultAttrDict(i),
                               "out" + Twine(i));
      if (failed(tensor))
        return failure();
      entry.outputs.push_back(*tensor);
    }
    entries.push_back(std::move(entry));
  }
  if (entries.empty())
    return module.emitError("expected a public function, but got none");
  return success();
}

void ModelInterface::readLinears(ModuleOp module) {
  auto add = [&](Operation *op, Value weight, double bits) {
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t columns = type.getShape().back();
    linears.push_back({getNodeName(op->getLoc()),
                       type.getNumElements() / columns, columns, bits});
  };
  // The entry points share their weights.
  auto functions = module.getOps<func::FuncOp>();
  auto first = llvm::find_if(
      functions, [](func::FuncOp function) { return function.isPublic(); });
  if (first == functions.end())
    return;
  (*first).walk([&](Operation *op) {
    if (auto linear = dyn_cast<BinaryLinearOp>(op))
      add(op, linear.getPlanes().front(), linear.getPlanes().size());
    if (auto linear = dyn_cast<Int8LinearOp>(op))
      add(op, linear.getWeight(), 8);
    if (auto linear = dyn_cast<ExpertLinearOp>(op))
      add(op, linear.getWeight(), 8);
    if (auto linear = dyn_cast<DecoupledLinearOp>(op)) {
      add(op, linear.getInt8Weight(), 8);
      add(op, linear.getPlanes().front(), linear.getPlanes().size());
    }
  });
}
