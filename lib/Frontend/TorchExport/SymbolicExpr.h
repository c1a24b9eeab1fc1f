//===- SymbolicExpr.h - Sizes as torch.export writes them -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A symbolic size is stored as the text that SymPy prints for an expression:
//
//   Add(Mul(Integer(2), Symbol('s27', positive=True, integer=True)),
//   Integer(1))
//
// The parser takes any call of names, integers, strings and keywords; what the
// names mean is for the importer.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_SYMBOLICEXPR_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_SYMBOLICEXPR_H

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>
#include <vector>

namespace pquant::pt2 {

/// A number, a symbol or a function of other expressions.
struct SymbolicExpr {
  enum Kind { Number, Symbol, Call } kind = Number;
  int64_t number = 0;
  /// Of a symbol or a function: Add, Mul, Pow, FloorDiv, Mod, Max, ...
  std::string name;
  std::vector<SymbolicExpr> operands;
};

/// Reads an expression; none when the text is not one, or is too deep or long.
std::optional<SymbolicExpr> parseSymbolicExpr(llvm::StringRef text);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_SYMBOLICEXPR_H
