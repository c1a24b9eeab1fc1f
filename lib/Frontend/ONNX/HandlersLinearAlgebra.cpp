//===- HandlersLinearAlgebra.cpp - MatMul, Gemm, Einsum -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every product is one contraction `linalg.generic`: loops for the batch, rows
// and columns, then the summed ones. Dimensions are never collapsed here.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "pquant/Frontend/TensorOps.h"

using namespace mlir;
using namespace pquant;
using utils::IteratorType;

static LogicalResult requireNumbers(NodeContext &ctx) {
  if (!ctx.getInput(0)->element.isBool())
    return success();
  return ctx.error() << "expected numbers, but got bool";
}

//===----------------------------------------------------------------------===//
// MatMul, MatMulInteger
//===----------------------------------------------------------------------===//

static LogicalResult importMatMul(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)) || failed(requireNumbers(ctx)))
    return failure();
  return ctx.setResult(
      multiplyMatrices(ctx.b, ctx.getInput(0), ctx.getInput(1)));
}

/// Input `i` as int32, less its zero point; `isRows` says that a vector of zero
/// points counts rows.
static FailureOr<Tensor> subtractZeroPoint(NodeContext &ctx, size_t i,
                                           bool isRows) {
  ElementType integer{ctx.b.getBuilder().getI32Type()};
  Tensor value = ctx.b.castElements(ctx.getInput(i), integer);
  Tensor zero = ctx.getInput(i + 2);
  if (!zero)
    return value;
  if (failed(ctx.requireSameType(i, i + 2)))
    return failure();
  FailureOr<Tensor> offset = ctx.b.castElements(zero, integer);
  if (isRows && zero->getRank() == 1 && !zero->sizes[0].isConstant(1))
    offset = ctx.b.reshape(*offset, {zero->sizes[0], SizeExpr(1)});
  if (failed(offset))
    return failure();
  return ctx.b.elementwise(
      integer, {value, *offset},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, integer).sub(args[0], args[1]);
      });
}

static LogicalResult importMatMulInteger(NodeContext &ctx) {
  for (size_t i : {0, 1})
    if (!ctx.getInput(i)->element.type.isInteger(8))
      return ctx.error() << "expected int8 or uint8 inputs, but got "
                         << getNumPyName(ctx.getInput(i)->element);
  FailureOr<Tensor> lhs = subtractZeroPoint(ctx, 0, /*isRows=*/true);
  FailureOr<Tensor> rhs = subtractZeroPoint(ctx, 1, /*isRows=*/false);
  if (failed(lhs) || failed(rhs))
    return failure();
  return ctx.setResult(multiplyMatrices(ctx.b, *lhs, *rhs));
}

//===----------------------------------------------------------------------===//
// Gemm
//===----------------------------------------------------------------------===//

/// The tensor times a number; the same tensor when that is 1.
static Tensor scale(NodeContext &ctx, Tensor input, double factor) {
  if (factor == 1)
    return input;
  // A scalar always broadcasts.
  return *ctx.b.elementwise(
      input->element, {input, ctx.b.makeScalar(input->element, factor)},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, input->element).mul(args[0], args[1]);
      });
}

/// alpha * op(A) op(B), where op may swap the last two dimensions.
static LogicalResult importFusedMatMul(NodeContext &ctx) {
  if (failed(ctx.requireSameType(0, 1)) || failed(ctx.requireFloat(0)))
    return failure();
  for (StringRef name : {"transBatchA", "transBatchB"})
    if (ctx.getInt(name, 0))
      return ctx.error() << "attribute '" << name << "' is not supported";
  SmallVector<Tensor> operands(ctx.getInputs());
  for (auto [operand, name] :
       llvm::zip_equal(operands, ArrayRef<StringRef>({"transA", "transB"}))) {
    int64_t rank = operand->getRank();
    if (!ctx.getInt(name, 0) || rank < 2)
      continue;
    auto order = llvm::to_vector(llvm::seq<int64_t>(0, rank));
    std::swap(order[rank - 1], order[rank - 2]);
    operand = ctx.b.transpose(operand, order);
  }
  FailureOr<Tensor> product =
      multiplyMatrices(ctx.b, operands[0], operands[1]);
  if (failed(product))
    return failure();
  ctx.setOutput(0, scale(ctx, *product, ctx.getFloat("alpha", 1)));
  return success();
}

