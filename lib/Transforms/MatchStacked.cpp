//===- MatchStacked.cpp - Products with one matrix of a stack -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The product is one `linalg.generic` of x and W, over loops r.., n and k, and
// others of size 1:
//
//   W[r.., n, k], gathered        w[index] @ x, bmm, einsum
//   W[e, n, k], constant          all experts evaluated at once
//   W[index[r], k, n] in the body the grouped product of torch.export
//
//===----------------------------------------------------------------------===//

#include "MatchStacked.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/SetVector.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

//===----------------------------------------------------------------------===//
// Gathers
//===----------------------------------------------------------------------===//

static Value withoutCast(Value value) {
  auto cast = value.getDefiningOp<arith::IndexCastOp>();
  return cast ? cast.getIn() : value;
}

/// The i of `i`, or of `i < 0 ? i + size : i`, which are the same for indices
/// that count from the start.
static Value withoutWrap(Value value, int64_t size) {
  auto select = value.getDefiningOp<arith::SelectOp>();
  auto compare =
      select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : nullptr;
  auto wrapped =
      select ? select.getTrueValue().getDefiningOp<arith::AddIOp>() : nullptr;
  Value plain = select ? select.getFalseValue() : Value();
  bool isWrap = compare && wrapped &&
                compare.getPredicate() == arith::CmpIPredicate::slt &&
                compare.getLhs() == plain && wrapped.getLhs() == plain &&
                isConstantIntValue(compare.getRhs(), 0) &&
                isConstantIntValue(wrapped.getRhs(), size);
  return withoutCast(isWrap ? plain : value);
}

static bool isLoop(Value index, unsigned loop) {
  auto op = index.getDefiningOp<linalg::IndexOp>();
  return op && op.getDim() == loop;
}

/// The tensor over `loops` that holds the first index of an access to a stack:
/// an input of the op, or a tensor that its body reads; dimensions of size 1
/// may follow.
static Value getIndexTensor(linalg::GenericOp op, tensor::ExtractOp extract,
                            ArrayRef<unsigned> loops) {
  Value index = withoutWrap(extract.getIndices().front(),
                            extract.getTensor().getType().getDimSize(0));
  if (auto arg = dyn_cast<BlockArgument>(index)) {
    if (arg.getOwner() != op.getBody() ||
        arg.getArgNumber() >= op.getNumDpsInputs())
      return {};
    OpOperand &operand = op->getOpOperand(arg.getArgNumber());
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool isByLoop = map.getNumResults() == loops.size();
    for (unsigned i = 0; isByLoop && i < loops.size(); ++i)
      isByLoop =
          map.getResult(i) == getAffineDimExpr(loops[i], op.getContext());
    return isByLoop ? operand.get() : Value();
  }
  auto read = index.getDefiningOp<tensor::ExtractOp>();
  if (!read || read.getIndices().size() < loops.size())
    return {};
  for (auto [i, position] : llvm::enumerate(read.getIndices()))
    if (i < loops.size() ? !isLoop(position, loops[i])
                         : !isConstantIntValue(position, 0) ||
                               read.getTensor().getType().getDimSize(i) != 1)
      return {};
  return read.getTensor();
}

