//===- ONNXGraphChecks.cpp - Names, order and tensors of graphs -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ONNXReader.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
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

namespace {
/// The names of one graph, by the node that computes each, and the graph
/// around it.
struct Names {
  const Names *outer = nullptr;
  StringMap<int> own;

  bool contains(StringRef name) const {
    return own.count(name) || (outer && outer->contains(name));
  }
};
} // namespace

/// Appends the names that a graph reads from the graphs around it.
static void appendCaptures(const onnx::GraphProto &graph,
                           std::vector<std::string> &captures);

/// Everything that a node reads: its inputs, and what its graphs capture.
static std::vector<std::string> getReads(const onnx::NodeProto &node) {
  std::vector<std::string> reads(node.input().begin(), node.input().end());
  for (const onnx::AttributeProto &attribute : node.attribute())
    if (attribute.has_g())
      appendCaptures(attribute.g(), reads);
  return reads;
}

static void appendCaptures(const onnx::GraphProto &graph,
                           std::vector<std::string> &captures) {
  StringSet<> local;
  for (const onnx::ValueInfoProto &input : graph.input())
    local.insert(input.name());
  for (const onnx::TensorProto &tensor : graph.initializer())
    local.insert(tensor.name());
  for (const onnx::NodeProto &node : graph.node())
    for (const std::string &name : node.output())
      local.insert(name);
  auto append = [&](const std::string &name) {
    if (!name.empty() && !local.contains(name))
      captures.push_back(name);
  };
  for (const onnx::NodeProto &node : graph.node())
    for (const std::string &name : getReads(node))
      append(name);
  for (const onnx::ValueInfoProto &output : graph.output())
    append(output.name());
}

/// Finds an order in which every node follows what it reads. `names` has the
/// names that are there from the start, and afterwards those of the nodes.
static Expected<std::vector<int>> sortNodes(const NodeList &nodes,
                                            Names &names) {
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &name : nodes[i].output())
      if (!name.empty() && !names.own.try_emplace(name, i).second)
        return createStringError(describeNode(nodes[i], i) + ": output '" +
                                 name + "' is defined twice");
  std::vector<unsigned> missing(nodes.size(), 0);
  std::vector<std::vector<int>> users(nodes.size());
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &name : getReads(nodes[i])) {
      if (name.empty())
        continue;
      if (!names.contains(name))
        return createStringError(describeNode(nodes[i], i) + ": input '" +
                                 name + "' is not defined");
      auto it = names.own.find(name);
      if (it == names.own.end() || it->second == isGiven)
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

static Error checkInitializers(ONNXModel &model, const onnx::GraphProto &graph,
                               Names &names) {
  if (graph.sparse_initializer_size() > 0)
    return createStringError("sparse initializers are not supported");
  for (const onnx::TensorProto &tensor : graph.initializer()) {
    if (!names.own.try_emplace(tensor.name(), isGiven).second)
      return createStringError("initializer '" + tensor.name() +
                               "' is defined twice");
    if (Error error = checkTensor(model, tensor))
      return createStringError("initializer '" + tensor.name() +
                               "': " + toString(std::move(error)));
  }
  return Error::success();
}

static Error checkSubgraph(ONNXModel &model, const onnx::GraphProto &graph,
                           const Names &outer);

/// Checks the tensors and graphs that nodes have as attributes.
static Error checkAttributes(ONNXModel &model, const NodeList &nodes,
                             const Names &names) {
  for (int i = 0; i < nodes.size(); ++i)
    for (const onnx::AttributeProto &attribute : nodes[i].attribute()) {
      auto explain = [&](Error error) {
        return createStringError(describeNode(nodes[i], i) + ": attribute '" +
                                 attribute.name() +
                                 "': " + toString(std::move(error)));
      };
      if (attribute.has_t())
        if (Error error = checkTensor(model, attribute.t()))
          return explain(std::move(error));
      if (attribute.has_g())
        if (Error error = checkSubgraph(model, attribute.g(), names))
          return explain(std::move(error));
    }
  return Error::success();
}

static Error checkSubgraph(ONNXModel &model, const onnx::GraphProto &graph,
                           const Names &outer) {
  Names names{&outer, {}};
  for (const onnx::ValueInfoProto &input : graph.input())
    if (!names.own.try_emplace(input.name(), isGiven).second)
      return createStringError("graph input '" + input.name() +
                               "' is defined twice");
  if (Error error = checkInitializers(model, graph, names))
    return error;
  Expected<std::vector<int>> order = sortNodes(graph.node(), names);
  if (!order)
    return order.takeError();
  for (const onnx::ValueInfoProto &output : graph.output())
    if (!names.contains(output.name()))
      return createStringError("graph output '" + output.name() +
                               "' is not defined");
  model.subgraphOrders[&graph] = std::move(*order);
  return checkAttributes(model, graph.node(), names);
}

static Error checkMainGraph(ONNXModel &model) {
  const onnx::GraphProto &graph = model.proto.graph();
  Names names;
  if (Error error = checkInitializers(model, graph, names))
    return error;
  StringSet<> inputs;
  for (const onnx::ValueInfoProto &input : graph.input()) {
    if (!inputs.insert(input.name()).second)
      return createStringError("graph input '" + input.name() +
                               "' is defined twice");
    // An initialiser of the same name is the input's default value.
    names.own.try_emplace(input.name(), isGiven);
  }
  Expected<std::vector<int>> order = sortNodes(graph.node(), names);
  if (!order)
    return order.takeError();
  model.nodeOrder = std::move(*order);
  if (graph.output_size() == 0)
    return createStringError("the graph has no outputs");
  for (const onnx::ValueInfoProto &output : graph.output())
    if (!names.contains(output.name()))
      return createStringError("graph output '" + output.name() +
                               "' is not defined");
  return checkAttributes(model, graph.node(), names);
}

static Error checkFunction(ONNXModel &model,
                           const onnx::FunctionProto &function) {
  Names names;
  for (const std::string &input : function.input())
    names.own.try_emplace(input, isGiven);
  Expected<std::vector<int>> order = sortNodes(function.node(), names);
  if (!order)
    return order.takeError();
  model.functionOrders.push_back(std::move(*order));
  for (const std::string &output : function.output())
    if (!names.contains(output))
      return createStringError("output '" + output + "' is not defined");
  return checkAttributes(model, function.node(), names);
}

Error pquant::checkGraphs(ONNXModel &model) {
  if (Error error = checkMainGraph(model))
    return error;
  for (const onnx::FunctionProto &function : model.proto.functions())
    if (Error error = checkFunction(model, function))
      return createStringError("function '" + function.domain() + "." +
                               function.name() +
                               "': " + toString(std::move(error)));
  return Error::success();
}
