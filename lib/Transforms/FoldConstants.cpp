//===- FoldConstants.cpp - Evaluates constant subgraphs -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: raised tensor IR. Output: the same with every maximal subgraph of
// constants replaced by its value, within a budget of bytes. What dies with a
// subgraph is subtracted from what its value costs, so a transposed weight that
// nothing else reads is free.
//
//===----------------------------------------------------------------------===//

#include "pquant/Support/Constants.h"
#include "pquant/Transforms/ConstantEvaluator.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/RaiseSummary.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

namespace pquant {
#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace pquant;
using namespace mlir;

/// linalg.generic of linalg.transpose(constant), map (d0, d1) -> (d1, d0)
///   -> linalg.generic of constant, map (d0, d1) -> (d0, d1)
static void absorbTransposes(linalg::GenericOp op) {
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto transpose = operand->get().getDefiningOp<linalg::TransposeOp>();
    if (!transpose ||
        !transpose.getInput().getDefiningOp<arith::ConstantOp>() ||
        cast<RankedTensorType>(transpose.getInput().getType())
                .getNumElements() <= maxInlineElements)
      continue;
    AffineMap map = op.getMatchingIndexingMap(operand);
    SmallVector<AffineExpr> results(map.getNumResults());
    for (auto [i, axis] : llvm::enumerate(transpose.getPermutation()))
      results[axis] = map.getResult(i);
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps[operand->getOperandNumber()] = AffineMap::get(
        map.getNumDims(), map.getNumSymbols(), results, op.getContext());
    op.setIndexingMapsAttr(
        Builder(op.getContext()).getAffineMapArrayAttr(maps));
    operand->set(transpose.getInput());
  }
}

/// Whether the value is worth a constant and read by something that is none.
static bool isRoot(ConstantEvaluator &evaluator, Value value) {
  Operation *op = value.getDefiningOp();
  if (isa<arith::ConstantOp, tensor::EmptyOp, linalg::FillOp>(op) ||
      !evaluator.canEvaluate(value))
    return false;
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return user->getNumResults() == 0 || user->getBlock() != op->getBlock() ||
           !evaluator.canEvaluate(user->getResult(0));
  });
}

/// Bytes of the constants that nothing reads any more once `root` is replaced.
static int64_t getFreedBytes(Value root) {
  llvm::SetVector<Operation *> slice;
  slice.insert(root.getDefiningOp());
  int64_t freed = 0;
  for (size_t i = 0; i < slice.size(); ++i) {
    Operation *op = slice[i];
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      if (auto elements = dyn_cast<ElementsAttr>(constant.getValue()))
        freed += getConstantBytes(elements).size();
    for (Value operand : op->getOperands()) {
      Operation *producer = operand.getDefiningOp();
      if (producer && llvm::all_of(producer->getUsers(), [&](Operation *user) {
            return slice.contains(user);
          }))
        slice.insert(producer);
    }
  }
  return freed;
}

namespace {
struct FoldConstantsPass
    : pquant::impl::FoldConstantsPassBase<FoldConstantsPass> {
  using FoldConstantsPassBase::FoldConstantsPassBase;

  void runOnOperation() override {
    getOperation()->walk(absorbTransposes);
    SmallVector<Value> roots;
    {
      ConstantEvaluator evaluator;
      getOperation()->walk([&](Operation *op) {
        for (Value result : op->getResults())
          if (isRoot(evaluator, result))
            roots.push_back(result);
      });
    }
    int64_t growth = 0;
    for (Value root : roots)
      fold(root, growth);
    getOperation()->walk<WalkOrder::PostOrder, ReverseIterator>(
        [](Operation *op) {
          if (isOpTriviallyDead(op))
            op->erase();
        });
  }

  void fold(Value root, int64_t &growth) {
    Operation *op = root.getDefiningOp();
    auto type = cast<RankedTensorType>(root.getType());
    int64_t grown = getStoredBytes(type) - getFreedBytes(root);
    if (growth + grown > maxGrowth) {
      remark::missed(op->getLoc(), remark::RemarkOpts::name("NotFolded")
                                       .category("pquant-fold-constants"))
          << ("expected constants to grow by at most " + Twine(maxGrowth) +
              " bytes, but this result would make it " + Twine(growth + grown))
                 .str();
      return;
    }
    ConstantEvaluator evaluator;
    FailureOr<ElementsAttr> attr =
        evaluator.getAttribute(root, getLocationName(op->getLoc()));
    if (failed(attr))
      return;
    growth += grown;
    OpBuilder builder(op);
    Value constant = arith::ConstantOp::create(builder, op->getLoc(),
                                               cast<TypedAttr>(*attr));
    root.replaceAllUsesWith(constant);
  }
};
} // namespace