std::optional<GatherMatch> pquant::matchGather(linalg::GenericOp op,
                                               unsigned leading) {
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  auto extract = yielded.getDefiningOp<tensor::ExtractOp>();
  if (!extract || !isElementwise(op) || op.getNumLoops() < leading ||
      extract.getIndices().size() != op.getNumLoops() - leading + 1)
    return std::nullopt;
  for (auto [i, index] : llvm::enumerate(extract.getIndices().drop_front()))
    if (!isLoop(index, leading + i))
      return std::nullopt;
  SmallVector<unsigned> loops = llvm::to_vector(llvm::seq(0u, leading));
  Value index = getIndexTensor(op, extract, loops);
  if (!index)
    return std::nullopt;
  return GatherMatch{extract.getTensor(), index};
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

namespace {
/// Tells what the loops of a product are for.
class StackedMatcher {
public:
  StackedMatcher(ConstantEvaluator &evaluator, linalg::GenericOp op)
      : evaluator(evaluator), op(op) {}

  std::optional<StackedMatch> match(Value x, Value w);

private:
  bool matchLoops(ArrayRef<int64_t> weightDims);
  bool matchOperand(Value w);
  bool matchRead(tensor::ExtractOp extract);
  bool isResultOfRows();

  ConstantEvaluator &evaluator;
  linalg::GenericOp op;
  StackedMatch result;
};
} // namespace

/// Tells n and the rows by a weight that is read at `weightDims`, of which the
/// last two are the matrix.
bool StackedMatcher::matchLoops(ArrayRef<int64_t> weightDims) {
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  int64_t k = reductions[0];
  ArrayRef<int64_t> matrix = weightDims.take_back(2);
  if (llvm::count(weightDims, k) != 1 || !llvm::is_contained(matrix, k))
    return false;
  result.isTransposed = matrix[0] == k;
  int64_t n = matrix[result.isTransposed ? 1 : 0];
  if (n < 0 || llvm::is_contained(result.activation.dims, n) ||
      llvm::count(result.activation.dims, k) != 1)
    return false;
  result.n = n;
  result.k = k;
  AffineMap map = op.getIndexingMapsArray().back();
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  bool isAfterN = false;
  for (AffineExpr expr : map.getResults()) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    bool isUnit = ranges[loop] == 1 && !llvm::is_contained(weightDims, loop);
    if (loop == n)
      isAfterN = true;
    else if (!isUnit && isAfterN)
      return false;
    else if (!isUnit)
      result.rows.push_back(loop);
  }
  return isAfterN;
}

/// A weight that is an operand: gathered for the rows, or one for each expert.
bool StackedMatcher::matchOperand(Value w) {
  std::optional<TensorExpr> weight = getArgumentSource(
      cast<BlockArgument>(w),
      llvm::to_vector(llvm::seq<int64_t>(0, op.getNumLoops())));
  if (!weight || weight->dims.size() < 3 || !matchLoops(weight->dims))
    return false;
  unsigned leading = weight->dims.size() - 2;
  ArrayRef<int64_t> lead = ArrayRef(weight->dims).drop_back(2);
  bool isStack = evaluator.canEvaluate(weight->value);
  result.weight = {weight->value, leading, isStack};
  if (isStack) {
    if (leading != 1 || !llvm::is_contained(result.rows, lead[0]))
      return false;
    result.expertLoop = lead[0];
  } else if (!llvm::equal(lead, result.rows)) {
    return false;
  }
  ExpertSlicer slicer(result.weight);
  if (!slicer.slice(0) || !slicer.getIndex() != result.expertLoop.has_value())
    return false;
  result.index = slicer.getIndex();
  result.experts = slicer.getExperts();
  return true;
}

/// A weight that is read where it is multiplied: stack[index[row], k, n].
bool StackedMatcher::matchRead(tensor::ExtractOp extract) {
  if (extract.getIndices().size() != 3 ||
      !evaluator.canEvaluate(extract.getTensor()))
    return false;
  SmallVector<int64_t> dims{TensorExpr::unitDim};
  for (Value position : extract.getIndices().drop_front()) {
    auto loop = position.getDefiningOp<linalg::IndexOp>();
    if (!loop)
      return false;
    dims.push_back(loop.getDim());
  }
  if (!matchLoops(dims))
    return false;
  result.weight = {extract.getTensor(), 1, /*isStack=*/true};
  result.index = getIndexTensor(op, extract, result.rows);
  ExpertSlicer slicer(result.weight);
  if (!result.index || !slicer.slice(0) || slicer.getIndex())
    return false;
  result.experts = slicer.getExperts();
  return true;
}

