//===- ChoiceEvaluator.cpp - Values under a choice of the router ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Arithmetic on numbers, and tensors read at computed positions; see
// MatchChoice.cpp for what it is good for.
//
//===----------------------------------------------------------------------===//

#include "ChoiceEvaluator.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// The longest sum that is written out.
static constexpr int64_t maxTerms = 256;
/// How many expressions are looked at before a match is given up.
static constexpr unsigned maxSteps = 1 << 16;

/// A dimension that is read at `position`, as an entry of TensorExpr::dims.
static int64_t atPosition(int64_t position) { return -3 - position; }

/// The position that a dimension is read at; no value when it follows one of
/// the space.
static std::optional<int64_t> getFixedPosition(int64_t dim) {
  if (dim == TensorExpr::unitDim)
    return 0;
  return dim <= atPosition(0) ? std::optional(-3 - dim) : std::nullopt;
}

/// The element that an input of a `linalg.generic` holds; unlike those that
/// patterns look through, maps may have constants (the two values of OneHot).
static std::optional<TensorExpr> getInput(const TensorExpr &expr) {
  auto arg = dyn_cast<BlockArgument>(expr.value);
  auto op = arg ? dyn_cast<linalg::GenericOp>(arg.getOwner()->getParentOp())
                : nullptr;
  if (!op || arg.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  OpOperand &operand = op->getOpOperand(arg.getArgNumber());
  TensorExpr source{operand.get(), {}};
  for (AffineExpr result : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(result))
      source.dims.push_back(expr.dims[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(result))
      source.dims.push_back(atPosition(constant.getValue()));
    else
      return std::nullopt;
  }
  return source;
}

using Result = ChoiceEvaluator::Result;

static Chosen makeNumber(int64_t number) { return {number, false, {}}; }

static bool isZero(const Result &value) { return value && value->number == 0; }

Result pquant::multiply(const Result &a, const Result &b) {
  if (isZero(a) || isZero(b))
    return makeNumber(0);
  if (!a || !b || (a->isWeighed && b->isWeighed) || (a->base && b->base))
    return std::nullopt;
  return Chosen{a->number * b->number, a->isWeighed || b->isWeighed,
                a->base ? a->base : b->base, a->isFlat || b->isFlat};
}

static Result add(const Result &a, const Result &b) {
  if (isZero(a) || isZero(b))
    return isZero(a) ? b : a;
  if (!a || !b || !a->isNumber() || !b->isNumber())
    return std::nullopt;
  return makeNumber(a->number + b->number);
}

std::optional<int64_t> ChoiceEvaluator::getNumber(const TensorExpr &expr) {
  Result value = evaluate(expr);
  return value && value->isNumber() ? std::optional(value->number)
                                    : std::nullopt;
}

std::optional<int64_t> ChoiceEvaluator::getPosition(Value index,
                                                    ArrayRef<int64_t> dims) {
  if (auto it = loops.find(index); it != loops.end())
    return it->second;
  if (auto loop = index.getDefiningOp<linalg::IndexOp>())
    return dims[loop.getDim()];
  std::optional<int64_t> number =
      getNumber({index, SmallVector<int64_t, 4>(dims)});
  return number && *number >= 0 ? std::optional(atPosition(*number))
                                : std::nullopt;
}

Result ChoiceEvaluator::evaluateConstant(Attribute attr,
                                         ArrayRef<int64_t> dims) {
  if (auto elements = dyn_cast<DenseElementsAttr>(attr)) {
    SmallVector<uint64_t> at;
    for (int64_t dim : dims)
      if (std::optional<int64_t> position = getFixedPosition(dim))
        at.push_back(*position);
    bool isInside = at.size() == dims.size() &&
                    ElementsAttr::isValidIndex(elements.getType(), at);
    if (!elements.isSplat() && !isInside)
      return std::nullopt;
    attr = elements.isSplat() ? elements.getSplatValue<Attribute>()
                              : elements.getValues<Attribute>()[at];
  }
  if (auto number = dyn_cast<FloatAttr>(attr)) {
    double value = number.getValueAsDouble();
    if (value != 0 && value != 1)
      return std::nullopt;
    return makeNumber(static_cast<int64_t>(value));
  }
  auto number = dyn_cast<IntegerAttr>(attr);
  if (!number)
    return std::nullopt;
  return makeNumber(number.getType().isInteger(1)
                        ? number.getValue().getZExtValue()
                        : number.getValue().getSExtValue());
}

Result ChoiceEvaluator::evaluateCompare(arith::CmpIOp op,
                                        ArrayRef<int64_t> dims) {
  SmallVector<int64_t, 4> point(dims);
  std::optional<int64_t> b = getNumber({op.getRhs(), point});
  // The rank of the chosen probability is 0, that of the others is not.
  if (op.getPredicate() == arith::CmpIPredicate::eq && b == 0)
    if (std::optional<TensorExpr> p = matchRank({op.getLhs(), point}))
      if (finder.isProbabilities(*p))
        if (auto position = getFixedPosition(p->dims.back()))
          return makeNumber(*position == expert);
  std::optional<int64_t> a = getNumber({op.getLhs(), point});
  if (!a || !b)
    return std::nullopt;
  return makeNumber(arith::applyCmpPredicate(
      op.getPredicate(), APInt(64, *a, true), APInt(64, *b, true)));
}

/// A tensor read at computed positions.
Result ChoiceEvaluator::evaluateExtract(tensor::ExtractOp op,
                                        ArrayRef<int64_t> dims) {
  TensorExpr source{op.getTensor(), {}};
  for (auto [index, size] :
       llvm::zip_equal(op.getIndices(), op.getTensor().getType().getShape())) {
    std::optional<int64_t> dim = getPosition(index, dims);
    if (!dim)
      return fail("the gathered index is not that of a largest probability");
    std::optional<int64_t> position = getFixedPosition(*dim);
    if (position && !ShapedType::isDynamic(size) && *position >= size)
      return fail("the router knows " + Twine(finder.getExperts()) +
                  " experts, but " + Twine(size) + " are evaluated");
    source.dims.push_back(*dim);
  }
  return evaluate(source);
}

Result ChoiceEvaluator::evaluateConcat(tensor::ConcatOp op, TensorExpr root) {
  std::optional<int64_t> position = getFixedPosition(root.dims[op.getDim()]);
  if (!position)
    return std::nullopt;
  for (Value input : op.getInputs()) {
    int64_t size =
        cast<RankedTensorType>(input.getType()).getDimSize(op.getDim());
    if (ShapedType::isDynamic(size))
      return std::nullopt;
    if (*position < size) {
      root.value = input;
      root.dims[op.getDim()] = atPosition(*position);
      return evaluate(root);
    }
    *position -= size;
  }
  return std::nullopt;
}

Result ChoiceEvaluator::evaluateSlice(tensor::ExtractSliceOp op,
                                      ArrayRef<int64_t> dims) {
  if (!op.hasUnitStride())
    return std::nullopt;
  TensorExpr source{op.getSource(), {}};
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, offset] : llvm::enumerate(op.getStaticOffsets())) {
    int64_t dim = dropped[i] ? TensorExpr::unitDim : dims.front();
    if (!dropped[i])
      dims = dims.drop_front();
    std::optional<int64_t> position = getFixedPosition(dim);
    if (ShapedType::isDynamic(offset) || (!position && offset != 0))
      return std::nullopt;
    source.dims.push_back(position ? atPosition(*position + offset) : dim);
  }
  return evaluate(source);
}

