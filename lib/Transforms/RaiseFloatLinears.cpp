//===- RaiseFloatLinears.cpp - Large f32 contractions ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-raise-float-linears: a contraction of f32 rows with a large constant
// matrix becomes pquant.float_linear, whose weight pquant-pack-bits can pack.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Support/TensorTypes.h"
#include "pquant/Transforms/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_RAISEFLOATLINEARSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// A constant matrix, perhaps transposed.
static bool isConstantMatrix(Value value) {
  if (auto transpose = value.getDefiningOp<linalg::TransposeOp>())
    value = transpose.getInput();
  ElementsAttr attr = getConstant(value);
  return attr && !typeOf(value).getEncoding() && typeOf(value).getRank() == 2;
}

/// Whether `value` is a tensor filled with zero.
static bool isZeroFill(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
}

/// What the weight map says: [N, K] or [K, N].
enum class WeightOrder { RowsFirst, ColumnsFirst };

/// Matches maps (rows.., k), (n, k) or (k, n), (rows.., n) where the loops of
/// the rows come in the same order in input and output.
static std::optional<WeightOrder> matchMaps(linalg::LinalgOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (AffineMap map : maps)
    if (!map.isProjectedPermutation())
      return std::nullopt;
  ArrayRef<AffineExpr> input = maps[0].getResults();
  ArrayRef<AffineExpr> weight = maps[1].getResults();
  ArrayRef<AffineExpr> output = maps[2].getResults();
  if (input.empty() || weight.size() != 2 || output.size() != input.size() ||
      input.drop_back() != output.drop_back() ||
      op.getNumLoops() != input.size() + 1)
    return std::nullopt;
  AffineExpr k = input.back(), n = output.back();
  if (k == n)
    return std::nullopt;
  if (weight[0] == n && weight[1] == k)
    return WeightOrder::RowsFirst;
  if (weight[0] == k && weight[1] == n)
    return WeightOrder::ColumnsFirst;
  return std::nullopt;
}

/// [N, K] from a [K, N] constant: what it is the transpose of, or a transpose.
static Value transposed(PatternRewriter &rewriter, Location loc, Value weight) {
  if (auto transpose = weight.getDefiningOp<linalg::TransposeOp>())
    return transpose.getInput();
  RankedTensorType type = typeOf(weight);
  Value init = tensor::EmptyOp::create(
      rewriter, loc, ArrayRef<int64_t>{type.getDimSize(1), type.getDimSize(0)},
      type.getElementType());
  return linalg::TransposeOp::create(rewriter, loc, weight, init,
                                     ArrayRef<int64_t>{1, 0})
      ->getResult(0);
}

namespace {
/// contraction(%x, %constant) into zeros -> pquant.float_linear.
struct RaiseFloatLinear : OpInterfaceRewritePattern<linalg::LinalgOp> {
  RaiseFloatLinear(MLIRContext *context, int64_t minElements)
      : OpInterfaceRewritePattern(context), minElements(minElements) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (!linalg::isaContractionOpInterface(op) || op->getNumResults() != 1 ||
        !linalg::detail::isContractionBody(
            *op.getBlock(), [](Operation *mul, Operation *add) {
              return isa<arith::MulFOp>(mul) && isa<arith::AddFOp>(add);
            }))
      return rewriter.notifyMatchFailure(op, "no f32 contraction");
    Value input = op.getDpsInputs()[0], weight = op.getDpsInputs()[1];
    if (!typeOf(input).getElementType().isF32() ||
        !typeOf(weight).getElementType().isF32())
      return rewriter.notifyMatchFailure(op, "operands are not f32");
    if (!isConstantMatrix(weight))
      return rewriter.notifyMatchFailure(op, "the weight is no constant");
    if (typeOf(weight).getNumElements() < minElements)
      return rewriter.notifyMatchFailure(op, "the weight is small");
    if (!isZeroFill(op.getDpsInits()[0]))
      return rewriter.notifyMatchFailure(op, "the sum does not start at zero");
    std::optional<WeightOrder> order = matchMaps(op);
    if (!order)
      return rewriter.notifyMatchFailure(op, "not rows times a matrix");
    if (ShapedType::isDynamic(typeOf(input).getShape().back()))
      return rewriter.notifyMatchFailure(op, "K is dynamic");
    if (*order == WeightOrder::ColumnsFirst)
      weight = transposed(rewriter, op.getLoc(), weight);
    remark::passed(op.getLoc(), remark::RemarkOpts::name("RaisedFloatLinear")
                                    .category("pquant-raise-float-linears"))
        << ("float linear of " + Twine(typeOf(weight).getDimSize(0)) + " x " +
            Twine(typeOf(weight).getDimSize(1)))
               .str();
    Value linear = FloatLinearOp::create(rewriter, op.getLoc(), input, weight);
    Type type = op->getResult(0).getType();
    if (linear.getType() != type)
      linear = tensor::CastOp::create(rewriter, op.getLoc(), type, linear);
    rewriter.replaceOp(op, linear);
    return success();
  }

  int64_t minElements;
};

struct RaiseFloatLinearsPass
    : pquant::impl::RaiseFloatLinearsPassBase<RaiseFloatLinearsPass> {
  using RaiseFloatLinearsPassBase::RaiseFloatLinearsPassBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseFloatLinear>(&getContext(), minElements);
    GreedyRewriteConfig config;
    config.enableFolding(false).enableConstantCSE(false);
    if (failed(
            applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};
} // namespace
