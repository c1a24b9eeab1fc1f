//===- ONNXImporter.cpp - Nodes, functions, inputs and outputs ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: a model that passed the reader's checks. Output: a module with one
// function `main` whose arguments and results carry their ONNX names, element
// types and symbolic dimensions.
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace pquant;

GraphImporter::GraphImporter(ONNXModel &checkedModel, MLIRContext *context,
                             StringRef file, bool collectOnly)
    : model(checkedModel), builder(context),
      fileLoc(FileLineColLoc::get(builder.getStringAttr(file), 0, 0)),
      tensorBuilder(builder, fileLoc), constants(model, tensorBuilder),
      collect(collectOnly) {}

//===----------------------------------------------------------------------===//
// Inputs and outputs
//===----------------------------------------------------------------------===//

ArrayAttr GraphImporter::getDimNames(ArrayRef<SizeExpr> sizes,
                                     const onnx::TypeProto_Tensor &type) {
  SmallVector<Attribute> dims;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    if (std::optional<int64_t> constant = size.getConstant()) {
      dims.push_back(builder.getI64IntegerAttr(*constant));
      continue;
    }
    std::string name = "?";
    if (auto it = sizeNames.find(size); it != sizeNames.end())
      name = it->second;
    else if (static_cast<int>(i) < type.shape().dim_size() &&
             !type.shape().dim(i).dim_param().empty())
      name = type.shape().dim(i).dim_param();
    dims.push_back(builder.getStringAttr(name));
  }
  return builder.getArrayAttr(dims);
}

DictionaryAttr GraphImporter::getSignature(StringRef name,
                                           const TensorInfo &tensor,
                                           const onnx::TypeProto_Tensor &type) {
  NamedAttribute attributes[] = {
      builder.getNamedAttr("pquant.name", builder.getStringAttr(name)),
      builder.getNamedAttr("pquant.dtype",
                           builder.getStringAttr(getNumPyName(tensor.element))),
      builder.getNamedAttr("pquant.dims", getDimNames(tensor.sizes, type))};
  return builder.getDictionaryAttr(attributes);
}

LogicalResult GraphImporter::importInputs(Scope &scope, func::FuncOp function) {
  SmallVector<DictionaryAttr> signatures;
  for (const onnx::ValueInfoProto &input : model.proto.graph().input()) {
    // A default value is what the input is, until it can be overridden.
    if (scope.tensors.count(input.name()))
      continue;
    tensorBuilder.setNode(NameLoc::get(builder.getStringAttr(input.name())),
                          "graph input '" + input.name() + "'");
    if (!input.type().has_tensor_type())
      return tensorBuilder.error() << "only tensors are supported";
    const onnx::TypeProto_Tensor &type = input.type().tensor_type();
    std::optional<ElementType> element =
        convertElementType(builder.getContext(), type.elem_type());
    if (!element || element->narrowBits)
      return tensorBuilder.error()
             << "element type '" << getONNXTypeName(type.elem_type())
             << "' is not supported";
    if (!type.has_shape())
      return tensorBuilder.error() << "expected an input of known rank";
    SmallVector<int64_t> shape;
    for (const auto &dim : type.shape().dim()) {
      if (dim.has_dim_value() && dim.dim_value() < 0)
        return tensorBuilder.error()
               << "expected dimensions of at least 0, but got "
               << dim.dim_value();
      shape.push_back(dim.has_dim_value() ? dim.dim_value()
                                          : ShapedType::kDynamic);
    }
    auto tensorType = RankedTensorType::get(shape, element->type);
    Value argument = function.getBody().front().addArgument(
        tensorType, tensorBuilder.getLoc());
    SizeList sizes;
    for (auto [i, dim] : llvm::enumerate(type.shape().dim())) {
      if (dim.has_dim_value()) {
        sizes.push_back(dim.dim_value());
        continue;
      }
      auto known = namedSizes.find(dim.dim_param());
      if (!dim.dim_param().empty() && known != namedSizes.end()) {
        sizes.push_back(known->second);
        continue;
      }
      Value size =
          tensor::DimOp::create(builder, tensorBuilder.getLoc(), argument,
                                tensorBuilder.getIndexConstant(i));
      sizes.push_back(tensorBuilder.atomFor(size, /*isNonNegative=*/true));
      if (!dim.dim_param().empty()) {
        namedSizes.try_emplace(dim.dim_param(), sizes.back());
        sizeNames.emplace(sizes.back(), dim.dim_param());
      }
    }
    Tensor tensor = tensorBuilder.makeTensor(argument, *element, sizes);
    scope.tensors[input.name()] = tensor;
    signatures.push_back(getSignature(input.name(), *tensor, type));
  }
  function.setFunctionType(builder.getFunctionType(
      SmallVector<Type>(function.getBody().getArgumentTypes()), {}));
  for (auto [i, signature] : llvm::enumerate(signatures))
    function.setArgAttrs(i, signature);
  return success();
}