/// Writes a reduction over the experts out: its body, once for each.
Result ChoiceEvaluator::evaluateReduction(linalg::GenericOp op,
                                          const TensorExpr &root) {
  unsigned result = cast<OpResult>(root.value).getResultNumber();
  OpOperand *init = op.getDpsInitOperand(result);
  AffineMap map = op.getMatchingIndexingMap(init);
  if (op.getNumReductionLoops() != 1 || !map.isProjectedPermutation())
    return std::nullopt;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  int64_t terms = op.getStaticLoopRanges()[reductions[0]];
  if (ShapedType::isDynamic(terms) || terms > maxTerms)
    return std::nullopt;
  Result sum = evaluate({init->get(), root.dims});
  TensorExpr body{op.getBody()->getTerminator()->getOperand(result), {}};
  body.dims.assign(op.getNumLoops(), TensorExpr::unitDim);
  for (auto [i, dim] : llvm::enumerate(root.dims))
    body.dims[map.getDimPosition(i)] = dim;
  Value accumulator = op.getMatchingBlockArgument(init);
  for (int64_t i = 0; i < terms && sum; ++i) {
    body.dims[reductions[0]] = atPosition(i);
    accumulators[accumulator] = *sum;
    sum = evaluate(body);
  }
  accumulators.erase(accumulator);
  return sum;
}

