//===- ONNXGraphChecks.cpp - Names, order and tensors of graphs -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ONNXReader.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;
using namespace pquant;

using NodeList = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

std::string pquant::describeNode(const onnx::NodeProto &node, int index) {
  std::string name = node.name().empty()
                         ? node.op_type() + "#" + std::to_string(index)
                         : node.name();
  return "node '" + name + "' (" + node.op_type() + ")";
}

/// Marks a name that no node computes: an input or an initialiser.
static constexpr int isGiven = -1;

/// Finds an order in which every node follows what it reads. `producers` maps
/// the names that are there from the start to `isGiven`.
static Expected<std::vector<int>> sortNodes(const NodeList &nodes,
                                            StringMap<int> producers) {
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &name : nodes[i].output())
      if (!name.empty() && !producers.try_emplace(name, i).second)
        return createStringError(describeNode(nodes[i], i) + ": output '" +
                                 name + "' is defined twice");
  std::vector<unsigned> missing(nodes.size(), 0);
  std::vector<std::vector<int>> users(nodes.size());
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &name : nodes[i].input()) {
      if (name.empty())
        continue;
      auto it = producers.find(name);
      if (it == producers.end())
        return createStringError(describeNode(nodes[i], i) + ": input '" +
                                 name + "' is not defined");
      if (it->second == isGiven)
        continue;
      ++missing[i];
      users[it->second].push_back(i);
    }
  // A heap of the nodes that may come next, the file's first one on top: its
  // order is kept where it is valid.
  std::vector<int> order, ready;
  for (int i = 0; i < nodes.size(); ++i)
    if (missing[i] == 0)
      ready.push_back(i);
  auto comesLater = [](int a, int b) { return a > b; };
  while (!ready.empty()) {
    std::pop_heap(ready.begin(), ready.end(), comesLater);
    int node = ready.back();
    ready.pop_back();
    order.push_back(node);
    for (int user : users[node])
      if (--missing[user] == 0) {
        ready.push_back(user);
        std::push_heap(ready.begin(), ready.end(), comesLater);
      }
  }
  for (int i = 0; i < nodes.size(); ++i)
    if (missing[i] != 0)
      return createStringError(describeNode(nodes[i], i) +
                               ": the node is part of a cycle, or reads one");
  return order;
}

static Error checkNodeTensors(ONNXModel &model, const NodeList &nodes) {
  for (int i = 0; i < nodes.size(); ++i)
    for (const onnx::AttributeProto &attribute : nodes[i].attribute())
      if (attribute.has_t())
        if (Error error = checkTensor(model, attribute.t()))
          return createStringError(describeNode(nodes[i], i) + ": attribute '" +
                                   attribute.name() +
                                   "': " + toString(std::move(error)));
  return Error::success();
}

static Error checkMainGraph(ONNXModel &model) {
  const onnx::GraphProto &graph = model.proto.graph();
  if (graph.sparse_initializer_size() > 0)
    return createStringError("sparse initializers are not supported");
  StringMap<int> names;
  for (const onnx::TensorProto &tensor : graph.initializer()) {
    if (!names.try_emplace(tensor.name(), isGiven).second)
      return createStringError("initializer '" + tensor.name() +
                               "' is defined twice");
    if (Error error = checkTensor(model, tensor))
      return createStringError("initializer '" + tensor.name() +
                               "': " + toString(std::move(error)));
  }
  StringMap<int> inputs;
  for (const onnx::ValueInfoProto &input : graph.input()) {
    if (!inputs.try_emplace(input.name(), isGiven).second)
      return createStringError("graph input '" + input.name() +
                               "' is defined twice");
    // An initialiser of the same name is the input's default value.
    names.try_emplace(input.name(), isGiven);
  }
  Expected<std::vector<int>> order = sortNodes(graph.node(), names);
  if (!order)
    return order.takeError();
  model.nodeOrder = std::move(*order);
  for (const onnx::NodeProto &node : graph.node())
    for (const std::string &name : node.output())
      names.try_emplace(name, isGiven);
  if (graph.output_size() == 0)
    return createStringError("the graph has no outputs");
  for (const onnx::ValueInfoProto &output : graph.output())
    if (!names.count(output.name()))
      return createStringError("graph output '" + output.name() +
                               "' is not defined");
  return checkNodeTensors(model, graph.node());
}

Error pquant::checkGraphs(ONNXModel &model) {
  if (Error error = checkMainGraph(model))
    return error;
  for (const onnx::FunctionProto &function : model.proto.functions()) {
    StringMap<int> names;
    for (const std::string &input : function.input())
      names.try_emplace(input, isGiven);
    auto explain = [&](Error error) {
      return createStringError("function '" + function.domain() + "." +
                               function.name() +
                               "': " + toString(std::move(error)));
    };
    Expected<std::vector<int>> order = sortNodes(function.node(), names);
    if (!order)
      return explain(order.takeError());
    model.functionOrders.push_back(std::move(*order));
    for (const onnx::NodeProto &node : function.node())
      for (const std::string &name : node.output())
        names.try_emplace(name, isGiven);
    for (const std::string &output : function.output())
      if (!names.count(output))
        return explain(
            createStringError("output '" + output + "' is not defined"));
    if (Error error = checkNodeTensors(model, function.node()))
      return explain(std::move(error));
  }
  return Error::success();
}
