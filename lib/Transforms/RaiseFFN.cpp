//===- RaiseFFN.cpp - Decoupled feed-forward layers -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   alpha * p * int8_ffn_e(x) + beta * binary_ffn(x)
//     -> pquant.decoupled_ffn, its INT8 weights stacked over the experts
//
// The probability p and the choice of e are there for routed experts only; the
// factors may come in any order, and alpha and beta may be missing.
//
//===----------------------------------------------------------------------===//

#include "RaiseFFN.h"
#include "MatchRouting.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/DenseSet.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

namespace {
/// `scalar * row * base`: one branch of the sum.
struct Term {
  std::optional<TensorExpr> scalar, row;
  TensorExpr base;
};

/// A whole decoupled layer.
struct DecoupledMatch {
  Term int8, binary;
  FeedForward one;
  SmallVector<FeedForward> experts;
  std::optional<RoutedChoice> choice;
};
} // namespace

/// Puts a factor that is the same for a row, or for all, where it belongs; a
/// product of both is taken apart. Fails when there are two of a kind.
static bool addFactor(const TensorExpr &expr, Term &term) {
  if (auto product = matchExpr<arith::MulFOp>(expr))
    return addFactor((*product)[0], term) && addFactor((*product)[1], term);
  TensorExpr factor = expr.normalized();
  bool isScalar = factor.isInvariant();
  // The row of a single token is told from a number by where it comes from.
  isScalar &= factor.value.getDefiningOp<arith::ConstantOp>() ||
              isa<BlockArgument>(factor.value);
  std::optional<TensorExpr> &slot = isScalar ? term.scalar : term.row;
  if (slot)
    return false;
  slot = expr;
  return true;
}

/// Splits the factors off that are the same for a row, or for all.
static std::optional<Term> splitTerm(const TensorExpr &expr, int64_t rank) {
  Term term{{}, {}, expr};
  while (auto product = matchExpr<arith::MulFOp>(term.base)) {
    TensorExpr a = (*product)[0], b = (*product)[1];
    if (a.normalized().dependsOn(rank - 1))
      std::swap(a, b);
    if (a.normalized().dependsOn(rank - 1) ||
        !b.normalized().dependsOn(rank - 1))
      break;
    if (!addFactor(a, term))
      return std::nullopt;
    term.base = b;
  }
  return term;
}

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

/// Whether an expert is the one at `position` of the same stacks as the first.
static bool isNextOfStacks(const FeedForward &expert, const FeedForward &first,
                           int64_t position, int64_t experts) {
  auto isWhole = [&](Operation *linear) {
    return !linear ||
           cast<ExpertLinearOp>(linear).getWeight().getType().getDimSize(0) ==
               experts;
  };
  return expert.expert == position && expert.gate == first.gate &&
         expert.up == first.up && expert.down == first.down &&
         isWhole(first.gate) && isWhole(first.up) && isWhole(first.down);
}

/// Whether a layer reads a tensor row by row, whatever its shape.
static bool readsRowsOf(const FeedForward &ffn, const TensorExpr &tensor) {
  std::optional<TensorExpr> current = ffn.input;
  while (current && current->value != tensor.value) {
    auto merge = current->value.getDefiningOp<tensor::CollapseShapeOp>();
    if (ffn.isFlat && merge && merge.getSrc() == tensor.value)
      return current->dims.size() == 2 && current->dims[0] == 0 &&
             current->dims[1] == 1;
    current = current->lookThrough();
  }
  return !ffn.isFlat && current && isSameExpr(*current, tensor);
}

/// Whether the experts fit on one stack; `reason` says why not.
static bool checkExperts(ArrayRef<FeedForward> experts, std::string &reason) {
  const FeedForward &first = experts.front();
  for (auto [i, expert] : llvm::enumerate(experts)) {
    bool isSame = isSameExpr(expert.input, first.input) &&
                  expert.quantizer == first.quantizer &&
                  expert.activation == first.activation &&
                  !expert.gate == !first.gate;
    if (!isSame) {
      reason = "expert " + std::to_string(i) +
               " reads another input or has another form than expert 0";
      return false;
    }
    if (isa<ExpertLinearOp>(first.up)) {
      if (!isNextOfStacks(expert, first, i, experts.size())) {
        reason = "expert " + std::to_string(i) +
                 " is not that of the same stacks of " +
                 std::to_string(experts.size());
        return false;
      }
      continue;
    }
    auto getType = [](const FeedForward &ffn) {
      return cast<Int8LinearOp>(ffn.up).getWeight().getType();
    };
    if (getType(expert) != getType(first)) {
      reason = "expert " + std::to_string(i) + " has " +
               std::to_string(getType(expert).getDimSize(0)) +
               " hidden units, but expert 0 has " +
               std::to_string(getType(first).getDimSize(0));
      return false;
    }
  }
  return true;
}