/// Reads the result of `init[.., index[..], ..] = update` for all rows.
Result ChoiceEvaluator::evaluateScatter(scf::ForOp op, ArrayRef<int64_t> dims) {
  std::optional<ScatterMatch> scatter = matchScatter(op);
  if (!scatter)
    return std::nullopt;
  std::optional<int64_t> position = getFixedPosition(dims[scatter->axis]);
  if (!position)
    return std::nullopt;
  for (auto [loop, dim] : scatter->loops)
    loops[loop] = dim == TensorExpr::unitDim ? dim : dims[dim];
  Result result;
  if (std::optional<int64_t> index = getNumber({scatter->index, {}}))
    result = *index == *position
                 ? evaluate({scatter->update, {}})
                 : evaluate({scatter->init, SmallVector<int64_t, 4>(dims)});
  for (auto [loop, dim] : scatter->loops)
    loops.erase(loop);
  return result;
}

/// (row, k) seen as (r, s, .., k).
Result ChoiceEvaluator::evaluateSplit(tensor::ExpandShapeOp op,
                                      const TensorExpr &root) {
  auto groups = op.getReassociationIndices();
  int64_t rank = root.dims.size();
  bool isRows = !isFlat && groups.size() == 2 && groups[1].size() == 1;
  for (int64_t i = 0; isRows && i < rank; ++i)
    isRows = root.dims[i] == i;
  if (!isRows)
    return Chosen{1, false, root, isFlat};
  isFlat = true;
  Result result = evaluate({op.getSrc(), {0, 1}});
  isFlat = false;
  return result;
}

/// An index or a probability of each of (r, s, ..), seen as one of each row.
Result ChoiceEvaluator::evaluateMerge(tensor::CollapseShapeOp op,
                                      const TensorExpr &root) {
  if (!isFlat || root.dims.size() != 1 || root.dims[0] != 0)
    return Chosen{1, false, root, isFlat};
  isFlat = false;
  Result result = evaluate(TensorExpr::identity(op.getSrc()));
  isFlat = true;
  return result;
}

/// The result of one of two bodies; the condition is that of a single row.
Result ChoiceEvaluator::evaluateIf(scf::IfOp op, const TensorExpr &root) {
  std::optional<int64_t> condition = getNumber({op.getCondition(), {}});
  if (!condition)
    return fail("a condition is not told by the router's choice");
  scf::YieldOp yield = *condition ? op.thenYield() : op.elseYield();
  unsigned result = cast<OpResult>(root.value).getResultNumber();
  return evaluate({yield.getOperand(result), root.dims});
}

/// Whether the row is read over its last dimension, which was reduced.
static bool isWholeRow(const TensorExpr &row) {
  int64_t last = row.normalized().dims.back();
  return last == TensorExpr::reducedDim || last == TensorExpr::unitDim;
}

/// What the router says: the index, its probability, or all probabilities.
Result ChoiceEvaluator::evaluateRouting(const TensorExpr &root,
                                        bool &isRouting) {
  isRouting = true;
  if (finder.isRouted(root))
    return cast<OpResult>(root.value).getResultNumber() == 0
               ? makeNumber(expert)
               : Chosen{1, true, {}};
  if (std::optional<TensorExpr> row = matchArgMax(root))
    return isWholeRow(*row) && finder.isProbabilities(*row)
               ? Result(makeNumber(expert))
               : fail("the index is not that of the softmax of a linear");
  std::optional<TensorExpr> row = matchMaximum(root);
  if (row && isWholeRow(*row) && finder.isProbabilities(*row))
    return Chosen{1, true, {}};
  if (root.value.getDefiningOp<linalg::SoftmaxOp>() &&
      finder.isProbabilities(root)) {
    // Only that of the chosen expert is the largest one.
    if (getFixedPosition(root.dims.back()) == expert)
      return Chosen{1, true, {}};
    return std::nullopt;
  }
  isRouting = false;
  return std::nullopt;
}

