//===- Branches.cpp - Results of one of two bodies ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A condition that is known leaves no control flow behind; others become
// `scf.if` over tensors.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

namespace {
/// A branch that has been written, without its terminator.
struct Branch {
  Block *block;
  SmallVector<Tensor> outputs;
  SmallVector<Value> values;
};
} // namespace

static FailureOr<Branch> importBranch(TensorBuilder &tensors, Region &region,
                                      bool isThen, size_t count,
                                      BranchFn import) {
  TensorBuilder::RegionScope scope(tensors);
  Branch branch{tensors.getBuilder().createBlock(&region), {}, {}};
  FailureOr<SmallVector<Tensor>> outputs = import(isThen);
  if (failed(outputs))
    return failure();
  if (outputs->size() != count)
    return tensors.error() << "expected branches with " << count
                           << " results, but got " << outputs->size();
  for (Tensor output : *outputs)
    branch.values.push_back(tensors.getValue(output));
  branch.outputs = std::move(*outputs);
  return branch;
}

/// Sizes that both branches give and that are known after `op`; others are
/// asked of the result.
static std::optional<SizeExpr> getCommonSize(TensorBuilder &tensors,
                                             const SizeExpr &a,
                                             const SizeExpr &b, Operation *op) {
  if (a == b && tensors.isVisibleAfter(a, op))
    return a;
  return std::nullopt;
}

/// The type that holds what either branch gives.
static FailureOr<RankedTensorType>
getCommonType(TensorBuilder &tensors, Tensor yes, Tensor no, Operation *op) {
  if (yes->element != no->element)
    return tensors.error()
           << "expected branches of the same element type, but got "
           << getNumPyName(yes->element) << " and "
           << getNumPyName(no->element);
  if (yes->getRank() != no->getRank())
    return tensors.error() << "expected branches of the same rank, but got "
                           << yes->getRank() << " and " << no->getRank();
  SmallVector<int64_t> shape;
  for (auto [a, b] : llvm::zip_equal(yes->sizes, no->sizes)) {
    std::optional<SizeExpr> size = getCommonSize(tensors, a, b, op);
    shape.push_back(size ? size->getConstant().value_or(ShapedType::kDynamic)
                         : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, yes->element.type);
}

static FailureOr<SmallVector<Tensor>>
finishIf(TensorBuilder &tensors, scf::IfOp draft, ArrayRef<Branch> branches) {
  SmallVector<Tensor> results;
  OpBuilder &b = tensors.getBuilder();
  SmallVector<Type> types;
  for (auto [yes, no] :
       llvm::zip_equal(branches[0].outputs, branches[1].outputs)) {
    FailureOr<RankedTensorType> type = getCommonType(tensors, yes, no, draft);
    if (failed(type))
      return failure();
    types.push_back(*type);
  }
  for (const Branch &branch : branches) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(branch.block);
    SmallVector<Value> yielded;
    for (auto [value, type] : llvm::zip_equal(branch.values, types))
      yielded.push_back(tensors.castValue(value, cast<RankedTensorType>(type)));
    scf::YieldOp::create(b, tensors.getLoc(), yielded);
  }
  auto op = scf::IfOp::create(b, tensors.getLoc(), types, draft.getCondition(),
                              /*addThenBlock=*/false, /*addElseBlock=*/false);
  // Before the bodies move: what they define is known by its parent.
  for (size_t i = 0; i < types.size(); ++i) {
    Tensor yes = branches[0].outputs[i], no = branches[1].outputs[i];
    SizeList sizes;
    for (auto [axis, pair] :
         llvm::enumerate(llvm::zip_equal(yes->sizes, no->sizes))) {
      auto [a, c] = pair;
      std::optional<SizeExpr> size = getCommonSize(tensors, a, c, draft);
      if (!size)
        size = tensors.atomFor(
            tensor::DimOp::create(b, tensors.getLoc(), op.getResult(i), axis),
            /*isNonNegative=*/true);
      sizes.push_back(*size);
    }
    results.push_back(tensors.makeTensor(op.getResult(i), yes->element, sizes));
  }
  op.getThenRegion().takeBody(draft.getThenRegion());
  op.getElseRegion().takeBody(draft.getElseRegion());
  draft.erase();
  return results;
}

FailureOr<SmallVector<Tensor>> pquant::chooseBranch(TensorBuilder &tensors,
                                                    Tensor condition,
                                                    size_t count,
                                                    BranchFn import) {
  if (!condition->element.isBool() ||
      !tensors.product(condition->sizes).isConstant(1))
    return tensors.error() << "expected one bool as condition";
  std::optional<SmallVector<int64_t>> known =
      tensors.getConstantInts(condition);
  if (known && known->size() == 1) {
    FailureOr<SmallVector<Tensor>> outputs = import(known->front() != 0);
    if (succeeded(outputs) && outputs->size() != count)
      return tensors.error() << "expected a branch with " << count
                             << " results, but got " << outputs->size();
    return outputs;
  }
  FailureOr<Tensor> scalar = tensors.reshape(condition, {});
  if (failed(scalar))
    return failure();
  OpBuilder &b = tensors.getBuilder();
  Value isTrue = tensor::ExtractOp::create(b, tensors.getLoc(),
                                           tensors.getValue(*scalar), {});
  // The result types are not known before the branches are.
  auto draft = scf::IfOp::create(b, tensors.getLoc(), TypeRange(), isTrue,
                                 /*addThenBlock=*/false,
                                 /*addElseBlock=*/false);
  FailureOr<Branch> yes =
      importBranch(tensors, draft.getThenRegion(), true, count, import);
  FailureOr<Branch> no =
      importBranch(tensors, draft.getElseRegion(), false, count, import);
  if (failed(yes) || failed(no))
    return failure();
  return finishIf(tensors, draft, {*yes, *no});
}