static LogicalResult importGemm(NodeContext &ctx) {
  Tensor lhs = ctx.getInput(0), rhs = ctx.getInput(1);
  if (failed(ctx.requireSameType(0, 1)) || failed(requireNumbers(ctx)) ||
      failed(ctx.requireRank(0, 2)) || failed(ctx.requireRank(1, 2)))
    return failure();
  bool transA = ctx.getInt("transA", 0), transB = ctx.getInt("transB", 0);
  if (failed(ctx.b.requireEqual(lhs->sizes[transA ? 0 : 1],
                                rhs->sizes[transB ? 1 : 0],
                                "the summed dimension")))
    return failure();
  OpBuilder &b = ctx.b.getBuilder();
  AffineExpr m = b.getAffineDimExpr(0), n = b.getAffineDimExpr(1);
  AffineExpr k = b.getAffineDimExpr(2);
  auto map = [&](AffineExpr x, AffineExpr y, bool swap) {
    if (swap)
      std::swap(x, y);
    return AffineMap::get(3, 0, {x, y}, b.getContext());
  };
  Tensor product = ctx.b.contract(
      {lhs, rhs}, {map(m, k, transA), map(k, n, transB)}, lhs->element,
      {lhs->sizes[transA ? 1 : 0], rhs->sizes[transB ? 0 : 1]},
      map(m, n, false),
      {IteratorType::parallel, IteratorType::parallel,
       IteratorType::reduction});
  product = scale(ctx, product, ctx.getFloat("alpha", 1));
  if (!ctx.getInput(2)) {
    ctx.setOutput(0, product);
    return success();
  }
  if (failed(ctx.requireSameType(0, 2)))
    return failure();
  Tensor bias = scale(ctx, ctx.getInput(2), ctx.getFloat("beta", 1));
  return ctx.setResult(ctx.b.elementwise(
      lhs->element, {product, bias},
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, lhs->element).add(args[0], args[1]);
      }));
}

//===----------------------------------------------------------------------===//
// Einsum
//===----------------------------------------------------------------------===//

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
static FailureOr<Labels> parseTerm(NodeContext &ctx, StringRef term,
                                   size_t ellipsis) {
  Labels labels;
  while (!term.empty()) {
    if (term.consume_front("...")) {
      for (size_t i = ellipsis; i > 0; --i)
        labels.push_back(static_cast<int>(i) - 1);
      continue;
    }
    if (!llvm::isAlpha(term.front()))
      return ctx.error() << "expected letters and '...' in the equation, but "
                            "got '"
                         << term << "'";
    labels.push_back(static_cast<unsigned char>(term.front()));
    term = term.drop_front();
  }
  return labels;
}

static FailureOr<Equation> parseEquation(NodeContext &ctx) {
  std::string text = ctx.getString("equation", "");
  llvm::erase(text, ' ');
  auto [left, right] = StringRef(text).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != ctx.getNumInputs())
    return ctx.error() << "expected an equation of " << ctx.getNumInputs()
                       << " terms, but got '" << text << "'";
  Equation equation;
  size_t widest = 0;
  std::map<int, int> uses;
  for (auto [term, input] : llvm::zip_equal(terms, ctx.getInputs())) {
    size_t ellipsis = 0;
    if (term.contains("...") &&
        term.size() - 3 <= static_cast<size_t>(input->getRank()))
      ellipsis = input->getRank() - (term.size() - 3);
    FailureOr<Labels> labels = parseTerm(ctx, term, ellipsis);
    if (failed(labels))
      return failure();
    if (static_cast<int64_t>(labels->size()) != input->getRank() ||
        term.count("...") > 1)
      return ctx.error() << "term '" << term
                         << "' does not fit an input of rank "
                         << input->getRank();
    widest = std::max(widest, ellipsis);
    for (int label : *labels)
      ++uses[label];
    equation.inputs.push_back(*labels);
  }
  if (StringRef(text).contains("->")) {
    FailureOr<Labels> labels = parseTerm(ctx, right, widest);
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
      return ctx.error() << "expected every output label once, and in some "
                            "term, but got '"
                         << text << "'";
  return equation;
}

