//===- GraphReader.cpp - Graphs of the schema to structures ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Follows torch/_export/serde/schema.py, major version 8. Members that are not
// known are ignored, as torch does.
//
//===----------------------------------------------------------------------===//

#include "GraphReader.h"

#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

/// More dimensions than any model's tensors have.
static constexpr size_t maxRank = 16;

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

static ArgumentItem makeValue(std::string name) {
  ArgumentItem item;
  item.kind = ArgumentItem::Value;
  item.text = std::move(name);
  return item;
}

static ArgumentItem makeNumber(ArgumentItem::Kind kind, int64_t number) {
  ArgumentItem item;
  item.kind = kind;
  item.number = number;
  item.real = static_cast<double>(number);
  return item;
}

static ArgumentItem makeReal(double real) {
  ArgumentItem item;
  item.kind = ArgumentItem::Float;
  item.real = real;
  return item;
}

static ArgumentItem makeText(std::string text) {
  ArgumentItem item;
  item.kind = ArgumentItem::String;
  item.text = std::move(text);
  return item;
}

/// The unions of a name and a number that symbolic values are.
static ArgumentItem readSymbolic(const JSONCursor &json) {
  auto [kind, value] = json.alternative();
  if (kind == "as_name")
    return makeValue(value.getString());
  if (kind == "as_int")
    return makeNumber(ArgumentItem::Int, value.getInt());
  if (kind == "as_bool")
    return makeNumber(ArgumentItem::Bool, value.getBool());
  if (kind == "as_float")
    return makeReal(value.getDouble());
  json.fail("unknown kind of number '" + kind + "'");
  return {};
}

static ArgumentItem readOptionalTensor(const JSONCursor &json) {
  auto [kind, value] = json.alternative();
  return kind == "as_none" ? ArgumentItem()
                           : makeValue(value["name"].getString());
}

static ArgumentItem readSubgraph(const JSONCursor &json) {
  ArgumentItem item;
  item.kind = ArgumentItem::Subgraph;
  item.text = json["name"].getString();
  item.graph = std::make_shared<const Graph>(readGraph(json["graph"]));
  return item;
}

using ItemReader = ArgumentItem (*)(const JSONCursor &);

/// How one element is read, for each kind of argument; a kind with a plural "s"
/// is a list of those.
static ItemReader findItemReader(StringRef kind) {
  static const std::pair<StringLiteral, ItemReader> readers[] = {
      {"as_none", [](const JSONCursor &) { return ArgumentItem(); }},
      {"as_tensor",
       [](const JSONCursor &j) { return makeValue(j["name"].getString()); }},
      {"as_int",
       [](const JSONCursor &j) {
         return makeNumber(ArgumentItem::Int, j.getInt());
       }},
      {"as_float", [](const JSONCursor &j) { return makeReal(j.getDouble()); }},
      {"as_bool",
       [](const JSONCursor &j) {
         return makeNumber(ArgumentItem::Bool, j.getBool());
       }},
      {"as_string",
       [](const JSONCursor &j) { return makeText(j.getString()); }},
      {"as_sym_int", readSymbolic},
      {"as_sym_bool", readSymbolic},
      {"as_sym_float", readSymbolic},
      {"as_optional_tensor", readOptionalTensor},
      {"as_scalar_type",
       [](const JSONCursor &j) {
         return makeNumber(ArgumentItem::Enum, j.getInt());
       }},
      {"as_memory_format",
       [](const JSONCursor &j) {
         return makeNumber(ArgumentItem::Enum, j.getInt());
       }},
      {"as_layout",
       [](const JSONCursor &j) {
         return makeNumber(ArgumentItem::Enum, j.getInt());
       }},
      {"as_graph", readSubgraph},
  };
  for (const auto &[name, reader] : readers)
    if (name == kind)
      return reader;
  return nullptr;
}

Argument pt2::readArgument(const JSONCursor &json) {
  Argument argument;
  auto [kind, value] = json.alternative();
  if (ItemReader reader = findItemReader(kind)) {
    argument.items.push_back(reader(value));
    return argument;
  }
  StringRef singular(kind);
  ItemReader reader =
      singular.consume_back("s") ? findItemReader(singular) : nullptr;
  if (!reader) {
    // Devices, operators, custom objects: handlers do not read them.
    argument.items.push_back(makeText(kind));
    return argument;
  }
  argument.isList = true;
  for (const JSONCursor &element : value.elements())
    argument.items.push_back(reader(element));
  return argument;
}

