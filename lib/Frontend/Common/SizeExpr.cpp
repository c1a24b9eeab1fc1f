//===- SizeExpr.cpp - Symbolic tensor sizes -------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/SizeExpr.h"

#include <algorithm>
#include <iterator>

using namespace pquant;

/// Signed arithmetic that wraps: a model's constants may be anything.
static int64_t wrappingAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) +
                              static_cast<uint64_t>(b));
}
static int64_t wrappingMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) *
                              static_cast<uint64_t>(b));
}

SizeExpr::SizeExpr(int64_t constant) { addTerm({}, constant); }

SizeExpr SizeExpr::atom(unsigned id) {
  SizeExpr result;
  result.addTerm({id}, 1);
  return result;
}

void SizeExpr::addTerm(const Monomial &monomial, int64_t coefficient) {
  int64_t &sum = terms[monomial];
  sum = wrappingAdd(sum, coefficient);
  if (sum == 0)
    terms.erase(monomial);
}

std::optional<int64_t> SizeExpr::getConstant() const {
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

std::optional<unsigned> SizeExpr::getAtom() const {
  if (terms.size() != 1 || terms.begin()->first.size() != 1 ||
      terms.begin()->second != 1)
    return std::nullopt;
  return terms.begin()->first.front();
}

/// The leading term in graded lexicographic order, which products preserve.
static const std::pair<const SizeExpr::Monomial, int64_t> &
getLeadingTerm(const std::map<SizeExpr::Monomial, int64_t> &terms) {
  return *std::max_element(terms.begin(), terms.end(),
                           [](const auto &a, const auto &b) {
                             if (a.first.size() != b.first.size())
                               return a.first.size() < b.first.size();
                             return b.first < a.first;
                           });
}

// Long division: every step cancels the leading term of what is left.
std::optional<SizeExpr>
SizeExpr::dividedExactlyBy(const SizeExpr &divisor) const {
  if (divisor.terms.empty())
    return std::nullopt;
  const auto &[atoms, factor] = getLeadingTerm(divisor.terms);
  // A negative factor could trap: INT64_MIN / -1.
  if (factor < 1)
    return std::nullopt;
  SizeExpr quotient, rest = *this;
  while (!rest.terms.empty()) {
    const auto &[monomial, coefficient] = getLeadingTerm(rest.terms);
    if (coefficient % factor != 0 ||
        !std::includes(monomial.begin(), monomial.end(), atoms.begin(),
                       atoms.end()))
      return std::nullopt;
    Monomial remaining;
    std::set_difference(monomial.begin(), monomial.end(), atoms.begin(),
                        atoms.end(), std::back_inserter(remaining));
    SizeExpr step;
    step.addTerm(remaining, coefficient / factor);
    quotient = quotient + step;
    rest = rest - step * divisor;
  }
  return quotient;
}

SizeExpr SizeExpr::operator+(const SizeExpr &other) const {
  SizeExpr result = *this;
  for (const auto &[monomial, coefficient] : other.terms)
    result.addTerm(monomial, coefficient);
  return result;
}

SizeExpr SizeExpr::operator-(const SizeExpr &other) const {
  return *this + other * SizeExpr(-1);
}

SizeExpr SizeExpr::operator*(const SizeExpr &other) const {
  SizeExpr result;
  for (const auto &[left, leftCoefficient] : terms)
    for (const auto &[right, rightCoefficient] : other.terms) {
      Monomial product;
      std::merge(left.begin(), left.end(), right.begin(), right.end(),
                 std::back_inserter(product));
      result.addTerm(product, wrappingMul(leftCoefficient, rightCoefficient));
    }
  return result;
}
