//===- FuseBranches.cpp - Fewer passes over activations -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-fuse-branches, in this order:
//   1. a feed-forward layer without routing becomes linears (the routed ones
//      are for --pquant-dispatch-experts);
//   2. quantisers of one value by one formula become one;
//   3. a constant that multiplies the result of a linear goes into its scales;
//   4. an INT8 and a 1-bit linear that are added become a decoupled linear;
//   5. alpha and beta of decoupled linears are folded into scales;
//   6. linears that read the same quantised rows are joined (JoinLinears.cpp).
// Residual additions and the product act(gate) * up stay elementwise linalg
// ops, which the later elementwise fusion puts together.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Transforms/ConstantUses.h"
#include "pquant/Transforms/JoinLinears.h"
#include "pquant/Transforms/LowerDecoupledFFN.h"
#include "pquant/Transforms/Passes.h"

namespace pquant {
#define GEN_PASS_DEF_FUSEBRANCHESPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static remark::RemarkOpts remarkName(StringRef name) {
  return remark::RemarkOpts::name(name).category("pquant-fuse-branches");
}

static void lowerUnroutedFFNs(ModuleOp module) {
  SmallVector<DecoupledFFNOp> ops;
  module.walk([&](DecoupledFFNOp op) { ops.push_back(op); });
  IRRewriter rewriter(module.getContext());
  for (DecoupledFFNOp op : ops) {
    if (op.getIndex()) {
      remark::missed(op.getLoc(), remarkName("Routed"))
          << "routed feed-forward layer left to --pquant-dispatch-experts";
      continue;
    }
    remark::passed(op.getLoc(), remarkName("LoweredFFN"))
        << "feed-forward layer became two branches over one quantised input "
           "and one decoupled down projection";
    SmallVector<Value> operands(op->getOperands());
    lowerDecoupledFFN(rewriter, op);
    releaseDeadConstants(module, operands);
  }
}

/// %a = quantize %x {f}; %b = quantize %x {f}  ->  one of them, in each block.
static void shareQuantizers(ModuleOp module) {
  using Key = std::tuple<Block *, Value, Attribute>;
  llvm::DenseMap<Key, QuantizeOp> seen;
  SmallVector<std::pair<QuantizeOp, QuantizeOp>> equal;
  module.walk([&](QuantizeOp op) {
    Key key{op->getBlock(), op.getInput(), op.getQuantizerAttr()};
    auto [it, isNew] = seen.try_emplace(key, op);
    if (!isNew)
      equal.push_back({op, it->second});
  });
  for (auto [op, first] : equal) {
    remark::passed(op.getLoc(), remarkName("SharedQuantizer"))
        << "quantised activations shared with an earlier quantiser";
    op->replaceAllUsesWith(first->getResults());
    op->erase();
  }
}

//===----------------------------------------------------------------------===//
// Elementwise ops
//===----------------------------------------------------------------------===//

/// Whether `op` has two inputs and yields `OpTy` of its two input elements,
/// over all-parallel loops with an identity output.
template <typename OpTy>
static bool isElementwise(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getIndexingMapsArray().back().isIdentity())
    return false;
  Block *body = op.getBody();
  if (body->getOperations().size() != 2)
    return false;
  auto scalar = dyn_cast<OpTy>(body->front());
  if (!scalar || cast<linalg::YieldOp>(body->back()).getOperand(0) != scalar)
    return false;
  Value a = body->getArgument(0), b = body->getArgument(1);
  return (scalar.getLhs() == a && scalar.getRhs() == b) ||
         (scalar.getLhs() == b && scalar.getRhs() == a);
}

/// Whether `op` adds two tensors of its own shape, element by element.
static bool isElementwiseAdd(linalg::GenericOp op) {
  return isElementwise<arith::AddFOp>(op) &&
         llvm::all_of(op.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); });
}

//===----------------------------------------------------------------------===//
// linear * constant -> linear
//===----------------------------------------------------------------------===//

/// The operands of a linear in which its result is linear.
static SmallVector<OpOperand *> scaleOperands(Operation *op) {
  SmallVector<OpOperand *> result;
  if (auto int8 = dyn_cast_or_null<Int8LinearOp>(op)) {
    result.push_back(&int8.getWeightScaleMutable());
  } else if (auto expert = dyn_cast_or_null<ExpertLinearOp>(op)) {
    result.push_back(&expert.getWeightScaleMutable());
  } else if (auto binary = dyn_cast_or_null<BinaryLinearOp>(op)) {
    for (OpOperand &operand : binary.getScalesMutable())
      result.push_back(&operand);
    for (OpOperand &operand : binary.getOffsetMutable())
      result.push_back(&operand);
  }
  return result;
}