/// The INT8 branch: one feed-forward layer, or routed ones.
static bool matchInt8(ConstantEvaluator &evaluator, DecoupledMatch &match,
                      std::string &reason) {
  if (auto ffn = matchFeedForward(match.int8.base, reason)) {
    match.experts.push_back(*ffn);
    return ffn->isInt8 && !match.int8.row;
  }
  match.choice =
      matchRoutedChoice(evaluator, match.int8.base, match.int8.row, reason);
  if (!match.choice)
    return false;
  if (match.choice->router.input.getType() != match.one.input.value.getType()) {
    reason = "the router reads other rows than the 1-bit branch";
    return false;
  }
  match.experts = match.choice->experts;
  if (match.experts.front().isFlat &&
      match.choice->router.input != match.one.input.value) {
    reason = "the rows are reshaped, and the router reads another tensor";
    return false;
  }
  return checkExperts(match.experts, reason);
}

static std::optional<DecoupledMatch>
matchDecoupled(ConstantEvaluator &evaluator, Value sum, std::string &reason) {
  auto type = dyn_cast<RankedTensorType>(sum.getType());
  if (!type || type.getRank() == 0 || !type.getElementType().isF32())
    return std::nullopt;
  std::optional<DecoupledMatch> result;
  matchCommutative<arith::AddFOp>(
      TensorExpr::identity(sum), [&](const TensorExpr &a, const TensorExpr &b) {
        std::optional<Term> int8 = splitTerm(a, type.getRank());
        std::optional<Term> binary = splitTerm(b, type.getRank());
        if (!int8 || !binary || binary->row)
          return false;
        std::string ignored;
        auto one = matchFeedForward(binary->base, ignored);
        if (!one || one->isInt8)
          return false;
        DecoupledMatch match{*int8, *binary, *one, {}, {}};
        if (!matchInt8(evaluator, match, reason))
          return false;
        const FeedForward &first = match.experts.front();
        if (!readsRowsOf(first, one->input) ||
            first.quantizer != one->quantizer ||
            first.activation != one->activation || !first.gate != !one->gate) {
          reason = "the 1-bit and the INT8 branch differ in input, quantiser "
                   "or form";
          return false;
        }
        result = std::move(match);
        return true;
      });
  return result;
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

namespace {
/// Writes the ops of one match.
class DecoupledBuilder {
public:
  DecoupledBuilder(OpBuilder &builder, Location loc)
      : builder(builder), loc(loc) {}

  FailureOr<Value> build(ConstantEvaluator &evaluator,
                         const DecoupledMatch &match);

  /// The router that was built, if one was.
  RouteOp route;

private:
  Value makeConstant(ElementsAttr attr) {
    return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(attr));
  }
  Value getScalar(const std::optional<TensorExpr> &expr);
  Value getBinaryScale(Operation *linear);
  /// The weights and scales of one linear of all experts.
  std::pair<Value, Value> stack(ArrayRef<Operation *> linears);
  LogicalResult createRoute(ConstantEvaluator &evaluator, const Router &router);

  OpBuilder &builder;
  Location loc;
};
} // namespace

/// alpha or beta as a 0-D tensor.
Value DecoupledBuilder::getScalar(const std::optional<TensorExpr> &expr) {
  if (!expr)
    return {};
  auto type = RankedTensorType::get({}, builder.getF32Type());
  if (std::optional<float> number = expr->getFloatConstant())
    return makeConstant(DenseElementsAttr::get(type, *number));
  Value tensor = expr->asTensor()->value;
  if (tensor.getType() == type)
    return tensor;
  return tensor::CollapseShapeOp::create(builder, loc, type, tensor,
                                         ArrayRef<ReassociationIndices>());
}

static ElementsAttr getConstant(Value value) {
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  return constant ? dyn_cast<ElementsAttr>(constant.getValue())
                  : ElementsAttr();
}

/// tensor<1x1xf32> -> tensor<1xf32>
Value DecoupledBuilder::getBinaryScale(Operation *linear) {
  Value scale = cast<BinaryLinearOp>(linear).getScales()[0];
  auto type = RankedTensorType::get({1}, builder.getF32Type());
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(getConstant(scale)))
    return makeConstant(dense.reshape(type));
  return tensor::CollapseShapeOp::create(
      builder, loc, type, scale, ArrayRef<ReassociationIndices>{{0, 1}});
}

