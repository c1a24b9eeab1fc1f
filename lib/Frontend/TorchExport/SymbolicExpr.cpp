//===- SymbolicExpr.cpp - Sizes as torch.export writes them ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SymbolicExpr.h"

#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

static constexpr unsigned maxDepth = 64;
static constexpr size_t maxLength = 1 << 16;

namespace {
/// expr := integer | name [ '(' argument (',' argument)* ')' ]
/// argument := expr | string | name '=' anything without a comma
class Parser {
public:
  explicit Parser(StringRef text) : rest(text) {}

  std::optional<SymbolicExpr> parse() {
    std::optional<SymbolicExpr> expr = parseExpr(0);
    skipSpace();
    return rest.empty() ? expr : std::nullopt;
  }

private:
  void skipSpace() { rest = rest.ltrim(' '); }
  bool consume(char c) {
    skipSpace();
    return rest.consume_front(StringRef(&c, 1));
  }
  StringRef takeName() {
    skipSpace();
    StringRef name =
        rest.take_while([](char c) { return isAlnum(c) || c == '_'; });
    rest = rest.drop_front(name.size());
    return name;
  }

  std::optional<SymbolicExpr> parseExpr(unsigned depth);
  bool parseArgument(SymbolicExpr &call, unsigned depth);

  StringRef rest;
};
} // namespace

std::optional<SymbolicExpr> Parser::parseExpr(unsigned depth) {
  skipSpace();
  SymbolicExpr expr;
  if (rest.starts_with("-") || (!rest.empty() && isDigit(rest.front()))) {
    if (rest.consumeInteger(10, expr.number))
      return std::nullopt;
    return expr;
  }
  expr.kind = SymbolicExpr::Call;
  expr.name = takeName().str();
  if (expr.name.empty() || depth > maxDepth)
    return std::nullopt;
  if (!consume('('))
    return expr;
  while (!consume(')')) {
    if (!parseArgument(expr, depth))
      return std::nullopt;
    if (!consume(',') && !rest.starts_with(")"))
      return std::nullopt;
  }
  // Symbol('s0', integer=True) and Integer(2) are leaves.
  if (expr.name == "Integer" && expr.operands.size() == 1 &&
      expr.operands.front().kind == SymbolicExpr::Number)
    return std::move(expr.operands.front());
  if (expr.name == "Symbol" && expr.operands.size() == 1 &&
      expr.operands.front().kind == SymbolicExpr::Symbol)
    return std::move(expr.operands.front());
  return expr;
}

bool Parser::parseArgument(SymbolicExpr &call, unsigned depth) {
  if (consume('\'')) {
    size_t end = rest.find('\'');
    if (end == StringRef::npos)
      return false;
    SymbolicExpr symbol;
    symbol.kind = SymbolicExpr::Symbol;
    symbol.name = rest.take_front(end).str();
    rest = rest.drop_front(end + 1);
    call.operands.push_back(std::move(symbol));
    return true;
  }
  StringRef before = rest;
  if (!takeName().empty() && consume('=')) {
    rest = rest.drop_until([](char c) { return c == ',' || c == ')'; });
    return true;
  }
  rest = before;
  std::optional<SymbolicExpr> operand = parseExpr(depth + 1);
  if (operand)
    call.operands.push_back(std::move(*operand));
  return operand.has_value();
}

std::optional<SymbolicExpr> pt2::parseSymbolicExpr(StringRef text) {
  if (text.size() > maxLength)
    return std::nullopt;
  return Parser(text).parse();
}