/// %y = linear(..., %scale); %z = %y * constant  ->  linear(..., %scale *
/// constant), when nothing else reads %y. The product of scale and constant is
/// rounded once in float32 (LowerDecoupledFFN.h).
static void foldScaledLinear(IRRewriter &rewriter, linalg::GenericOp op) {
  if (!isElementwise<arith::MulFOp>(op))
    return;
  for (int64_t i : {0, 1}) {
    Value result = op.getDpsInputs()[i], factor = op.getDpsInputs()[1 - i];
    std::optional<SmallVector<float>> constant = readFloats(factor);
    SmallVector<OpOperand *> scales = scaleOperands(result.getDefiningOp());
    if (!constant || constant->size() != 1 || scales.empty() ||
        !result.hasOneUse() || result.getType() != op.getType(0) ||
        !op.getIndexingMapsArray()[i].isIdentity() ||
        !llvm::all_of(scales, [](OpOperand *scale) {
          return readFloats(scale->get()).has_value();
        }))
      continue;
    rewriter.setInsertionPoint(result.getDefiningOp());
    for (OpOperand *scale : scales) {
      SmallVector<float> values = *readFloats(scale->get());
      for (float &value : values)
        value *= constant->front();
      auto type = cast<RankedTensorType>(scale->get().getType());
      scale->set(
          buildFloats(rewriter, op.getLoc(), type.getShape(), values, "scale"));
    }
    remark::passed(op.getLoc(), remarkName("FoldedConstant"))
        << "a constant factor folded into the scale of a linear";
    rewriter.replaceOp(op, result);
    return;
  }
}

//===----------------------------------------------------------------------===//
// int8_linear + binary_linear -> decoupled_linear
//===----------------------------------------------------------------------===//

/// The two values that `op` adds; none when it is no addition.
static std::optional<std::pair<Value, Value>> matchAdd(Operation *op) {
  if (auto add = dyn_cast<arith::AddFOp>(op))
    if (isa<RankedTensorType>(add.getType()))
      return std::make_pair(add.getLhs(), add.getRhs());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (generic && isElementwiseAdd(generic))
    return std::make_pair(generic.getDpsInputs()[0], generic.getDpsInputs()[1]);
  return std::nullopt;
}

static void mergeAddedBranches(IRRewriter &rewriter, Operation *op) {
  std::optional<std::pair<Value, Value>> added = matchAdd(op);
  if (!added)
    return;
  auto int8 = added->first.getDefiningOp<Int8LinearOp>();
  auto binary = added->second.getDefiningOp<BinaryLinearOp>();
  if (!int8 || !binary) {
    int8 = added->second.getDefiningOp<Int8LinearOp>();
    binary = added->first.getDefiningOp<BinaryLinearOp>();
  }
  if (!int8 || !binary)
    return;
  if (!int8->hasOneUse() || !binary->hasOneUse() || binary.getOffset() ||
      int8.getType() != binary.getType()) {
    remark::missed(op->getLoc(), remarkName("NotDecoupled"))
        << (binary.getOffset()
                ? "added branches not merged: the 1-bit linear has an offset"
                : "added branches not merged: a branch has another reader");
    return;
  }
  Location loc =
      rewriter.getFusedLoc({op->getLoc(), int8.getLoc(), binary.getLoc()});
  rewriter.setInsertionPoint(op);
  remark::passed(loc, remarkName("Decoupled"))
      << "an INT8 and a 1-bit linear that are added became one decoupled "
         "linear";
  rewriter.replaceOpWithNewOp<DecoupledLinearOp>(
      op, int8.getInput(), int8.getInputScale(), int8.getWeight(),
      int8.getWeightScale(), binary.getInput(), binary.getInputScale(),
      binary.getPlanes(), binary.getScales(), /*alpha=*/Value(),
      /*beta=*/Value());
  rewriter.eraseOp(int8);
  rewriter.eraseOp(binary);
}

/// Folds alpha and beta of a decoupled linear into its scales.
static void foldFactors(IRRewriter &rewriter, DecoupledLinearOp op) {
  if (!op.getAlpha() && !op.getBeta())
    return;
  rewriter.setInsertionPoint(op);
  LinearScales int8{op.getInt8Scale(), {op.getInt8WeightScale()}};
  LinearScales binary{op.getBinaryScale(), SmallVector<Value>(op.getScales())};
  bool alphaFolded = foldFactor(rewriter, op.getLoc(), op.getAlpha(), int8);
  bool betaFolded = foldFactor(rewriter, op.getLoc(), op.getBeta(), binary);
  remark::passed(op.getLoc(), remarkName("FoldedFactors"))
      << (alphaFolded && betaFolded
              ? "alpha and beta folded into weight scales"
              : "alpha or beta is no constant: folded into the "
                "activation scale");
  rewriter.replaceOpWithNewOp<DecoupledLinearOp>(
      op, op.getInt8Input(), int8.rows, op.getInt8Weight(), int8.weights[0],
      op.getBinaryInput(), binary.rows, op.getPlanes(), binary.weights,
      /*alpha=*/Value(), /*beta=*/Value());
}

namespace {
struct FuseBranchesPass : pquant::impl::FuseBranchesPassBase<FuseBranchesPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    lowerUnroutedFFNs(module);
    shareQuantizers(module);
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::GenericOp> products;
    module.walk([&](linalg::GenericOp op) { products.push_back(op); });
    for (linalg::GenericOp op : products)
      foldScaledLinear(rewriter, op);
    SmallVector<Operation *> sums;
    module.walk([&](Operation *op) {
      if (isa<linalg::GenericOp, arith::AddFOp>(op))
        sums.push_back(op);
    });
    for (Operation *op : sums)
      mergeAddedBranches(rewriter, op);
    SmallVector<DecoupledLinearOp> decoupled;
    module.walk([&](DecoupledLinearOp op) { decoupled.push_back(op); });
    for (DecoupledLinearOp op : decoupled)
      foldFactors(rewriter, op);
    joinLinears(module);
  }
};
} // namespace
