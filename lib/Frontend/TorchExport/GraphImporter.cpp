//===- GraphImporter.cpp - The nodes of an exported program ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: a program that passed the reader's checks. Output: a module with one
// function `main` whose arguments and results carry the names of the program's
// signature, element types and symbolic dimensions.
//
//===----------------------------------------------------------------------===//

#include "GraphImporter.h"

#include "Aliasing.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

/// Views of views, deeper than any model has.
static constexpr size_t maxViewDepth = 1000;

GraphImporter::GraphImporter(const Program &program, MLIRContext *context,
                             StringRef file, bool collect)
    : program(program), builder(context),
      fileLoc(FileLineColLoc::get(builder.getStringAttr(file), 0, 0)),
      tensorBuilder(builder, fileLoc), collect(collect) {}

/// The node's name, its module and the line of Python that it comes from.
Location GraphImporter::getLocation(const Node &node) {
  Location loc = UnknownLoc::get(builder.getContext());
  if (!node.file.empty())
    loc = FileLineColLoc::get(builder.getStringAttr(node.file), node.line, 0);
  if (!node.modulePath.empty())
    loc = NameLoc::get(builder.getStringAttr(node.modulePath), loc);
  return NameLoc::get(builder.getStringAttr(node.name), loc);
}

//===----------------------------------------------------------------------===//
// Values, views and writes
//===----------------------------------------------------------------------===//

Tensor GraphImporter::read(Scope &scope, StringRef name) {
  // From the tensor that owns the memory down to this view of it.
  SmallVector<State *> chain = {&scope.states[name]};
  while (!chain.back()->base.empty()) {
    if (chain.size() > maxViewDepth) {
      tensorBuilder.error()
          << "expected at most " << maxViewDepth << " views of one another";
      return nullptr;
    }
    chain.push_back(&scope.states[chain.back()->base]);
  }
  for (size_t i = chain.size() - 1; i-- > 0;) {
    State &base = *chain[i + 1], &state = *chain[i];
    if (state.baseVersion == base.version)
      continue;
    if (state.view) {
      const HandlerRow *row = handlers.lookup(state.view->target);
      state.baseVersion = base.version;
      FailureOr<SmallVector<Tensor>> results =
          runHandler(scope, *state.view, *row);
      if (failed(results))
        return nullptr;
      state.tensor = (*results)[state.result];
    } else {
      state.baseVersion = base.version;
      state.tensor = base.tensor;
    }
    ++state.version;
  }
  if (!chain.front()->tensor)
    tensorBuilder.error() << "'" << name
                          << "' is a result that is not supported";
  return chain.front()->tensor;
}

LogicalResult GraphImporter::write(Scope &scope, StringRef name, Tensor value) {
  std::string current = name.str();
  while (true) {
    Tensor old = read(scope, current);
    if (!old)
      return failure();
    if (old->sizes.size() != value->sizes.size())
      return tensorBuilder.error()
             << "a change of shape in place is not supported";
    FailureOr<Tensor> refined = tensorBuilder.refineSizes(
        tensorBuilder.castElements(value, old->element), old->sizes);
    if (failed(refined))
      return failure();
    State &state = scope.states[current];
    state.tensor = *refined;
    ++state.version;
    if (state.base.empty())
      return success();
    // The base's next version is made of this value.
    Tensor base = read(scope, state.base);
    value = *refined;
    if (state.view) {
      const HandlerRow *row = handlers.lookup(state.view->target);
      auto lookup = [&](StringRef input) { return read(scope, input); };
      NodeContext ctx(tensorBuilder, scope.graph, *state.view, lookup);
      FailureOr<Tensor> written =
          row->writeBack(ctx, base, value, state.result);
      if (failed(written) || ctx.hasFailed())
        return failure();
      value = *written;
    }
    state.baseVersion = scope.states[state.base].version + 1;
    current = state.base;
  }
}