std::optional<StackedMatch> StackedMatcher::match(Value x, Value w) {
  auto arg = dyn_cast<BlockArgument>(x);
  if (!arg || arg.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  std::optional<TensorExpr> activation = getArgumentSource(
      arg, llvm::to_vector(llvm::seq<int64_t>(0, op.getNumLoops())));
  if (!activation || evaluator.canEvaluate(activation->value))
    return std::nullopt;
  result = StackedMatch();
  result.op = op;
  result.activation = *activation;
  auto extract = w.getDefiningOp<tensor::ExtractOp>();
  bool isMatch =
      extract ? matchRead(extract) : isa<BlockArgument>(w) && matchOperand(w);
  return isMatch ? std::optional(result) : std::nullopt;
}

std::optional<StackedMatch> pquant::matchStacked(ConstantEvaluator &evaluator,
                                                 linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getNumReductionLoops() != 1 || !startsFromZero(op) ||
      !op.getIndexingMapsArray().back().isProjectedPermutation())
    return std::nullopt;
  auto factors = matchMultiplyAdd(op.getBody());
  if (!factors)
    return std::nullopt;
  StackedMatcher matcher(evaluator, op);
  auto match = matcher.match(factors->first, factors->second);
  return match ? match : matcher.match(factors->second, factors->first);
}

//===----------------------------------------------------------------------===//
// Near misses
//===----------------------------------------------------------------------===//

/// Whether a stack of constant matrices is among what a tensor is made of.
static bool isMadeOfStack(ConstantEvaluator &evaluator, Value tensor) {
  llvm::SetVector<Value> seen;
  seen.insert(tensor);
  for (size_t i = 0; i < seen.size() && i < ExpertSlicer::maxOps; ++i) {
    auto type = dyn_cast<RankedTensorType>(seen[i].getType());
    if (type && type.getRank() >= 3 && evaluator.canEvaluate(seen[i]))
      return true;
    if (Operation *op = seen[i].getDefiningOp())
      op->walk(
          [&](Operation *inner) { seen.insert_range(inner->getOperands()); });
  }
  return false;
}

/// Whether a tensor holds quantised rows, in some shape.
static bool isMadeOfQuantized(Value tensor) {
  std::optional<TensorExpr> expr = TensorExpr::identity(tensor);
  for (; expr && isa<RankedTensorType>(expr->value.getType());
       expr = expr->lookThrough()) {
    Mismatch ignored;
    if (isQuantized(expr->value, ignored))
      return true;
  }
  return false;
}

bool pquant::looksStacked(ConstantEvaluator &evaluator, linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getNumReductionLoops() != 1 || !matchMultiplyAdd(op.getBody()))
    return false;
  Value a = op.getDpsInputs()[0], b = op.getDpsInputs()[1];
  return (isMadeOfQuantized(a) && isMadeOfStack(evaluator, b)) ||
         (isMadeOfQuantized(b) && isMadeOfStack(evaluator, a));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Looks through a reshape that makes one dimension of several rows: they are
/// at the front of the source as well.
static std::optional<TensorExpr> lookThroughMerge(const TensorExpr &expr) {
  auto collapse = expr.value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse || expr.dims.empty())
    return std::nullopt;
  auto groups = collapse.getReassociationIndices();
  TensorExpr source{collapse.getSrc(), {}};
  for (size_t i = 0; i < groups.front().size(); ++i)
    source.dims.push_back(StackedRows::mergedDim - static_cast<int64_t>(i));
  for (auto [dim, group] : llvm::zip_equal(ArrayRef(expr.dims).drop_front(),
                                           ArrayRef(groups).drop_front())) {
    if (group.size() != 1)
      return std::nullopt;
    source.dims.push_back(dim);
  }
  return source;
}

