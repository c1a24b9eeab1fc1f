//===- HigherOrder.cpp - Operators that have bodies -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A body is a graph of its own, whose inputs are arguments of the node. Bodies
// do not write to what is outside.
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

/// Bodies in bodies, deeper than any model has.
static constexpr unsigned maxBodyDepth = 64;

FailureOr<SmallVector<Tensor>>
GraphImporter::importBody(Scope &scope, const Node &node, const Graph &graph,
                          ArrayRef<const ArgumentItem *> arguments) {
  if (scope.depth >= maxBodyDepth)
    return tensorBuilder.error()
           << "expected bodies that nest at most " << maxBodyDepth << " deep";
  if (arguments.size() != graph.inputs.size())
    return tensorBuilder.error()
           << "expected " << graph.inputs.size()
           << " arguments of its body, but got " << arguments.size();
  Scope body{graph, {}, {}, scope.hasWrites, scope.depth + 1};
  for (auto [name, argument] : llvm::zip_equal(graph.inputs, arguments)) {
    if (argument->kind == ArgumentItem::Value &&
        scope.poisoned.contains(argument->text))
      body.poisoned.insert(name);
    else if (!name.empty())
      body.states[name].tensor = makeItem(scope, *argument);
  }
  importNodes(body);
  std::string subject = "node '" + node.name + "' (" + node.target + ")";
  tensorBuilder.setNode(getLocation(node), subject);
  for (const std::string &input : graph.inputs)
    if (body.states.lookup(input).version > 0)
      return tensorBuilder.error()
             << "a write to an argument of its body is not supported";
  SmallVector<Tensor> outputs;
  for (const ArgumentItem &output : graph.outputs) {
    bool isPoisoned = body.poisoned.contains(output.text);
    outputs.push_back(isPoisoned ? nullptr : makeItem(body, output));
  }
  return outputs;
}

/// The body as if it stood there.
LogicalResult GraphImporter::importRegion(Scope &scope, const Node &node) {
  const ArgumentItem *body = nullptr;
  SmallVector<const ArgumentItem *> arguments;
  for (const Argument &argument : node.inputs)
    for (const ArgumentItem &item : argument.items) {
      if (body)
        arguments.push_back(&item);
      else if (item.kind == ArgumentItem::Subgraph)
        body = &item;
    }
  if (!body)
    return tensorBuilder.error() << "expected a body";
  FailureOr<SmallVector<Tensor>> outputs =
      importBody(scope, node, *body->graph, arguments);
  return failed(outputs) ? failure() : setOutputs(scope, node, *outputs);
}

LogicalResult GraphImporter::setOutputs(Scope &scope, const Node &node,
                                        ArrayRef<Tensor> outputs) {
  if (outputs.size() != node.outputs.size())
    return tensorBuilder.error()
           << "expected " << node.outputs.size()
           << " results of its body, but got " << outputs.size();
  for (auto [name, tensor] : llvm::zip_equal(node.outputs, outputs)) {
    if (tensor)
      scope.states[name].tensor = tensor;
    else
      scope.poisoned.insert(name);
  }
  return success();
}

/// cond(condition, body, body, [arguments of either])
LogicalResult GraphImporter::importCondition(Scope &scope, const Node &node) {
  SmallVector<const ArgumentItem *> items;
  for (const Argument &argument : node.inputs)
    for (const ArgumentItem &item : argument.items)
      items.push_back(&item);
  if (items.size() < 3 || items[1]->kind != ArgumentItem::Subgraph ||
      items[2]->kind != ArgumentItem::Subgraph)
    return tensorBuilder.error() << "expected a condition and two bodies";
  if (items[0]->kind == ArgumentItem::Value &&
      scope.poisoned.contains(items[0]->text))
    return failure();
  Tensor condition = makeItem(scope, *items[0]);
  if (!condition)
    return tensorBuilder.error() << "expected one bool as condition";
  FailureOr<SmallVector<Tensor>> outputs = chooseBranch(
      tensorBuilder, condition, node.outputs.size(),
      [&](bool isThen) -> FailureOr<SmallVector<Tensor>> {
        FailureOr<SmallVector<Tensor>> results =
            importBody(scope, node, *items[isThen ? 1 : 2]->graph,
                       ArrayRef(items).drop_front(3));
        if (failed(results) || llvm::is_contained(*results, nullptr))
          return failure();
        return results;
      });
  return failed(outputs) ? failure() : setOutputs(scope, node, *outputs);
}
