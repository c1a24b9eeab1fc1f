//===- GraphSignature.cpp - Inputs, outputs and stored tensors ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Parameters and buffers are constants, mapped in place where their elements
// lie in order. A buffer or an input that the program changes is an argument
// and, as `<name>.next`, a result: the function itself changes nothing.
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

#include "pquant/Frontend/ConstantData.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

//===----------------------------------------------------------------------===//
// Symbolic sizes
//===----------------------------------------------------------------------===//

/// The size that an expression stands for, where all of its symbols are known.
std::optional<SizeExpr> GraphImporter::evaluate(const SymbolicExpr &expr) {
  if (expr.kind == SymbolicExpr::Number)
    return SizeExpr(expr.number);
  if (expr.kind == SymbolicExpr::Symbol) {
    auto known = symbols.find(expr.name);
    return known == symbols.end() ? std::nullopt
                                  : std::optional<SizeExpr>(known->second);
  }
  SizeList operands;
  for (const SymbolicExpr &operand : expr.operands) {
    std::optional<SizeExpr> size = evaluate(operand);
    if (!size)
      return std::nullopt;
    operands.push_back(*size);
  }
  auto combine = [&](auto function) {
    SizeExpr result = operands.front();
    for (const SizeExpr &operand : ArrayRef(operands).drop_front())
      result = function(result, operand);
    return result;
  };
  if (operands.empty())
    return std::nullopt;
  if (expr.name == "Add")
    return combine([](const SizeExpr &a, const SizeExpr &b) { return a + b; });
  if (expr.name == "Mul")
    return combine([](const SizeExpr &a, const SizeExpr &b) { return a * b; });
  if (expr.name == "Max")
    return combine([&](const SizeExpr &a, const SizeExpr &b) {
      return tensorBuilder.maximum(a, b);
    });
  if (expr.name == "Min")
    return combine([&](const SizeExpr &a, const SizeExpr &b) {
      return tensorBuilder.minimum(a, b);
    });
  std::optional<int64_t> constant = operands.back().getConstant();
  if (operands.size() != 2 || !constant || *constant < 1)
    return std::nullopt;
  if (expr.name == "FloorDiv" || expr.name == "CleanDiv")
    return tensorBuilder.divide(operands[0], *constant, /*up=*/false);
  if (expr.name == "CeilDiv")
    return tensorBuilder.divide(operands[0], *constant, /*up=*/true);
  if (expr.name == "Mod" || expr.name == "PythonMod")
    return operands[0] -
           tensorBuilder.divide(operands[0], *constant, /*up=*/false) *
               operands[1];
  if (expr.name == "Pow" && *constant == 2)
    return operands[0] * operands[0];
  return std::nullopt;
}

void GraphImporter::importSizes(Value argument, const TensorMeta &meta,
                                SizeList &sizes) {
  for (auto [i, expr] : llvm::enumerate(meta.sizes)) {
    if (expr.kind == SymbolicExpr::Number) {
      sizes.push_back(expr.number);
      continue;
    }
    bool isSymbol = expr.kind == SymbolicExpr::Symbol;
    if (isSymbol && symbols.contains(expr.name)) {
      sizes.push_back(symbols.lookup(expr.name));
      continue;
    }
    Value size =
        tensor::DimOp::create(builder, tensorBuilder.getLoc(), argument,
                              tensorBuilder.getIndexConstant(i));
    sizes.push_back(tensorBuilder.atomFor(size, /*isNonNegative=*/true));
    if (isSymbol) {
      symbols.try_emplace(expr.name, sizes.back());
      sizeNames.emplace(sizes.back(), expr.name);
    } else {
      expressions.emplace_back(&expr, sizes.back());
    }
  }
}

LogicalResult GraphImporter::solveSizes() {
  for (auto [expr, size] : expressions) {
    // k * s says what s is, where nothing else does.
    if (expr->name == "Mul" && expr->operands.size() == 2) {
      const SymbolicExpr &factor = expr->operands[0];
      const SymbolicExpr &symbol = expr->operands[1];
      if (factor.kind == SymbolicExpr::Number && factor.number > 0 &&
          symbol.kind == SymbolicExpr::Symbol)
        symbols.try_emplace(
            symbol.name,
            tensorBuilder.divide(size, factor.number, /*up=*/false));
    }
    if (std::optional<SizeExpr> value = evaluate(*expr))
      if (failed(tensorBuilder.requireEqual(size, *value,
                                            "an input and its expression")))
        return failure();
  }
  return success();
}