LogicalResult GraphImporter::importOutputs(Scope &scope,
                                           func::FuncOp function) {
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> signatures;
  for (const onnx::ValueInfoProto &output : model.proto.graph().output()) {
    tensorBuilder.setNode(NameLoc::get(builder.getStringAttr(output.name())),
                          "graph output '" + output.name() + "'");
    if (scope.isPoisoned(output.name()))
      return failure();
    Tensor tensor = scope.lookup(output.name());
    if (tensor->element.narrowBits)
      return tensorBuilder.error()
             << "element type '" << getNumPyName(tensor->element)
             << "' is not supported";
    const onnx::TypeProto_Tensor &type = output.type().tensor_type();
    std::optional<ElementType> declared =
        convertElementType(builder.getContext(), type.elem_type());
    if (declared && *declared != tensor->element)
      return tensorBuilder.error()
             << "declared as " << getNumPyName(*declared)
             << ", but computed as " << getNumPyName(tensor->element);
    if (type.has_shape() && type.shape().dim_size() != tensor->getRank())
      return tensorBuilder.error()
             << "declared with rank " << type.shape().dim_size()
             << ", but computed with rank " << tensor->getRank();
    SizeList sizes = tensor->sizes;
    if (type.has_shape())
      for (auto [size, dim] : llvm::zip_equal(sizes, type.shape().dim()))
        if (dim.has_dim_value())
          size = SizeExpr(dim.dim_value());
    FailureOr<Tensor> refined = tensorBuilder.refineSizes(tensor, sizes);
    if (failed(refined))
      return failure();
    results.push_back(tensorBuilder.getValue(*refined));
    signatures.push_back(getSignature(output.name(), **refined, type));
  }
  func::ReturnOp::create(builder, fileLoc, results);
  function.setFunctionType(builder.getFunctionType(
      function.getFunctionType().getInputs(), TypeRange(ValueRange(results))));
  for (auto [i, signature] : llvm::enumerate(signatures))
    function.setResultAttrs(i, signature);
  return success();
}