std::optional<StackedRows> pquant::getRows(const StackedMatch &match) {
  StackedRows rows;
  std::optional<TensorExpr> x = match.activation;
  auto isLast = [&] {
    return isa<RankedTensorType>(x->value.getType()) && !x->dims.empty() &&
           x->dims.back() == match.k;
  };
  while (x) {
    if (isLast())
      rows.tensor = *x;
    else if (rows.tensor.value)
      break;
    std::optional<TensorExpr> next = x->lookThrough();
    if (!next && rows.merged == 0 && match.rows.size() == 1 &&
        llvm::is_contained(x->dims, match.rows[0])) {
      next = lookThroughMerge(*x);
      if (next)
        rows.merged = x->value.getDefiningOp<tensor::CollapseShapeOp>()
                          .getReassociationIndices()
                          .front()
                          .size();
    }
    x = next;
  }
  if (!rows.tensor.value)
    return std::nullopt;
  ArrayRef<int64_t> dims = ArrayRef(rows.tensor.dims).drop_back();
  auto shape = cast<RankedTensorType>(rows.tensor.value.getType()).getShape();
  bool isMerged = llvm::any_of(
      dims, [](int64_t dim) { return dim <= StackedRows::mergedDim; });
  if (!isMerged)
    rows.merged = 0;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    bool isRow = llvm::is_contained(match.rows, dim);
    if (isMerged ? dim != StackedRows::mergedDim - static_cast<int64_t>(i) ||
                       dims.size() != rows.merged
                 : shape[i] != 1 && !isRow)
      return std::nullopt;
  }
  return rows;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// Element (n, k) of the matrix that an `ExpertSlicer` gave.
static TensorExpr getMatrix(const StackedMatch &match, Value slice) {
  TensorExpr matrix{slice, {}};
  matrix.dims.assign(match.weight.leading, TensorExpr::unitDim);
  matrix.dims.push_back(match.isTransposed ? 1 : 0);
  matrix.dims.push_back(match.isTransposed ? 0 : 1);
  return matrix;
}

bool pquant::hasStackedQuantizer(const StackedMatch &match) {
  ExpertSlicer slicer(match.weight);
  return hasWeightQuantizer(getMatrix(match, slicer.slice(0)));
}

/// Each step as often as there are rows.
static void repeatScales(StackedInt8 &weight, int64_t experts) {
  std::vector<float> scales;
  for (float scale : weight.scales)
    scales.insert(scales.end(), weight.rows, scale);
  if (static_cast<int64_t>(weight.scales.size()) == experts)
    weight.scales = std::move(scales);
}

std::optional<StackedInt8>
pquant::matchStackedInt8(const StackedMatch &match,
                         const WeightOptions &options, Mismatch &mismatch) {
  StackedInt8 result;
  ExpertSlicer slicer(match.weight);
  for (int64_t e = 0; e < match.experts; ++e) {
    TensorExpr matrix = getMatrix(match, slicer.slice(e));
    ArrayRef<int64_t> shape =
        cast<RankedTensorType>(matrix.value.getType()).getShape().take_back(2);
    result.rows = shape[match.isTransposed ? 1 : 0];
    result.columns = shape[match.isTransposed ? 0 : 1];
    ConstantEvaluator evaluator;
    std::optional<WeightMatch> weight = matchWeight(
        evaluator, matrix, result.rows, result.columns, options, mismatch);
    if (!weight)
      return std::nullopt;
    if (!weight->isInt8()) {
      mismatch.reason = "stacked weights of experts are 1-bit or ternary, not "
                        "INT8";
      return std::nullopt;
    }
    int64_t size = result.rows * result.columns;
    if (e == 0) {
      result.values = allocateBlob(match.experts * size);
      result.name = getWeightName(matrix.value);
    }
    std::memcpy(result.values.getMutableData().data() + e * size,
                weight->values.getData().data(), size);
    // One step for a matrix here, and one for a row there: all for rows.
    bool isByRow = weight->scales.size() > 1;
    if (isByRow && static_cast<int64_t>(result.scales.size()) == e)
      repeatScales(result, e);
    if (!isByRow && static_cast<int64_t>(result.scales.size()) > e)
      weight->scales.resize(result.rows, weight->scales.front());
    llvm::append_range(result.scales, weight->scales);
    result.deviation = std::max(result.deviation, weight->deviation);
  }
  return result;
}
