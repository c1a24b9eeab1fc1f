//===- Raise.cpp - From quantiser arithmetic to pquant ops ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: tensor IR as the frontends write it, with quantisation as float
// arithmetic (or weights that it left its values in). Output: `pquant` ops for
// the linears whose activation and weight are both quantised, for decoupled
// feed-forward layers and for routed experts; everything else as it was.
//
// Each linear is matched, rewritten and cleaned up before the next one, so that
// never more than one weight's integers are in memory beside the results.
//
//===----------------------------------------------------------------------===//

#include "LinearRaiser.h"
#include "RaiseFFN.h"
#include "pquant/Support/Constants.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/RaiseSummary.h"
#include "llvm/Support/FormatVariadic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/CSE.h"

namespace pquant {
#define GEN_PASS_DEF_RAISEPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

/// A reshape that keeps the last dimension as it is.
static bool keepsRows(Operation *reshape) {
  SmallVector<ReassociationIndices> groups;
  if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(reshape))
    groups = collapse.getReassociationIndices();
  else if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(reshape))
    groups = expand.getReassociationIndices();
  return !groups.empty() && groups.back().size() == 1;
}

/// The reshape applied to `value`, or to the steps of its rows.
static Value applyReshape(OpBuilder &builder, Operation *reshape, Value value,
                          bool isScale) {
  auto element = cast<RankedTensorType>(value.getType()).getElementType();
  auto type = cast<RankedTensorType>(reshape->getResult(0).getType());
  ArrayRef<int64_t> shape = type.getShape();
  if (isScale)
    shape = shape.drop_back();
  auto resultType = RankedTensorType::get(shape, element);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(reshape)) {
    SmallVector<ReassociationIndices> groups =
        collapse.getReassociationIndices();
    if (isScale)
      groups.pop_back();
    return tensor::CollapseShapeOp::create(builder, reshape->getLoc(),
                                           resultType, value, groups);
  }
  auto expand = cast<tensor::ExpandShapeOp>(reshape);
  SmallVector<ReassociationIndices> groups = expand.getReassociationIndices();
  SmallVector<OpFoldResult> sizes = expand.getMixedOutputShape();
  if (isScale) {
    groups.pop_back();
    sizes.pop_back();
  }
  return tensor::ExpandShapeOp::create(builder, reshape->getLoc(), resultType,
                                       value, groups, sizes);
}

Value LinearRaiser::makeConstant(Location loc, ElementsAttr attr) {
  return arith::ConstantOp::create(rewriter, loc, cast<TypedAttr>(attr));
}

LinearRaiser::Quantized LinearRaiser::getQuantized(const ActivationMatch &match,
                                                   Location loc) {
  QuantizeOp &op = quantizations[{match.input, match.quantizer}];
  if (!op) {
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointAfterValue(match.input);
    op = QuantizeOp::create(rewriter, loc, match.input, match.quantizer);
  }
  return {op.getValues(), op.getScale()};
}

std::optional<LinearRaiser::Quantized>
LinearRaiser::quantize(Value activation, Mismatch &mismatch) {
  std::optional<ActivationMatch> match = matchActivation(activation, mismatch);
  if (match)
    return getQuantized(*match, activation.getLoc());
  Operation *reshape = activation.getDefiningOp();
  if (!keepsRows(reshape))
    return std::nullopt;
  std::optional<Quantized> source = quantize(reshape->getOperand(0), mismatch);
  if (!source)
    return std::nullopt;
  return Quantized{applyReshape(rewriter, reshape, source->values, false),
                   applyReshape(rewriter, reshape, source->scale, true)};
}

/// W = s B, s/2 (B1 + B2), or s Q
///   -> pquant.binary_linear with one or two planes, pquant.int8_linear.
Value LinearRaiser::createLinear(Location loc, const Quantized &input,
                                 WeightMatch weight, StringRef name) {
  MLIRContext *context = rewriter.getContext();
  bool isInt8 = weight.kind == WeightMatch::Kind::Int8;
  int64_t scales = weight.scales.size();
  SmallVector<int64_t> shape{scales};
  if (!isInt8)
    shape.push_back(1);
  ArrayRef<char> scaleBytes(reinterpret_cast<char *>(weight.scales.data()),
                            scales * sizeof(float));
  Value scale = makeConstant(
      loc, makeConstantAttr(RankedTensorType::get(shape, rewriter.getF32Type()),
                            scaleBytes, (name + ".scale").str()));
  if (isInt8) {
    auto type = RankedTensorType::get({weight.rows, weight.columns},
                                      rewriter.getI8Type());
    ElementsAttr values =
        type.getNumElements() > maxInlineElements
            ? ElementsAttr(makeResourceAttr(type, std::move(weight.values),
                                            (name + ".int8").str()))
            : makeConstantAttr(type, weight.values.getData(), name);
    return Int8LinearOp::create(rewriter, loc, input.values, input.scale,
                                makeConstant(loc, values), scale);
  }
  auto makePlane = [&](AsmResourceBlob &bits, const Twine &suffix) {
    return makeConstant(loc, makeBitMatrixAttr(context, weight.rows,
                                               weight.columns, bits.getData(),
                                               (name + suffix).str()));
  };
  SmallVector<Value, 2> planes{makePlane(weight.plane, ".bits")};
  SmallVector<Value, 2> planeScales{scale};
  if (weight.kind == WeightMatch::Kind::Ternary) {
    planes.push_back(makePlane(weight.secondPlane, ".bits2"));
    planeScales.push_back(scale);
  }
  return BinaryLinearOp::create(rewriter, loc, input.values, input.scale,
                                planes, planeScales, /*offset=*/Value());
}

