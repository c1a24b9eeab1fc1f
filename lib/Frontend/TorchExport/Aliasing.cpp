//===- Aliasing.cpp - Which results share memory --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Aliasing.h"

#include "pquant/Frontend/SizeExpr.h"

#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

/// A size as a polynomial over the symbols, which get numbers as they come.
static std::optional<SizeExpr> expand(const SymbolicExpr &expr,
                                      StringMap<unsigned> &symbols) {
  if (expr.kind == SymbolicExpr::Number)
    return SizeExpr(expr.number);
  if (expr.kind == SymbolicExpr::Symbol)
    return SizeExpr::atom(
        symbols.try_emplace(expr.name, symbols.size()).first->second);
  if ((expr.name != "Add" && expr.name != "Mul") || expr.operands.empty())
    return std::nullopt;
  bool isSum = expr.name == "Add";
  SizeExpr result(isSum ? 0 : 1);
  for (const SymbolicExpr &operand : expr.operands) {
    std::optional<SizeExpr> size = expand(operand, symbols);
    if (!size)
      return std::nullopt;
    result = isSum ? result + *size : result * *size;
  }
  return result;
}

/// Whether the elements lie in memory in the order of their indices.
static bool isContiguous(const TensorMeta &meta) {
  StringMap<unsigned> symbols;
  SizeExpr expected(1);
  for (size_t i = meta.sizes.size(); i-- > 0;) {
    std::optional<SizeExpr> size = expand(meta.sizes[i], symbols);
    std::optional<SizeExpr> stride = expand(meta.strides[i], symbols);
    if (!size || !stride)
      return false;
    if (!size->isConstant(1) && *stride != expected)
      return false;
    expected = expected * *size;
  }
  return true;
}

StringRef pt2::getSelf(const Node &node) {
  for (const Argument &argument : node.inputs)
    if (argument.name == "self" && argument.items.size() == 1 &&
        argument.items.front().kind == ArgumentItem::Value)
      return argument.items.front().text;
  return "";
}

bool pt2::sharesMemory(const Graph &graph, const Node &node) {
  StringRef target(node.target);
  bool isConversion =
      target.starts_with("aten.to.") || target == "aten.type_as.default";
  bool needsOrder = target == "aten.contiguous.default" ||
                    target == "aten.reshape.default" ||
                    target == "aten.flatten.using_ints";
  if (!isConversion && !needsOrder)
    return true;
  auto input = graph.tensors.find(getSelf(node));
  auto output = graph.tensors.find(
      node.outputs.empty() ? StringRef() : StringRef(node.outputs.front()));
  if (input == graph.tensors.end() || output == graph.tensors.end())
    return false;
  if (needsOrder)
    return isContiguous(input->second);
  for (const Argument &argument : node.inputs)
    if (argument.name == "copy" && !argument.items.empty() &&
        argument.items.front().number != 0)
      return false;
  return input->second.type == output->second.type;
}