/// The same constant in another shape, without a copy.
static ElementsAttr reshape(ElementsAttr attr, ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, attr.getElementType());
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return cast<DenseElementsAttr>(attr).reshape(type);
}

/// One constant that holds the elements of all.
static ElementsAttr concatenate(ArrayRef<ElementsAttr> attrs,
                                ArrayRef<int64_t> shape) {
  auto first = attrs.front().getShapedType();
  auto type = RankedTensorType::get(shape, first.getElementType());
  AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  char *to = blob.getMutableData().data();
  for (ElementsAttr attr : attrs) {
    ArrayRef<char> bytes = getConstantBytes(attr);
    int64_t size = getStoredBytes(attr.getShapedType());
    for (int64_t done = 0; done < size; done += bytes.size())
      std::memcpy(to + done, bytes.data(), bytes.size());
    to += size;
  }
  if (type.getNumElements() <= maxInlineElements)
    return makeConstantAttr(type, blob.getData(), "");
  auto resource = dyn_cast<DenseResourceElementsAttr>(attrs.front());
  return makeResourceAttr(
      type, std::move(blob),
      resource ? resource.getRawHandle().getKey().str() + ".stack" : "stack");
}

std::pair<Value, Value> DecoupledBuilder::stack(ArrayRef<Operation *> linears) {
  if (!linears.front())
    return {};
  int64_t experts = linears.size();
  if (auto stacked = dyn_cast<ExpertLinearOp>(linears.front()))
    return {
        stacked.getWeight(),
        makeConstant(reshape(getConstant(stacked.getWeightScale()), experts))};
  SmallVector<ElementsAttr> weights, scales;
  for (Operation *linear : linears) {
    weights.push_back(getConstant(cast<Int8LinearOp>(linear).getWeight()));
    scales.push_back(getConstant(cast<Int8LinearOp>(linear).getWeightScale()));
  }
  SmallVector<int64_t> shape{experts};
  llvm::append_range(shape, weights[0].getShapedType().getShape());
  if (experts == 1)
    return {makeConstant(reshape(weights[0], shape)), makeConstant(scales[0])};
  return {makeConstant(concatenate(weights, shape)),
          makeConstant(concatenate(scales, experts))};
}

/// softmax(x W), argmax, max -> pquant.route
LogicalResult DecoupledBuilder::createRoute(ConstantEvaluator &evaluator,
                                            const Router &router) {
  FailureOr<std::vector<float>> values =
      evaluator.getFloats(router.weight.value);
  if (failed(values))
    return failure();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(router.probabilities);
  int64_t experts = router.experts, width = router.width;
  std::vector<float> matrix(values->size());
  bool isTransposed = router.weight.dims[0] == 1;
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t h = 0; h < width; ++h)
      matrix[e * width + h] =
          (*values)[isTransposed ? h * experts + e : e * width + h];
  ArrayRef<char> bytes(reinterpret_cast<char *>(matrix.data()),
                       matrix.size() * sizeof(float));
  Value weight = makeConstant(makeConstantAttr(
      RankedTensorType::get({experts, width}, builder.getF32Type()), bytes,
      "router"));
  linalg::SoftmaxOp softmax = router.probabilities;
  Location loc = softmax.getInput().getLoc();
  route = RouteOp::create(builder, loc, router.input, weight);
  return success();
}