Result ChoiceEvaluator::evaluateArithmetic(Operation *op,
                                           const TensorExpr &root) {
  auto operand = [&](unsigned i) {
    return evaluate({op->getOperand(i), root.dims});
  };
  auto cast = [&](bool isSigned) -> Result {
    // A set bit is -1 as a signed number.
    Result value = operand(0);
    bool isBit = op->getOperand(0).getType().isInteger(1);
    return value && value->isNumber() && !(isSigned && isBit) ? value
                                                              : std::nullopt;
  };
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<arith::MulFOp>([&](auto) {
        Result left = operand(0);
        return isZero(left) ? left : multiply(left, operand(1));
      })
      .Case<arith::AddFOp, arith::AddIOp>(
          [&](auto) { return add(operand(0), operand(1)); })
      .Case<arith::SubIOp, arith::AndIOp>([&](auto) -> Result {
        std::optional<int64_t> a = getNumber({op->getOperand(0), root.dims});
        std::optional<int64_t> b = getNumber({op->getOperand(1), root.dims});
        if (!a || !b)
          return std::nullopt;
        return makeNumber(isa<arith::SubIOp>(op) ? *a - *b : *a & *b);
      })
      .Case<arith::UIToFPOp, arith::ExtUIOp>([&](auto) { return cast(false); })
      .Case<arith::SIToFPOp, arith::ExtSIOp, arith::IndexCastOp>(
          [&](auto) { return cast(true); })
      .Case([&](arith::CmpFOp compare) -> Result {
        if (finder.isProbabilities({compare.getLhs(), root.dims}) ||
            finder.isProbabilities({compare.getRhs(), root.dims}))
          return fail("experts are chosen by comparing probabilities, of which "
                      "two may be equal");
        return Chosen{1, false, root, isFlat};
      })
      .Case([&](arith::SelectOp select) -> Result {
        std::optional<int64_t> condition =
            getNumber({select.getCondition(), root.dims});
        if (!condition)
          return std::nullopt;
        return operand(*condition ? 1 : 2);
      })
      .Default([&](Operation *) { return Chosen{1, false, root, isFlat}; });
}

Result ChoiceEvaluator::evaluate(const TensorExpr &expr) {
  TensorExpr root = expr.normalized();
  if (auto it = accumulators.find(root.value); it != accumulators.end())
    return it->second;
  Operation *op = root.value.getDefiningOp();
  if (!op) {
    std::optional<TensorExpr> input = getInput(root);
    return input ? evaluate(*input) : Result(Chosen{1, false, root, isFlat});
  }
  if (++steps > maxSteps)
    return std::nullopt;
  bool isRouting = false;
  Result routing = evaluateRouting(root, isRouting);
  if (isRouting)
    return routing;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](arith::ConstantOp constant) {
        return evaluateConstant(constant.getValue(), root.dims);
      })
      .Case([&](linalg::FillOp fill) {
        return evaluate({fill.getInputs()[0], {}});
      })
      .Case([&](linalg::IndexOp index) -> Result {
        auto position = getFixedPosition(root.dims[index.getDim()]);
        return position ? Result(makeNumber(*position)) : std::nullopt;
      })
      .Case([&](arith::CmpIOp compare) {
        return evaluateCompare(compare, root.dims);
      })
      .Case([&](tensor::ExtractOp extract) {
        return evaluateExtract(extract, root.dims);
      })
      .Case(
          [&](tensor::ConcatOp concat) { return evaluateConcat(concat, root); })
      .Case([&](tensor::ExtractSliceOp slice) {
        return evaluateSlice(slice, root.dims);
      })
      .Case([&](linalg::GenericOp generic) {
        return evaluateReduction(generic, root);
      })
      .Case([&](scf::ForOp loop) { return evaluateScatter(loop, root.dims); })
      .Case([&](scf::IfOp branches) { return evaluateIf(branches, root); })
      .Case([&](tensor::ExpandShapeOp split) {
        return evaluateSplit(split, root);
      })
      .Case([&](tensor::CollapseShapeOp merge) {
        return evaluateMerge(merge, root);
      })
      .Default(
          [&](Operation *other) { return evaluateArithmetic(other, root); });
}