void GraphImporter::importInitializers(Scope &scope,
                                       const onnx::GraphProto &graph) {
  for (const onnx::TensorProto &tensor : graph.initializer()) {
    tensorBuilder.setNode(NameLoc::get(builder.getStringAttr(tensor.name())),
                          "initializer '" + tensor.name() + "'");
    scope.tensors[tensor.name()] = constants.import(tensor, tensor.name());
  }
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void GraphImporter::record(const onnx::NodeProto &node, StringRef nodeName,
                           StringRef reason) {
  std::string domain = node.domain() == "ai.onnx" ? "" : node.domain();
  recordUnsupportedOp(
      unsupported, {domain, node.op_type(), 1, nodeName.str(), reason.str()});
}

void GraphImporter::importNodes(Scope &scope, const NodeList &nodes,
                                ArrayRef<int> order) {
  for (int i : order) {
    const onnx::NodeProto &node = nodes[i];
    std::string name = node.name().empty()
                           ? node.op_type() + "#" + std::to_string(i)
                           : node.name();
    Location loc = NameLoc::get(builder.getStringAttr(name));
    if (scope.call)
      loc = CallSiteLoc::get(loc, *scope.call);
    nodeSubject = scope.subject + describeNode(node, i);
    std::string subject = nodeSubject;
    tensorBuilder.setNode(loc, subject);
    std::string message;
    ScopedDiagnosticHandler handler(builder.getContext(),
                                    [&](Diagnostic &diagnostic) {
                                      if (!collect)
                                        return failure();
                                      if (message.empty())
                                        message = diagnostic.str();
                                      return success();
                                    });
    if (succeeded(importNode(scope, node, name)))
      continue;
    StringRef reason(message);
    reason.consume_front(subject + ": ");
    if (!message.empty())
      record(node, name, reason);
    hasFailed = true;
    for (const std::string &output : node.output())
      scope.poisoned.insert(output);
  }
}

LogicalResult GraphImporter::importNode(Scope &scope,
                                        const onnx::NodeProto &node,
                                        StringRef name) {
  SmallVector<Tensor> inputs;
  for (const std::string &input : node.input())
    inputs.push_back(input.empty() ? nullptr : scope.lookup(input));
  // A function of our domain is the operation of its name, whatever its body.
  const auto &functions = model.proto.functions();
  for (int i = 0; i < functions.size(); ++i)
    if (functions[i].name() == node.op_type() &&
        functions[i].domain() == node.domain() && node.domain() != pquantDomain)
      return inlineFunction(scope, node, i, inputs);

  const HandlerRow *row = findHandler(scope, node, name);
  // What reads a poisoned value is not built: its cause is known.
  bool isPoisoned = llvm::any_of(node.input(), [&](const std::string &input) {
    return scope.isPoisoned(input);
  });
  if (!row || isPoisoned)
    return failure();
  return runHandler(scope, node, *row, std::move(inputs));
}

const HandlerRow *GraphImporter::findHandler(const Scope &scope,
                                             const onnx::NodeProto &node,
                                             StringRef name) {
  std::string domain = node.domain() == "ai.onnx" ? "" : node.domain();
  auto opset = scope.opsets.find(domain);
  auto reject = [&](const Twine &reason) {
    record(node, name, reason.str());
    return nullptr;
  };
  if (opset == scope.opsets.end())
    return reject("the model imports no opset of its domain");
  if (domain == pquantDomain && opset->second != pquantDomainVersion)
    return reject("needs version " + Twine(pquantDomainVersion) +
                  " of domain '" + domain + "', but got " +
                  Twine(opset->second));
  const HandlerRow *row =
      handlers.lookup(domain, node.op_type(), opset->second);
  if (!row) {
    if (std::optional<int64_t> first =
            handlers.getFirstOpset(domain, node.op_type()))
      return reject("needs opset " + Twine(*first) + " or later, but got " +
                    Twine(opset->second));
    return reject(node.op_type() == "NonZero" || node.op_type() == "Compress" ||
                          node.op_type() == "Unique"
                      ? "the size of its result depends on the data"
                      : "the operator is not supported");
  }
  return row;
}

LogicalResult GraphImporter::runHandler(Scope &scope,
                                        const onnx::NodeProto &node,
                                        const HandlerRow &row,
                                        SmallVector<Tensor> inputs) {
  // Trailing inputs that are omitted do not count.
  while (!inputs.empty() && !inputs.back())
    inputs.pop_back();
  unsigned present = inputs.size();
  bool hasHoles = llvm::is_contained(
      ArrayRef(inputs).take_front(std::min(present, row.minInputs)), nullptr);
  if (present < row.minInputs || present > row.maxInputs || hasHoles ||
      (row.maxInputs == variadic && llvm::is_contained(inputs, nullptr)))
    return tensorBuilder.error()
           << "expected " << row.minInputs << " required inputs"
           << (row.maxInputs == variadic
                   ? std::string(" or more")
                   : " and at most " + std::to_string(row.maxInputs))
           << ", but got "
           << llvm::count_if(inputs, [](Tensor t) { return t; });
  int64_t opset =
      scope.opsets.lookup(node.domain() == "ai.onnx" ? "" : node.domain());
  unsigned outputs = node.output_size();
  if (outputs < 1 || outputs > row.maxOutputs)
    return tensorBuilder.error() << "expected 1 to " << row.maxOutputs
                                 << " outputs, but got " << outputs;
  auto importGraph = [&](const onnx::GraphProto &graph,
                         ArrayRef<Tensor> graphInputs) {
    return importSubgraph(scope, graph, graphInputs);
  };
  NodeContext ctx(tensorBuilder, constants, node, scope.attributes, opset,
                  std::move(inputs), importGraph);
  if (failed(row.handler(ctx)) || ctx.hasFailed())
    return failure();
  for (auto [name, tensor] : llvm::zip_equal(node.output(), ctx.getOutputs())) {
    if (name.empty())
      continue;
    if (!tensor)
      return tensorBuilder.error()
             << "output '" << name << "' is not supported";
    scope.tensors[name] = tensor;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

/// Sizes and constants that turned out not to be needed.
static void eraseDeadOps(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

FailureOr<OwningOpRef<ModuleOp>> GraphImporter::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(fileLoc);
  builder.setInsertionPointToEnd(module->getBody());
  const onnx::GraphProto &graph = model.proto.graph();
  Location graphLoc = FusedLoc::get(
      builder.getContext(),
      {fileLoc, NameLoc::get(builder.getStringAttr(graph.name()))});
  auto function = func::FuncOp::create(builder, graphLoc, "main",
                                       builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  Scope scope;
  for (const onnx::OperatorSetIdProto &opset : model.proto.opset_import())
    scope.opsets[opset.domain() == "ai.onnx" ? "" : opset.domain()] =
        opset.version();
  importInitializers(scope, graph);
  if (failed(importInputs(scope, function)))
    return failure();
  importNodes(scope, graph.node(), model.nodeOrder);
  if (!collect)
    reportUnsupportedOps(unsupported, fileLoc, "ONNX");
  if (hasFailed || failed(importOutputs(scope, function)))
    return failure();
  eraseDeadOps(function.getBody().front());
  if (failed(verify(*module)))
    return failure();
  return module;
}