FailureOr<Value> DecoupledBuilder::build(ConstantEvaluator &evaluator,
                                         const DecoupledMatch &match) {
  Value index, probability;
  if (match.choice) {
    if (failed(createRoute(evaluator, match.choice->router)))
      return failure();
    index = route.getIndex();
    probability = route.getProbability();
  }
  SmallVector<Operation *> gates, ups, downs;
  for (const FeedForward &expert : match.experts) {
    gates.push_back(expert.gate);
    ups.push_back(expert.up);
    downs.push_back(expert.down);
  }
  auto [gate, gateScale] = stack(gates);
  auto [up, upScale] = stack(ups);
  auto [down, downScale] = stack(downs);
  auto getPlane = [](Operation *linear) {
    return linear ? cast<BinaryLinearOp>(linear).getPlanes()[0] : Value();
  };
  const FeedForward &one = match.one;
  Value binaryGateScale = one.gate ? getBinaryScale(one.gate) : Value();
  return DecoupledFFNOp::create(
             builder, loc, one.input.value, getPlane(one.gate), binaryGateScale,
             getPlane(one.up), getBinaryScale(one.up), getPlane(one.down),
             getBinaryScale(one.down), gate, gateScale, up, upScale, down,
             downScale, index, probability, getScalar(match.int8.scalar),
             getScalar(match.binary.scalar), one.quantizer, one.activation)
      .getResult();
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

/// Frees the INT8 weights of single experts that stacks have replaced.
static void releaseUnused(ModuleOp module,
                          ArrayRef<DenseResourceElementsAttr> candidates) {
  llvm::DenseSet<Attribute> used;
  module.walk([&](arith::ConstantOp op) { used.insert(op.getValue()); });
  for (DenseResourceElementsAttr attr : candidates)
    if (!used.contains(attr))
      releaseConstant(attr);
}

static void eraseDead(Operation *op) {
  SmallVector<Operation *> worklist{op};
  while (!worklist.empty()) {
    Operation *next = worklist.pop_back_val();
    if (!next || !isOpTriviallyDead(next))
      continue;
    SmallVector<Value> operands(next->getOperands());
    for (Region &region : next->getRegions())
      region.walk([&](Operation *inner) {
        llvm::append_range(operands, inner->getOperands());
      });
    SmallVector<Operation *> producers;
    for (Value operand : operands)
      if (Operation *producer = operand.getDefiningOp())
        if (!next->isAncestor(producer) &&
            !llvm::is_contained(worklist, producer) &&
            !llvm::is_contained(producers, producer))
          producers.push_back(producer);
    next->erase();
    llvm::append_range(worklist, producers);
  }
}

/// What else reads the largest probability or its index takes the router's.
static void replaceRouting(linalg::SoftmaxOp probabilities, RouteOp route) {
  for (Operation *user : probabilities->getUsers())
    for (OpResult result : user->getResults()) {
      auto tensor = TensorExpr::identity(result);
      std::optional<TensorExpr> index = matchArgMax(tensor);
      std::optional<TensorExpr> row = index ? index : matchMaximum(tensor);
      tensor.dims.push_back(TensorExpr::reducedDim);
      Value routed = index ? route.getIndex() : route.getProbability();
      if (row && row->value == probabilities->getResult(0) &&
          row->dims == tensor.dims && result.getType() == routed.getType())
        result.replaceAllUsesWith(routed);
    }
}

/// The index that a router gives is that of an expert.
static void dropRangeChecks(ModuleOp module) {
  ConstantEvaluator evaluator;
  module.walk([&](cf::AssertOp op) {
    if (holdsForAllExperts(evaluator, op.getArg()))
      op.erase();
  });
}

void pquant::raiseFeedForward(ModuleOp module) {
  SmallVector<linalg::GenericOp> sums;
  module.walk([&](linalg::GenericOp op) {
    if (isElementwise(op) &&
        isa_and_nonnull<arith::AddFOp>(
            op.getBody()->getTerminator()->getOperand(0).getDefiningOp()))
      sums.push_back(op);
  });
  SmallVector<DenseResourceElementsAttr> stacked;
  llvm::DenseMap<Operation *, RouteOp> routes;
  for (linalg::GenericOp sum : sums) {
    ConstantEvaluator evaluator;
    std::string reason;
    auto match = matchDecoupled(evaluator, sum.getResult(0), reason);
    if (!match) {
      if (!reason.empty())
        remark::missed(
            sum.getLoc(),
            remark::RemarkOpts::name("NotDecoupled").category("pquant-raise"))
            << "feed-forward layer left as it is: " + reason;
      continue;
    }
    if (match->experts.size() > 1)
      for (const FeedForward &expert : match->experts)
        for (Operation *linear : {expert.gate, expert.up, expert.down})
          if (linear)
            if (auto attr = dyn_cast_or_null<DenseResourceElementsAttr>(
                    getConstant(linear->getOperand(2))))
              stacked.push_back(attr);
    OpBuilder builder(sum);
    DecoupledBuilder decoupled(builder, sum.getLoc());
    FailureOr<Value> result = decoupled.build(evaluator, *match);
    if (failed(result))
      continue;
    if (match->choice)
      routes[match->choice->router.probabilities] = decoupled.route;
    Type type = sum.getResultTypes()[0];
    if (result->getType() != type)
      result = tensor::CastOp::create(builder, sum.getLoc(), type, *result)
                   .getResult();
    sum.getResult(0).replaceAllUsesWith(*result);
    eraseDead(sum);
  }
  releaseUnused(module, stacked);
  module.walk([&](linalg::SoftmaxOp op) {
    if (RouteOp route = routes.lookup(op))
      replaceRouting(op, route);
  });
  if (!routes.empty())
    dropRangeChecks(module);
}