void pquant::emitSnapRemark(Operation *op, float deviation) {
  op->emitRemark("weights snapped to their grid: they were off by up to ")
      << llvm::formatv("{0:e1}", deviation).str() << " steps";
}

bool pquant::isQuantized(Value activation, Mismatch &mismatch) {
  while (!matchActivation(activation, mismatch)) {
    if (!keepsRows(activation.getDefiningOp()))
      return false;
    activation = activation.getDefiningOp()->getOperand(0);
  }
  return true;
}

LogicalResult LinearRaiser::raise(linalg::GenericOp op) {
  // The evaluator lives for one linear: what it knows dies with the IR.
  ConstantEvaluator evaluator;
  if (std::optional<LinearMatch> linear = matchLinear(evaluator, op))
    return raiseLinear(evaluator, *linear);
  std::optional<StackedMatch> stacked = matchStacked(evaluator, op);
  return stacked ? raiseStacked(*stacked) : success();
}

LogicalResult LinearRaiser::raiseLinear(ConstantEvaluator &evaluator,
                                        const LinearMatch &linear) {
  linalg::GenericOp op = linear.op;
  Mismatch mismatch;
  // The weight last: it is the one that costs time.
  if (!isQuantized(linear.activation, mismatch))
    return success();
  std::optional<WeightMatch> weight = matchWeight(
      evaluator, linear.weight, linear.rows, linear.columns, options, mismatch);
  if (!weight)
    return mismatch.isError ? op.emitError(mismatch.reason) : success();
  if (weight->deviation > 0)
    emitSnapRemark(op, weight->deviation);

  rewriter.setInsertionPoint(op);
  std::string name = getWeightName(linear.weight.value);
  std::optional<Quantized> input = quantize(linear.activation, mismatch);
  Value result = createLinear(op.getLoc(), *input, std::move(*weight), name);
  Type type = op.getResultTypes()[0];
  if (result.getType() != type)
    result = tensor::CastOp::create(rewriter, op.getLoc(), type, result);
  rewriter.replaceOp(op, result);
  return success();
}

/// Erases what nothing uses, users before producers.
static void eraseDeadOps(ModuleOp module) {
  module.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
}

static void emitSummary(ModuleOp module, const RaiseSummary &summary) {
  InFlightDiagnostic remark = emitRemark(module.getLoc())
                              << summary.getHeadline();
  for (const FloatLinear &linear : summary.floats)
    remark.attachNote(linear.loc) << linear.name << ": " << linear.reason;
}

static LogicalResult checkAllQuantized(const RaiseSummary &summary) {
  LogicalResult result = success();
  for (const FloatLinear &linear : summary.floats)
    if (linear.isQuantizedInModel)
      result = emitError(linear.loc)
               << "linear '" << linear.name
               << "' is quantised in the model but stays in float: "
               << linear.reason;
  return result;
}

namespace {
struct RaisePass : pquant::impl::RaisePassBase<RaisePass> {
  using RaisePassBase::RaisePassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(module);
    eliminateCommonSubExpressions(rewriter, dominance, module);

    SmallVector<linalg::GenericOp> products;
    module.walk([&](linalg::GenericOp op) { products.push_back(op); });
    LinearRaiser raiser(&getContext(), {signZero, snapWeights});
    bool hasErrors = false;
    for (linalg::GenericOp op : products)
      hasErrors |= failed(raiser.raise(op));
    if (hasErrors)
      return signalPassFailure();
    eraseDeadOps(module);
    raiseFeedForward(module);
    eraseDeadOps(module);

    RaiseSummary summary = summarizeRaising(module);
    emitSummary(module, summary);
    if (requireQuantized && failed(checkAllQuantized(summary)))
      signalPassFailure();
  }
};
} // namespace
