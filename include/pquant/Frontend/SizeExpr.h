//===- SizeExpr.h - Symbolic tensor sizes -----------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A size of a tensor, or an integer that a model computes from sizes, as a
// polynomial with integer coefficients over numbered atoms (an atom is an
// `index` value whose contents are not known). Equal polynomials are equal
// numbers, so that a frontend can prove that a reshape or a broadcast fits
// without looking at the IR. Arithmetic wraps; nothing here can trap.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_SIZEEXPR_H
#define PQUANT_FRONTEND_SIZEEXPR_H

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace pquant {

class SizeExpr {
public:
  /// The atoms of a product, in ascending order; empty for the constant term.
  using Monomial = std::vector<unsigned>;

  SizeExpr(int64_t constant = 0);
  /// The unknown number `id`.
  static SizeExpr atom(unsigned id);

  /// The value when no atom is involved.
  std::optional<int64_t> getConstant() const;
  bool isConstant(int64_t value) const { return getConstant() == value; }

  /// The atom's number when this is just one atom.
  std::optional<unsigned> getAtom() const;

  /// The quotient when there is one without remainder. The divisor's leading
  /// coefficient must be positive.
  std::optional<SizeExpr> dividedExactlyBy(const SizeExpr &divisor) const;

  const std::map<Monomial, int64_t> &getTerms() const { return terms; }

  SizeExpr operator+(const SizeExpr &other) const;
  SizeExpr operator-(const SizeExpr &other) const;
  SizeExpr operator*(const SizeExpr &other) const;
  bool operator==(const SizeExpr &other) const { return terms == other.terms; }
  bool operator!=(const SizeExpr &other) const { return terms != other.terms; }
  bool operator<(const SizeExpr &other) const { return terms < other.terms; }

private:
  void addTerm(const Monomial &monomial, int64_t coefficient);

  /// Coefficients by monomial; no coefficient is zero.
  std::map<Monomial, int64_t> terms;
};

} // namespace pquant

#endif // PQUANT_FRONTEND_SIZEEXPR_H
