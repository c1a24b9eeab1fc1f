//===- MatchChoice.cpp - One of several experts, whatever the form --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Models write "the result of the chosen expert" in many ways:
//
//   stack(y_0, ..)[.., index, ..]                gather
//   sum_e onehot(index)[e] * y_e                 mask and sum, or a product
//   where(index == 1, y_1, where(index == 0, y_0, 0))
//
// All are told by the same question: what is the expression for a row whose
// router chose expert e? Under this assumption the index is a number, so that
// comparisons, masks and gathers fold, and what is left is y_e, perhaps times
// its probability. That is the proof of the rewrite, one expert at a time; it
// takes results to be finite (0 * y = 0) and 0 for -0.
//
//===----------------------------------------------------------------------===//

#include "ChoiceEvaluator.h"
#include "mlir/IR/Matchers.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

using Result = ChoiceEvaluator::Result;

/// The layer whose result is `value`, which `factor` makes its probability
/// times that.
static std::optional<FeedForward> matchExpert(ChoiceEvaluator &choice,
                                              const Result &value,
                                              const Result &factor,
                                              std::string &reason) {
  std::string name = "expert " + std::to_string(choice.expert);
  if (!value || !value->base || value->number != 1) {
    bool isNothing = value && value->number == 0;
    reason =
        (isNothing ? "nothing is taken for " : "not one result is taken for ") +
        name;
    return std::nullopt;
  }
  Result product = multiply(value, factor);
  if (!product || !product->isWeighed || product->number != 1) {
    reason = "the experts are not weighed by their probability";
    return std::nullopt;
  }
  std::string inner;
  std::optional<FeedForward> ffn =
      matchFeedForward(*value->base, inner, [&](const TensorExpr &index) {
        choice.isFlat = value->isFlat;
        std::optional<int64_t> number = choice.getNumber(index);
        choice.isFlat = false;
        return number;
      });
  if (ffn && ffn->isInt8) {
    ffn->isFlat = value->isFlat;
    return ffn;
  }
  reason = name + " is not an INT8 feed-forward layer" +
           (inner.empty() ? "" : ": " + inner);
  return std::nullopt;
}

std::optional<RoutedChoice>
pquant::matchRoutedChoice(ConstantEvaluator &constants, const TensorExpr &expr,
                          const std::optional<TensorExpr> &factor,
                          std::string &reason) {
  RouterFinder finder(constants);
  std::string inner;
  ChoiceEvaluator choice(finder, inner);
  SmallVector<FeedForward> experts;
  for (int64_t e = 0; e == 0 || e < finder.getExperts(); ++e) {
    choice.expert = e;
    choice.steps = 0;
    Result value = choice.evaluate(expr);
    std::string cause = inner;
    Result outer = factor ? choice.evaluate(*factor) : Chosen();
    std::string why;
    std::optional<FeedForward> ffn = matchExpert(choice, value, outer, why);
    if (!ffn || !finder.getRouter()) {
      if (!cause.empty())
        reason = cause;
      else if (finder.getRouter())
        reason = why;
      return std::nullopt;
    }
    experts.push_back(*ffn);
  }
  return RoutedChoice{std::move(experts), *finder.getRouter()};
}

bool pquant::holdsForAllExperts(ConstantEvaluator &constants, Value condition) {
  // all[] = true;  all[] = all[] and condition(row)
  auto extract = condition.getDefiningOp<tensor::ExtractOp>();
  auto op = extract ? extract.getTensor().getDefiningOp<linalg::GenericOp>()
                    : nullptr;
  if (!op || op.getNumResults() != 1 || op.getNumParallelLoops() != 0)
    return false;
  Block *body = op.getBody();
  auto all =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AndIOp>();
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!all || all.getLhs() != body->getArguments().back() || !fill ||
      !matchPattern(fill.getInputs()[0], m_One()))
    return false;
  TensorExpr row{all.getRhs(), {}};
  llvm::append_range(row.dims, llvm::seq<int64_t>(0, op.getNumLoops()));
  RouterFinder finder(constants);
  std::string ignored;
  ChoiceEvaluator choice(finder, ignored);
  for (int64_t e = 0; e == 0 || e < finder.getExperts(); ++e) {
    choice.expert = e;
    choice.steps = 0;
    if (choice.getNumber(row) != 1)
      return false;
  }
  return finder.getExperts() > 0;
}