Tensor GraphImporter::makeItem(Scope &scope, const ArgumentItem &item) {
  switch (item.kind) {
  case ArgumentItem::Value:
    return read(scope, item.text);
  case ArgumentItem::Float:
    return tensorBuilder.makeScalar({builder.getF64Type()}, item.real);
  case ArgumentItem::Int:
    return tensorBuilder.makeSizeScalar(item.number, {builder.getI64Type()});
  case ArgumentItem::Bool:
    return tensorBuilder.makeSizeScalar(item.number, {builder.getI1Type()});
  default:
    return nullptr;
  }
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void GraphImporter::record(const Node &node, StringRef reason) {
  recordUnsupportedOp(unsupported,
                      {"", node.target, 1, node.name, reason.str()});
}

void GraphImporter::importNodes(Scope &scope) {
  for (const Node &node : scope.graph.nodes) {
    std::string subject = "node '" + node.name + "' (" + node.target + ")";
    tensorBuilder.setNode(getLocation(node), subject);
    std::string message;
    ScopedDiagnosticHandler handler(builder.getContext(),
                                    [&](Diagnostic &diagnostic) {
                                      if (!collect)
                                        return failure();
                                      if (message.empty())
                                        message = diagnostic.str();
                                      return success();
                                    });
    if (succeeded(importNode(scope, node)))
      continue;
    StringRef reason(message);
    reason.consume_front(subject + ": ");
    if (!message.empty())
      record(node, reason);
    hasFailed = true;
    for (const std::string &output : node.outputs)
      scope.poisoned.insert(output);
    // What a failed write should have changed is not known either.
    if (!getFunctionalTarget(node.target).empty())
      scope.poisoned.insert(getSelf(node));
  }
}

/// Operators whose results are as large as a condition holds.
static bool isSizedByData(StringRef target) {
  static const StringLiteral names[] = {
      "aten.where.default", "aten.nonzero.default",
      "aten.nonzero_numpy.default", "aten.masked_select.default",
      "aten.unique_consecutive.default"};
  return llvm::is_contained(names, target);
}

LogicalResult GraphImporter::importNode(Scope &scope, const Node &node) {
  if (node.target == "higher_order.wrap_with_set_grad_enabled" ||
      node.target == "higher_order.wrap_with_autocast")
    return importRegion(scope, node);
  if (node.target == "higher_order.cond")
    return importCondition(scope, node);
  const HandlerRow *row = handlers.lookup(node.target);
  std::string functional;
  if (!row) {
    functional = getFunctionalTarget(node.target);
    row = handlers.lookup(functional);
  }
  // What reads a poisoned value is not built: its cause is known.
  bool isPoisoned = false;
  for (const Argument &argument : node.inputs)
    for (const ArgumentItem &item : argument.items)
      isPoisoned |= item.kind == ArgumentItem::Value &&
                    scope.poisoned.contains(item.text);
  if (!row)
    record(node, isSizedByData(node.target)
                     ? "the size of its result depends on the data"
                     : "the operator is not supported");
  if (!row || isPoisoned)
    return failure();
  return importOperator(scope, node, *row, functional);
}

LogicalResult GraphImporter::importOperator(Scope &scope, const Node &node,
                                            const HandlerRow &row,
                                            StringRef functional) {
  FailureOr<SmallVector<Tensor>> tensors = runHandler(scope, node, row);
  if (failed(tensors))
    return failure();
  std::string self = getSelf(node).str();
  bool isWrite = !functional.empty();
  bool isView = row.writeBack && sharesMemory(scope.graph, node);
  if (isWrite && (self.empty() || tensors->size() != 1))
    return tensorBuilder.error() << "expected one tensor to change in place";
  if (isWrite && failed(write(scope, self, tensors->front())))
    return failure();
  for (auto [i, name] : llvm::enumerate(node.outputs)) {
    if (name.empty())
      continue;
    State &state = scope.states[name];
    state.tensor = (*tensors)[i];
    if (!scope.hasWrites || (!isWrite && !isView))
      continue;
    state.base = self;
    state.view = isWrite ? nullptr : &node;
    state.result = i;
    state.baseVersion = scope.states[self].version;
    if (isWrite)
      state.tensor = scope.states[self].tensor;
  }
  return success();
}

/// Whether what the handler relies on is there.
bool GraphImporter::checkTensors(const Scope &scope, const Node &node,
                                 const HandlerRow &row) {
  SmallVector<StringRef> names;
  row.tensors.split(names, ' ', -1, /*KeepEmpty=*/false);
  for (StringRef name : names) {
    const Argument *found = nullptr;
    for (const Argument &argument : node.inputs)
      if (argument.name == name)
        found = &argument;
    if (found && !found->isList && found->items.size() == 1 &&
        found->items.front().kind == ArgumentItem::Value)
      continue;
    tensorBuilder.error() << "expected argument '" << name
                          << "' to be a tensor";
    return false;
  }
  return true;
}

FailureOr<SmallVector<Tensor>>
GraphImporter::runHandler(Scope &scope, const Node &node,
                          const HandlerRow &row) {
  if (!checkTensors(scope, node, row))
    return failure();
  bool canRead = true;
  for (const Argument &argument : node.inputs)
    for (const ArgumentItem &item : argument.items)
      canRead = canRead &&
                (item.kind != ArgumentItem::Value || read(scope, item.text));
  if (!canRead)
    return failure();
  auto lookup = [&](StringRef name) { return scope.states[name].tensor; };
  NodeContext ctx(tensorBuilder, scope.graph, node, lookup);
  if (failed(row.handler(ctx)) || ctx.hasFailed())
    return failure();
  SmallVector<Tensor> tensors(ctx.getResults());
  for (auto [i, tensor] : llvm::enumerate(tensors)) {
    // Results that no handler computes are an error where something reads them.
    if (!ctx.wantsResult(i) || !tensor)
      continue;
    auto meta = scope.graph.tensors.find(node.outputs[i]);
    size_t rank =
        meta == scope.graph.tensors.end() ? 0 : meta->second.sizes.size();
    if (tensor->sizes.size() != rank)
      return tensorBuilder.error()
             << "declared with rank " << rank << ", but computed with rank "
             << tensor->sizes.size();
    ElementType type = ctx.getResultType(i);
    if (ctx.hasFailed())
      return failure();
    tensor = tensorBuilder.castElements(tensor, type);
  }
  return tensors;
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

/// Sizes, constants and views that turned out not to be needed.
static void eraseDeadOps(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

void GraphImporter::findMutated(const Graph &graph) {
  llvm::StringMap<std::string> inputs;
  for (const InputSpec &input : program.inputs)
    inputs[input.kind == InputSpec::User ? input.name : input.target] =
        input.name;
  for (const OutputSpec &output : program.outputs)
    if (output.kind != OutputSpec::User)
      mutated.insert(inputs.lookup(output.target));
  // The tensor whose memory a name shows.
  llvm::StringMap<std::string> owners;
  for (const Node &node : graph.nodes) {
    const HandlerRow *row = handlers.lookup(node.target);
    bool isWrite = !row && !getFunctionalTarget(node.target).empty();
    StringRef self = getSelf(node);
    bool isView = row && row->writeBack && sharesMemory(graph, node);
    if (self.empty() || (!isWrite && !isView))
      continue;
    auto owner = owners.find(self);
    std::string name = owner == owners.end() ? self.str() : owner->second;
    for (const std::string &output : node.outputs)
      owners[output] = name;
    if (isWrite)
      mutated.insert(name);
  }
}

FailureOr<OwningOpRef<ModuleOp>> GraphImporter::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(fileLoc);
  builder.setInsertionPointToEnd(module->getBody());
  Location graphLoc = FusedLoc::get(
      builder.getContext(),
      {fileLoc, NameLoc::get(builder.getStringAttr(program.name))});
  auto function = func::FuncOp::create(builder, graphLoc, "main",
                                       builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  findMutated(program.graph);
  Scope scope{program.graph, {}, {}, !mutated.empty()};
  if (failed(importInputs(scope, function)))
    return failure();
  importNodes(scope);
  if (!collect)
    reportUnsupportedOps(unsupported, fileLoc, "ATen");
  if (hasFailed || failed(importOutputs(scope, function)))
    return failure();
  eraseDeadOps(function.getBody().front());
  if (failed(verify(*module)))
    return failure();
  return module;
}
