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
#include "RaisePlanes.h"
#include "pquant/Support/Constants.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/PointExpr.h"
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

std::optional<LinearRaiser::Source> LinearRaiser::findSource(Value activation) {
  SmallVector<Operation *, 2> reshapes;
  Mismatch mismatch;
  while (true) {
    if (auto match = matchActivation(activation, mismatch))
      return Source{*match, reshapes};
    Operation *reshape = activation.getDefiningOp();
    if (!keepsRows(reshape))
      return std::nullopt;
    reshapes.push_back(reshape);
    activation = reshape->getOperand(0);
  }
}

LinearRaiser::Quantized LinearRaiser::getReshaped(const Source &source,
                                                  Location loc) {
  Quantized result = getQuantized(source.match, loc);
  for (Operation *reshape : llvm::reverse(source.reshapes)) {
    Quantized &next = reshaped[{result.values, reshape}];
    if (!next.values) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointAfter(reshape);
      next = {applyReshape(rewriter, reshape, result.values, false),
              applyReshape(rewriter, reshape, result.scale, true)};
    }
    result = next;
  }
  return result;
}

/// What is to be multiplied with the step later starts with the step 1.
Value LinearRaiser::getUnitSteps(Value steps, Location loc) {
  Value &ones = unitSteps[steps];
  if (ones)
    return ones;
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPointAfterValue(steps);
  Value empty = tensor::EmptyOp::create(
      rewriter, loc, tensor::getMixedSizes(rewriter, loc, steps),
      rewriter.getF32Type());
  Value one =
      arith::ConstantOp::create(rewriter, loc, rewriter.getF32FloatAttr(1));
  return ones = linalg::FillOp::create(rewriter, loc, one, empty).getResult(0);
}

/// The product as it is used when its activation is read before the reshapes:
/// behind that which undoes the one there is. Null when nothing does.
static Value undoReshapes(Value product, ArrayRef<Operation *> reshapes) {
  if (reshapes.empty())
    return product;
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(reshapes[0]);
  if (reshapes.size() != 1 || !collapse || !product.hasOneUse())
    return {};
  auto expand = dyn_cast<tensor::ExpandShapeOp>(*product.user_begin());
  if (!expand || expand.getReassociation() != collapse.getReassociation())
    return {};
  Value source = collapse.getSrc(), result = expand.getResult();
  PointSpace space(result);
  for (int64_t i = 0, e = collapse.getSrcType().getRank() - 1; i < e; ++i)
    if (space.sizeOf(source, i) != space.sizeOf(result, i))
      return {};
  return result;
}

/// W = s B, s/2 (B1 + B2), or s Q
///   -> pquant.binary_linear with one or two planes, pquant.int8_linear.
Value LinearRaiser::createLinear(Location loc, const Quantized &input,
                                 WeightMatch weight, StringRef name) {
  MLIRContext *context = rewriter.getContext();
  auto makeScale = [&](ArrayRef<float> numbers, bool isMatrix) {
    SmallVector<int64_t> shape{static_cast<int64_t>(numbers.size())};
    if (isMatrix)
      shape.push_back(1);
    ArrayRef<char> bytes(reinterpret_cast<const char *>(numbers.data()),
                         numbers.size() * sizeof(float));
    auto type = RankedTensorType::get(shape, rewriter.getF32Type());
    return makeConstant(loc,
                        makeConstantAttr(type, bytes, (name + ".scale").str()));
  };
  if (weight.isInt8()) {
    auto type = RankedTensorType::get({weight.rows, weight.columns},
                                      rewriter.getI8Type());
    ElementsAttr values =
        type.getNumElements() > maxInlineElements
            ? ElementsAttr(makeResourceAttr(type, std::move(weight.values),
                                            (name + ".int8").str()))
            : makeConstantAttr(type, weight.values.getData(), name);
    return Int8LinearOp::create(rewriter, loc, input.values, input.scale,
                                makeConstant(loc, values),
                                makeScale(weight.scales, false));
  }
  SmallVector<Value, 2> planes, scales;
  for (auto [i, plane] : llvm::enumerate(weight.planes)) {
    std::string suffix = i == 0 ? ".bits" : ".bits" + std::to_string(i + 1);
    planes.push_back(makeConstant(
        loc, makeBitMatrixAttr(context, weight.rows, weight.columns,
                               plane.bits.getData(), (name + suffix).str())));
    bool isShared = i && plane.scales == weight.planes[i - 1].scales;
    scales.push_back(isShared ? scales.back() : makeScale(plane.scales, true));
  }
  Value offset;
  if (!weight.offset.empty())
    offset = makeScale(weight.offset, false);
  return BinaryLinearOp::create(rewriter, loc, input.values, input.scale,
                                planes, scales, offset);
}

/// Replaces the result of `output`, the product with the factors behind it.
void LinearRaiser::replace(linalg::GenericOp op, const Source &source,
                           WeightMatch weight, const OutputScale &output,
                           StringRef name) {
  Location loc = op.getLoc();
  Operation *last = output.result.getDefiningOp();
  rewriter.setInsertionPoint(last);
  weight.scaleBy(output.factors);
  bool isDirect = last != op;
  Quantized input =
      isDirect ? getQuantized(source.match, loc) : getReshaped(source, loc);
  if (!source.match.isDequantized && !output.hasStep)
    input.scale = getUnitSteps(input.scale, loc);
  Value result = createLinear(loc, input, std::move(weight), name);
  Type type = output.result.getType();
  if (result.getType() != type)
    result = tensor::CastOp::create(rewriter, loc, type, result);
  rewriter.replaceOp(last, result);
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
  // The weight last: it is the one that costs time.
  std::optional<Source> source = findSource(linear.activation);
  if (!source)
    return success();
  Mismatch mismatch;
  std::optional<WeightMatch> weight = matchWeight(
      evaluator, linear.weight, linear.rows, linear.columns, options, mismatch);
  if (!weight)
    return mismatch.isError ? op.emitError(mismatch.reason) : success();
  if (weight->deviation > 0)
    emitSnapRemark(op, weight->deviation);

  // Scales that are already inside stay apart from what follows.
  bool isDequantized = source->match.isDequantized;
  Value product = undoReshapes(op.getResult(0), source->reshapes);
  OutputScale output{product ? product : op.getResult(0)};
  if (product && (!isDequantized || weight->isUnscaled()))
    output = matchOutputScale(evaluator, product,
                              isDequantized ? nullptr : &source->match.scale);
  replace(op, *source, std::move(*weight), output,
          getWeightName(linear.weight.value));
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
    joinPlanes(module);
    raiseFeedForward(module);
    eraseDeadOps(module);

    RaiseSummary summary = summarizeRaising(module);
    emitSummary(module, summary);
    if (requireQuantized && failed(checkAllQuantized(summary)))
      signalPassFailure();
  }
};
} // namespace