ArgumentItem pt2::readSingleArgument(const JSONCursor &json) {
  Argument argument = readArgument(json);
  if (!argument.isList && argument.items.size() == 1)
    return argument.items.front();
  json.fail("expected one value, but got a list");
  return {};
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

static SymbolicExpr readSize(const JSONCursor &json) {
  auto [kind, value] = json.alternative();
  SymbolicExpr expr;
  if (kind == "as_int") {
    expr.number = value.getInt();
    return expr;
  }
  if (kind != "as_expr") {
    json.fail("expected an integer or an expression");
    return expr;
  }
  if (auto parsed = parseSymbolicExpr(value["expr_str"].getString()))
    return *parsed;
  // A size that nothing is known of.
  expr.kind = SymbolicExpr::Call;
  return expr;
}

TensorMeta pt2::readTensorMeta(const JSONCursor &json) {
  TensorMeta meta;
  meta.type = static_cast<ScalarType>(json["dtype"].getInt());
  for (const JSONCursor &size : json["sizes"].elements())
    meta.sizes.push_back(readSize(size));
  for (const JSONCursor &stride : json["strides"].elements())
    meta.strides.push_back(readSize(stride));
  meta.offset = readSize(json["storage_offset"]);
  if (meta.sizes.size() > maxRank || meta.strides.size() != meta.sizes.size())
    json.fail("expected at most " + Twine(maxRank) +
              " sizes and as many strides, but got " +
              Twine(meta.sizes.size()) + " and " + Twine(meta.strides.size()));
  for (const SymbolicExpr &size : meta.sizes)
    if (size.kind == SymbolicExpr::Number && size.number < 0)
      json.fail("expected sizes of at least 0, but got " + Twine(size.number));
  return meta;
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

/// The innermost frame of a Python traceback, `File "x.py", line 7, in f`, that
/// is not in PyTorch itself.
static void readFrame(StringRef trace, Node &node) {
  bool isFound = false;
  while (!isFound && trace.contains("File \"")) {
    auto [before, frame] = trace.rsplit("File \"");
    auto [file, rest] = frame.split("\", line ");
    isFound = !file.contains("/site-packages/torch/");
    unsigned line;
    if ((isFound || node.file.empty()) && !rest.consumeInteger(10, line)) {
      node.file = file.str();
      node.line = line;
    }
    trace = before;
  }
}

/// The path of the innermost module: `key,path,type;key,path,type`.
static std::string readModulePath(StringRef stack) {
  StringRef last = stack.contains(';') ? stack.rsplit(';').second : stack;
  StringRef path = last.split(',').second.rsplit(',').first;
  return path.starts_with("_empty_nn_module_stack") ? "" : path.str();
}

static Node readNode(const JSONCursor &json) {
  Node node;
  node.target = json["target"].getString();
  StringRef target(node.target);
  target.consume_front("torch.ops.");
  node.target = target.str();
  for (const JSONCursor &input : json["inputs"].elements()) {
    Argument argument = readArgument(input["arg"]);
    argument.name = input["name"].getString();
    node.inputs.push_back(std::move(argument));
  }
  for (const JSONCursor &output : json["outputs"].elements())
    for (const ArgumentItem &item : readArgument(output).items)
      node.outputs.push_back(item.kind == ArgumentItem::Value ? item.text : "");
  if (std::optional<JSONCursor> name = json.find("name"))
    node.name = name->getString();
  std::optional<JSONCursor> metadata = json.find("metadata");
  if (metadata)
    if (std::optional<JSONCursor> trace = metadata->find("stack_trace"))
      readFrame(trace->getString(), node);
  if (metadata)
    if (std::optional<JSONCursor> stack = metadata->find("nn_module_stack"))
      node.modulePath = readModulePath(stack->getString());
  return node;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

namespace {
/// Checks that every name is defined once, and before it is read.
class NameChecker {
public:
  NameChecker(const Graph &graph, const JSONCursor &json)
      : graph(graph), json(json) {}

  void check() {
    for (const std::string &input : graph.inputs)
      define(input);
    for (const Node &node : graph.nodes) {
      for (const Argument &argument : node.inputs)
        for (const ArgumentItem &item : argument.items)
          use(item, "node '" + node.name + "'");
      for (const std::string &output : node.outputs)
        define(output);
    }
    for (const ArgumentItem &output : graph.outputs)
      use(output, "the graph's output");
  }

private:
  void define(StringRef name) {
    if (name.empty())
      return;
    if (!defined.insert(name).second)
      json.fail("'" + name + "' is defined twice");
    if (!graph.tensors.contains(name) && !graph.numbers.contains(name))
      json.fail("'" + name + "' has no entry among the graph's values");
  }

  void use(const ArgumentItem &item, const Twine &user) {
    if (item.kind != ArgumentItem::Value || defined.contains(item.text))
      return;
    if (isDefinedLater(item.text))
      json.fail(user + " reads '" + item.text +
                "', which is defined later: the graph has a cycle or is not "
                "in order");
    json.fail(user + " reads '" + item.text + "', which is not defined");
  }

  /// Only for a message: the graph is wrong either way.
  bool isDefinedLater(StringRef name) const {
    return !json.hasFailed() && any_of(graph.nodes, [&](const Node &node) {
      return is_contained(node.outputs, name);
    });
  }

  const Graph &graph;
  const JSONCursor &json;
  StringSet<> defined;
};
} // namespace

/// Adds the names of one of the graph's tables of numbers.
static void readNumbers(const JSONCursor &json, StringRef table,
                        ScalarType type, Graph &graph) {
  if (std::optional<JSONCursor> values = json.find(table))
    for (const auto &[name, value] : values->members())
      graph.numbers[name] = type;
}

Graph pt2::readGraph(const JSONCursor &json) {
  Graph graph;
  for (const auto &[name, meta] : json["tensor_values"].members())
    graph.tensors[name] = readTensorMeta(meta);
  readNumbers(json, "sym_int_values", ScalarType::Long, graph);
  readNumbers(json, "sym_bool_values", ScalarType::Bool, graph);
  readNumbers(json, "sym_float_values", ScalarType::Double, graph);
  for (const JSONCursor &input : json["inputs"].elements()) {
    ArgumentItem item = readSingleArgument(input);
    graph.inputs.push_back(item.kind == ArgumentItem::Value ? item.text : "");
  }
  for (const JSONCursor &output : json["outputs"].elements())
    for (ArgumentItem &item : readArgument(output).items)
      graph.outputs.push_back(std::move(item));
  size_t number = 0;
  for (const JSONCursor &node : json["nodes"].elements()) {
    graph.nodes.push_back(readNode(node));
    std::string &name = graph.nodes.back().name;
    if (name.empty())
      name = graph.nodes.back().target + "#" + std::to_string(number);
    ++number;
  }
  if (!json.hasFailed())
    NameChecker(graph, json).check();
  return graph;
}
