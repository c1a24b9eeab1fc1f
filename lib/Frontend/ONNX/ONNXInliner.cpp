//===- ONNXInliner.cpp - Functions and graphs that nodes stand for --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A call of a function of the model, and a graph that a node has as attribute,
// are imported where they are used: in a scope of their own, which for a graph
// sees the names around it.
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

using namespace mlir;
using namespace pquant;

/// Functions may call functions; a model must not grow beyond this.
static constexpr int64_t maxInlinedNodes = int64_t(1) << 20;

Tensor GraphImporter::Scope::lookup(StringRef name) const {
  for (const Scope *scope = this; scope; scope = scope->outer)
    if (auto it = scope->tensors.find(name); it != scope->tensors.end())
      return it->second;
  return nullptr;
}

bool GraphImporter::Scope::isPoisoned(StringRef name) const {
  for (const Scope *scope = this; scope; scope = scope->outer) {
    if (scope->poisoned.contains(name))
      return true;
    if (scope->tensors.count(name))
      return false;
  }
  return false;
}

LogicalResult GraphImporter::countInlined(int64_t nodes) {
  // A body without nodes counts too: loops may hold loops.
  inlinedNodes += nodes + 1;
  if (inlinedNodes <= maxInlinedNodes)
    return success();
  return tensorBuilder.error()
         << "the model's functions and loops expand to more than "
         << maxInlinedNodes << " nodes";
}

//===----------------------------------------------------------------------===//
// Functions of the model
//===----------------------------------------------------------------------===//

// Defaults came with IR version 9: field 11, which an older schema keeps among
// the unknown fields.
LogicalResult
GraphImporter::readFunctionDefaults(const onnx::FunctionProto &function,
                                    AttributeMap &attributes) {
  constexpr int attributeProtoField = 11;
  const google::protobuf::UnknownFieldSet &fields =
      function.GetReflection()->GetUnknownFields(function);
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField &field = fields.field(i);
    if (field.number() != attributeProtoField)
      continue;
    onnx::AttributeProto &attribute = functionDefaults.emplace_back();
    if (field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED ||
        !attribute.ParseFromString(field.length_delimited()))
      return tensorBuilder.error()
             << "malformed default attribute of function '" << function.name()
             << "'";
    if (attribute.has_t())
      if (llvm::Error error = checkTensor(model, attribute.t()))
        return tensorBuilder.error()
               << "default attribute '" << attribute.name()
               << "': " << llvm::toString(std::move(error));
    attributes.try_emplace(attribute.name(), &attribute);
  }
  return success();
}

LogicalResult GraphImporter::inlineFunction(Scope &scope,
                                            const onnx::NodeProto &node,
                                            int functionIndex,
                                            ArrayRef<Tensor> inputs) {
  const onnx::FunctionProto &function = model.proto.functions(functionIndex);
  if (llvm::is_contained(callStack, functionIndex))
    return tensorBuilder.error()
           << "function '" << function.name() << "' calls itself";
  if (failed(countInlined(function.node_size())))
    return failure();
  if (static_cast<int>(inputs.size()) > function.input_size() ||
      node.output_size() > function.output_size())
    return tensorBuilder.error()
           << "expected at most " << function.input_size() << " inputs and "
           << function.output_size() << " outputs, but got " << inputs.size()
           << " and " << node.output_size();
  AttributeMap attributes;
  for (const onnx::AttributeProto &attribute : node.attribute()) {
    const onnx::AttributeProto *value = &attribute;
    if (!attribute.ref_attr_name().empty())
      value = scope.attributes
                  ? scope.attributes->lookup(attribute.ref_attr_name())
                  : nullptr;
    if (value)
      attributes[attribute.name()] = value;
  }
  if (failed(readFunctionDefaults(function, attributes)))
    return failure();

  Scope body;
  body.attributes = &attributes;
  body.call = tensorBuilder.getLoc();
  body.subject = nodeSubject + ": ";
  for (const onnx::OperatorSetIdProto &opset : function.opset_import())
    body.opsets[opset.domain() == "ai.onnx" ? "" : opset.domain()] =
        opset.version();
  for (auto [i, name] : llvm::enumerate(function.input()))
    body.tensors[name] = i < inputs.size() ? inputs[i] : nullptr;
  for (auto [i, input] : llvm::enumerate(node.input()))
    if (scope.isPoisoned(input))
      body.poisoned.insert(function.input(i));
  callStack.push_back(functionIndex);
  importNodes(body, function.node(), model.functionOrders[functionIndex]);
  callStack.pop_back();
  for (auto [i, output] : llvm::enumerate(node.output())) {
    const std::string &name = function.output(i);
    Tensor tensor = body.tensors.lookup(name);
    if (body.poisoned.contains(name))
      scope.poisoned.insert(output);
    else if (!tensor && !output.empty())
      return tensorBuilder.error()
             << "function '" << function.name()
             << "' returns its omitted input '" << name << "'";
    else
      scope.tensors[output] = tensor;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Graphs of nodes
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Tensor>>
GraphImporter::importSubgraph(const Scope &outer, const onnx::GraphProto &graph,
                              ArrayRef<Tensor> inputs) {
  if (failed(countInlined(graph.node_size())))
    return failure();
  if (static_cast<int>(inputs.size()) != graph.input_size())
    return tensorBuilder.error() << "expected a graph of " << inputs.size()
                                 << " inputs, but got " << graph.input_size();
  // Defaults of functions, and graphs that are missing, were never checked.
  auto order = model.subgraphOrders.find(&graph);
  if (order == model.subgraphOrders.end())
    return tensorBuilder.error() << "expected a graph in the node itself";
  Location loc = tensorBuilder.getLoc();
  std::string subject = nodeSubject;
  Scope body;
  body.outer = &outer;
  body.attributes = outer.attributes;
  body.opsets = outer.opsets;
  body.call = loc;
  body.subject = subject + ": ";
  importInitializers(body, graph);
  for (auto [input, tensor] : llvm::zip_equal(graph.input(), inputs))
    body.tensors[input.name()] = tensor;
  importNodes(body, graph.node(), order->second);
  nodeSubject = subject;
  tensorBuilder.setNode(loc, subject);
  SmallVector<Tensor> outputs;
  for (const onnx::ValueInfoProto &output : graph.output()) {
    Tensor tensor = body.lookup(output.name());
    if (body.isPoisoned(output.name()))
      return failure();
    if (!tensor)
      return tensorBuilder.error()
             << "the graph returns an omitted input, '" << output.name() << "'";
    outputs.push_back(tensor);
  }
  return outputs;
}