static LogicalResult importEinsum(NodeContext &ctx) {
  for (size_t i = 0; i < ctx.getNumInputs(); ++i)
    if (failed(ctx.requireSameType(0, i)))
      return failure();
  FailureOr<Equation> equation = parseEquation(ctx);
  if (failed(requireNumbers(ctx)) || failed(equation))
    return failure();
  // Loops: the output's labels in order, then the summed ones.
  Labels loops = equation->output;
  for (const Labels &labels : equation->inputs)
    for (int label : labels)
      if (!llvm::is_contained(loops, label))
        loops.push_back(label);
  SmallVector<SizeList> labelSizes(loops.size());
  for (auto [labels, input] :
       llvm::zip_equal(equation->inputs, ctx.getInputs()))
    for (auto [label, size] : llvm::zip_equal(labels, input->sizes))
      labelSizes[llvm::find(loops, label) - loops.begin()].push_back(size);
  SizeList sizes;
  for (const SizeList &candidates : labelSizes) {
    SmallVector<ArrayRef<SizeExpr>> shapes;
    for (const SizeExpr &size : candidates)
      shapes.push_back(size);
    FailureOr<SizeList> size = ctx.b.broadcast(shapes);
    if (failed(size))
      return failure();
    sizes.push_back(size->front());
  }
  OpBuilder &b = ctx.b.getBuilder();
  SmallVector<AffineMap> maps;
  for (auto [labels, input] :
       llvm::zip_equal(equation->inputs, ctx.getInputs())) {
    SmallVector<AffineExpr> exprs;
    for (auto [label, size] : llvm::zip_equal(labels, input->sizes)) {
      size_t loop = llvm::find(loops, label) - loops.begin();
      bool repeats = size.isConstant(1) && !sizes[loop].isConstant(1);
      exprs.push_back(repeats ? b.getAffineConstantExpr(0)
                              : b.getAffineDimExpr(loop));
    }
    maps.push_back(AffineMap::get(loops.size(), 0, exprs, b.getContext()));
  }
  ElementType element = ctx.getInput(0)->element;
  size_t kept = equation->output.size();
  if (kept == loops.size()) {
    ctx.setOutput(
        0, ctx.b.parallel(element, sizes, ctx.getInputs(), maps,
                          [&](OpBuilder &b, Location loc, ValueRange args) {
                            ScalarOps o(b, loc, element);
                            Value product = args[0];
                            for (Value factor : args.drop_front())
                              product = o.mul(product, factor);
                            return product;
                          }));
    return success();
  }
  SmallVector<IteratorType> iterators(kept, IteratorType::parallel);
  iterators.append(loops.size() - kept, IteratorType::reduction);
  AffineMap outputMap =
      AffineMap::getMultiDimIdentityMap(loops.size(), b.getContext())
          .getMajorSubMap(kept);
  sizes.truncate(kept);
  ctx.setOutput(0, ctx.b.contract(ctx.getInputs(), maps, element, sizes,
                                  outputMap, iterators));
  return success();
}

ArrayRef<HandlerRow> pquant::getLinearAlgebraHandlers() {
  static const HandlerRow rows[] = {
      {"", "Einsum", 13, 1, variadic, 1, importEinsum},
      {"", "Gemm", 13, 2, 3, 1, importGemm},
      {"", "MatMul", 13, 2, 2, 1, importMatMul},
      {"", "MatMulInteger", 13, 2, 4, 1, importMatMulInteger},
      {"com.microsoft", "FusedMatMul", 1, 2, 2, 1, importFusedMatMul,
       "no transposed batches"},
  };
  return rows;
}
