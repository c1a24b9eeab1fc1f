//===- Einsum.cpp - Products and sums by an equation ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One contraction: loops for the labels of the output, then the summed ones.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorOps.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace pquant;
using utils::IteratorType;

namespace {
/// The labels of one term: letters, and numbers from 0 for the dimensions that
/// an ellipsis stands for, counted from the right.
using Labels = SmallVector<int>;

struct Equation {
  SmallVector<Labels> inputs;
  Labels output;
};
} // namespace

/// Reads the labels of one term; an ellipsis stands for `ellipsis` dimensions.
static FailureOr<Labels> parseTerm(TensorBuilder &tensors, StringRef term,
                                   size_t ellipsis) {
  Labels labels;
  while (!term.empty()) {
    if (term.consume_front("...")) {
      for (size_t i = ellipsis; i > 0; --i)
        labels.push_back(static_cast<int>(i) - 1);
      continue;
    }
    if (!llvm::isAlpha(term.front()))
      return tensors.error()
             << "expected letters and '...' in the equation, but "
                "got '"
             << term << "'";
    labels.push_back(static_cast<unsigned char>(term.front()));
    term = term.drop_front();
  }
  return labels;
}

static FailureOr<Equation> parseEquation(TensorBuilder &tensors,
                                         std::string text,
                                         ArrayRef<Tensor> inputs) {
  llvm::erase(text, ' ');
  auto [left, right] = StringRef(text).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != inputs.size())
    return tensors.error() << "expected an equation of " << inputs.size()
                           << " terms, but got '" << text << "'";
  Equation equation;
  size_t widest = 0;
  std::map<int, int> uses;
  for (auto [term, input] : llvm::zip_equal(terms, inputs)) {
    size_t ellipsis = 0;
    if (term.contains("...") &&
        term.size() - 3 <= static_cast<size_t>(input->getRank()))
      ellipsis = input->getRank() - (term.size() - 3);
    FailureOr<Labels> labels = parseTerm(tensors, term, ellipsis);
    if (failed(labels))
      return failure();
    if (static_cast<int64_t>(labels->size()) != input->getRank() ||
        term.count("...") > 1)
      return tensors.error()
             << "term '" << term << "' does not fit an input of rank "
             << input->getRank();
    widest = std::max(widest, ellipsis);
    for (int label : *labels)
      ++uses[label];
    equation.inputs.push_back(*labels);
  }
  if (StringRef(text).contains("->")) {
    FailureOr<Labels> labels = parseTerm(tensors, right, widest);
    if (failed(labels))
      return failure();
    equation.output = *labels;
  } else {
    // Implicit form: the ellipsis, then letters that occur once, in order.
    for (size_t i = widest; i > 0; --i)
      equation.output.push_back(static_cast<int>(i) - 1);
    for (auto [label, count] : uses)
      if (label >= 'A' && count == 1)
        equation.output.push_back(label);
  }
  for (auto [i, label] : llvm::enumerate(equation.output))
    if (!uses.count(label) ||
        llvm::is_contained(ArrayRef(equation.output).drop_front(i + 1), label))
      return tensors.error() << "expected every output label once, and in some "
                                "term, but got '"
                             << text << "'";
  return equation;
}

FailureOr<Tensor> pquant::einsum(TensorBuilder &tensors, StringRef text,
                                 ArrayRef<Tensor> inputs) {
  FailureOr<Equation> equation = parseEquation(tensors, text.str(), inputs);
  if (failed(equation))
    return failure();
  // Loops: the output's labels in order, then the summed ones.
  Labels loops = equation->output;
  for (const Labels &labels : equation->inputs)
    for (int label : labels)
      if (!llvm::is_contained(loops, label))
        loops.push_back(label);
  SmallVector<SizeList> labelSizes(loops.size());
  for (auto [labels, input] : llvm::zip_equal(equation->inputs, inputs))
    for (auto [label, size] : llvm::zip_equal(labels, input->sizes))
      labelSizes[llvm::find(loops, label) - loops.begin()].push_back(size);
  SizeList sizes;
  for (const SizeList &candidates : labelSizes) {
    SmallVector<ArrayRef<SizeExpr>> shapes;
    for (const SizeExpr &size : candidates)
      shapes.push_back(size);
    FailureOr<SizeList> size = tensors.broadcast(shapes);
    if (failed(size))
      return failure();
    sizes.push_back(size->front());
  }
  OpBuilder &b = tensors.getBuilder();
  SmallVector<AffineMap> maps;
  for (auto [labels, input] : llvm::zip_equal(equation->inputs, inputs)) {
    SmallVector<AffineExpr> exprs;
    for (auto [label, size] : llvm::zip_equal(labels, input->sizes)) {
      size_t loop = llvm::find(loops, label) - loops.begin();
      bool repeats = size.isConstant(1) && !sizes[loop].isConstant(1);
      exprs.push_back(repeats ? b.getAffineConstantExpr(0)
                              : b.getAffineDimExpr(loop));
    }
    maps.push_back(AffineMap::get(loops.size(), 0, exprs, b.getContext()));
  }
  ElementType element = inputs.front()->element;
  size_t kept = equation->output.size();
  if (kept == loops.size())
    return tensors.parallel(element, sizes, inputs, maps,
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              ScalarOps o(b, loc, element);
                              Value product = args[0];
                              for (Value factor : args.drop_front())
                                product = o.mul(product, factor);
                              return product;
                            });
  SmallVector<IteratorType> iterators(kept, IteratorType::parallel);
  iterators.append(loops.size() - kept, IteratorType::reduction);
  AffineMap outputMap =
      AffineMap::getMultiDimIdentityMap(loops.size(), b.getContext())
          .getMajorSubMap(kept);
  sizes.truncate(kept);
  return tensors.contract(inputs, maps, element, sizes, outputMap, iterators);
}