// PyTorch traces with sizes of 2 or more and takes all others at run time: a
// lower bound of 2 says nothing.
LogicalResult GraphImporter::checkRanges() {
  for (const auto &entry : program.ranges) {
    const std::string &name = entry.first;
    const SymbolRange &range = entry.second;
    auto known = symbols.find(name);
    if (known == symbols.end())
      continue;
    auto require = [&](arith::CmpIPredicate predicate, int64_t bound,
                       const Twine &what) {
      Value holds =
          arith::CmpIOp::create(builder, fileLoc, predicate,
                                tensorBuilder.getIndexValue(known->second),
                                tensorBuilder.getIndexConstant(bound));
      tensorBuilder.assertAtRunTime(holds, "expected size '" + name + "' of " +
                                               what + " " + Twine(bound));
    };
    if (range.min && *range.min > 2)
      require(arith::CmpIPredicate::sge, *range.min, "at least");
    if (range.max && *range.max < INT32_MAX)
      require(arith::CmpIPredicate::sle, *range.max, "at most");
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

DictionaryAttr GraphImporter::getSignature(StringRef name,
                                           const TensorInfo &tensor) {
  SmallVector<Attribute> dims;
  for (const SizeExpr &size : tensor.sizes) {
    if (std::optional<int64_t> constant = size.getConstant()) {
      dims.push_back(builder.getI64IntegerAttr(*constant));
      continue;
    }
    auto known = sizeNames.find(size);
    dims.push_back(builder.getStringAttr(
        known == sizeNames.end() ? std::string("?") : known->second));
  }
  NamedAttribute attributes[] = {
      builder.getNamedAttr("pquant.name", builder.getStringAttr(name)),
      builder.getNamedAttr("pquant.dtype",
                           builder.getStringAttr(getNumPyName(tensor.element))),
      builder.getNamedAttr("pquant.dims", builder.getArrayAttr(dims))};
  return builder.getDictionaryAttr(attributes);
}

LogicalResult GraphImporter::importInput(Scope &scope, func::FuncOp function,
                                         StringRef name, StringRef title) {
  const Graph &graph = scope.graph;
  auto found = graph.tensors.find(name);
  // A number of the host program is a tensor of rank 0.
  TensorMeta number;
  number.type = graph.numbers.lookup(name);
  const TensorMeta &meta =
      found != graph.tensors.end() ? found->second : number;
  std::optional<ElementType> element =
      convertElementType(builder.getContext(), meta.type);
  if (!element)
    return tensorBuilder.error()
           << "element type " << getScalarTypeName(meta.type)
           << " is not supported";
  SmallVector<int64_t> shape;
  for (const SymbolicExpr &size : meta.sizes)
    shape.push_back(size.kind == SymbolicExpr::Number ? size.number
                                                      : ShapedType::kDynamic);
  Value argument = function.getBody().front().addArgument(
      RankedTensorType::get(shape, element->type), tensorBuilder.getLoc());
  SizeList sizes;
  importSizes(argument, meta, sizes);
  Tensor tensor = tensorBuilder.makeTensor(argument, *element, sizes);
  scope.states[name].tensor = tensor;
  argumentAttributes.push_back(getSignature(title, *tensor));
  return success();
}

LogicalResult GraphImporter::importInputs(Scope &scope, func::FuncOp function) {
  auto setNode = [&](const InputSpec &input) {
    StringRef name = input.target.empty() ? input.name : input.target;
    tensorBuilder.setNode(NameLoc::get(builder.getStringAttr(name)),
                          ("input '" + name + "'").str());
  };
  for (const InputSpec &input : program.inputs) {
    setNode(input);
    if (input.kind == InputSpec::User &&
        failed(importInput(scope, function, input.name, input.name)))
      return failure();
    if (input.kind == InputSpec::Fixed && !input.name.empty())
      scope.states[input.name].tensor = makeItem(scope, input.value);
  }
  // What the program changes comes last, whatever the file's order.
  for (const InputSpec &input : program.inputs) {
    bool isStored =
        input.kind != InputSpec::User && input.kind != InputSpec::Fixed;
    if (!isStored)
      continue;
    setNode(input);
    bool isMutated = mutated.contains(input.name);
    if (failed(isMutated
                   ? importInput(scope, function, input.name, input.target)
                   : importStored(scope, input)))
      return failure();
  }
  tensorBuilder.setNode(fileLoc, "");
  if (failed(solveSizes()) || failed(checkRanges()))
    return failure();
  function.setFunctionType(builder.getFunctionType(
      SmallVector<Type>(function.getBody().getArgumentTypes()), {}));
  for (auto [i, attributes] : llvm::enumerate(argumentAttributes))
    function.setArgAttrs(i, attributes);
  return success();
}

//===----------------------------------------------------------------------===//
// Stored tensors
//===----------------------------------------------------------------------===//

/// Whether the elements lie in the storage in the order of their indices.
static bool isContiguous(const TensorMeta &meta) {
  int64_t expected = 1;
  for (size_t i = meta.sizes.size(); i-- > 0;) {
    if (meta.sizes[i].number != 1 && meta.strides[i].number != expected)
      return false;
    expected *= meta.sizes[i].number;
  }
  return true;
}

/// The elements of a view, one after the other.
static TensorBytes copyView(const TensorMeta &meta, StringRef storage,
                            int64_t count) {
  int64_t width = getElementSize(meta.type);
  auto copy = std::make_shared<std::vector<char>>(count * width);
  SmallVector<int64_t> index(meta.sizes.size(), 0);
  int64_t position = meta.offset.number;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(copy->data() + i * width, storage.data() + position * width,
                width);
    for (size_t d = index.size(); d-- > 0;) {
      position += meta.strides[d].number;
      if (++index[d] < meta.sizes[d].number)
        break;
      position -= meta.strides[d].number * meta.sizes[d].number;
      index[d] = 0;
    }
  }
  return {ArrayRef<char>(*copy), copy};
}

LogicalResult GraphImporter::importStored(Scope &scope,
                                          const InputSpec &input) {
  const StoredTensor &stored = program.stored.find(input.target)->second;
  TensorMeta meta = stored.meta;
  ElementType element =
      *convertElementType(builder.getContext(), stored.meta.type);
  SizeList sizes;
  SmallVector<int64_t> shape;
  int64_t count = 1;
  for (size_t i = 0; i < meta.sizes.size(); ++i) {
    sizes.push_back(meta.sizes[i].number);
    // One element that is repeated is stored once.
    if (meta.strides[i].number == 0 && meta.sizes[i].number > 1)
      meta.sizes[i].number = 1;
    shape.push_back(meta.sizes[i].number);
    count *= shape.back();
  }
  int64_t width = getElementSize(meta.type);
  TensorBytes data;
  if (isContiguous(meta)) {
    StringRef bytes =
        count ? stored.storage.substr(meta.offset.number * width, count * width)
              : "";
    data = {ArrayRef<char>(bytes.data(), bytes.size()), program.owner,
            program.isMapped};
  } else if (count > static_cast<int64_t>(stored.storage.size()) / width) {
    return tensorBuilder.error()
           << "a stored tensor whose elements overlap is not supported";
  } else {
    data = copyView(meta, stored.storage, count);
  }
  Tensor tensor = makeStoredConstant(tensorBuilder,
                                     RankedTensorType::get(shape, element.type),
                                     element, input.target, std::move(data));
  FailureOr<Tensor> expanded = tensorBuilder.expand(tensor, sizes);
  if (failed(expanded))
    return failure();
  auto declared = scope.graph.tensors.find(input.name);
  if (declared != scope.graph.tensors.end() &&
      (declared->second.sizes.size() != sizes.size() ||
       declared->second.type != meta.type))
    return tensorBuilder.error()
           << "the archive holds a tensor of another type or rank than the "
              "graph's";
  scope.states[input.name].tensor = *expanded;
  return success();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::addOutput(Scope &scope, const ArgumentItem &value,
                                       StringRef title) {
  tensorBuilder.setNode(NameLoc::get(builder.getStringAttr(title)),
                        ("output '" + title + "'").str());
  if (value.kind == ArgumentItem::Value && scope.poisoned.contains(value.text))
    return failure();
  if (value.kind == ArgumentItem::None)
    return success();
  Tensor tensor = makeItem(scope, value);
  if (!tensor && value.kind != ArgumentItem::Value)
    return tensorBuilder.error() << "only tensors and numbers are supported";
  if (!tensor)
    return failure();
  results.push_back(tensorBuilder.getValue(tensor));
  resultAttributes.push_back(getSignature(title, *tensor));
  return success();
}

LogicalResult GraphImporter::importOutputs(Scope &scope,
                                           func::FuncOp function) {
  llvm::StringMap<const ArgumentItem *> changes;
  size_t position = 0;
  size_t users = llvm::count_if(program.outputs, [](const OutputSpec &output) {
    return output.kind == OutputSpec::User;
  });
  bool hasNames = program.outputNames.size() == users;
  llvm::StringSet<> taken;
  for (const OutputSpec &output : program.outputs) {
    if (output.kind != OutputSpec::User) {
      changes[output.target] = &output.value;
      continue;
    }
    std::string title =
        hasNames ? program.outputNames[position] : output.value.text;
    ++position;
    // One tensor may be returned twice, and constants have no name.
    while (title.empty() || !taken.insert(title).second)
      title = (title.empty() ? "output" : title) + "." +
              std::to_string(position - 1);
    if (failed(addOutput(scope, output.value, title)))
      return failure();
  }
  // In the order of the arguments: the user's before the stored ones.
  for (bool isUser : {true, false})
    for (const InputSpec &input : program.inputs) {
      if (!mutated.contains(input.name) ||
          (input.kind == InputSpec::User) != isUser)
        continue;
      const std::string &name = isUser ? input.name : input.target;
      ArgumentItem own;
      own.kind = ArgumentItem::Value;
      own.text = input.name;
      const ArgumentItem *change = changes.lookup(name);
      if (failed(addOutput(scope, change ? *change : own, name + ".next")))
        return failure();
    }
  func::ReturnOp::create(builder, fileLoc, results);
  function.setFunctionType(builder.getFunctionType(
      function.getFunctionType().getInputs(), TypeRange(ValueRange(results))));
  for (auto [i, attributes] : llvm::enumerate(resultAttributes))
    function.setResultAttrs(i, attributes);
  return success();
}
