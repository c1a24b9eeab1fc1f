//===- HandlersControlFlow.cpp - If and Loop ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A condition or a trip count that is known leaves no control flow behind; the
// others become `scf.if` and `scf.for` over tensors.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

/// Loops of at most this many iterations are written out.
static constexpr int64_t maxUnrolled = 64;

/// The truth value of a tensor of one element where it is known.
static std::optional<bool> getConstantBool(NodeContext &ctx, Tensor tensor) {
  std::optional<SmallVector<int64_t>> known = ctx.b.getConstantInts(tensor);
  if (!known || known->size() != 1)
    return std::nullopt;
  return known->front() != 0;
}

static LogicalResult requireBool(NodeContext &ctx, Tensor condition) {
  if (condition->element.isBool() &&
      ctx.b.product(condition->sizes).isConstant(1))
    return success();
  return ctx.error() << "expected one bool as condition";
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

namespace {
/// A branch that has been written, without its terminator.
struct Branch {
  Block *block;
  SmallVector<Tensor> outputs;
  SmallVector<Value> values;
};
} // namespace

static FailureOr<Branch> importBranch(NodeContext &ctx, Region &region,
                                      StringRef name) {
  TensorBuilder::RegionScope scope(ctx.b);
  Branch branch{ctx.b.getBuilder().createBlock(&region), {}, {}};
  FailureOr<SmallVector<Tensor>> outputs = ctx.importSubgraph(name, {});
  if (failed(outputs))
    return failure();
  if (outputs->size() != ctx.getNumOutputs())
    return ctx.error() << "expected a graph of " << ctx.getNumOutputs()
                       << " outputs as '" << name << "', but got "
                       << outputs->size();
  for (Tensor output : *outputs)
    branch.values.push_back(ctx.b.getValue(output));
  branch.outputs = std::move(*outputs);
  return branch;
}

/// Sizes that both branches give and that are known after `op`; others are
/// asked of the result.
static std::optional<SizeExpr> getCommonSize(NodeContext &ctx,
                                             const SizeExpr &a,
                                             const SizeExpr &b, Operation *op) {
  if (a == b && ctx.b.isVisibleAfter(a, op))
    return a;
  return std::nullopt;
}

/// The type that holds what either branch gives.
static FailureOr<RankedTensorType> getCommonType(NodeContext &ctx, Tensor yes,
                                                 Tensor no, Operation *op) {
  if (yes->element != no->element)
    return ctx.error() << "expected branches of the same element type, but got "
                       << getNumPyName(yes->element) << " and "
                       << getNumPyName(no->element);
  if (yes->getRank() != no->getRank())
    return ctx.error() << "expected branches of the same rank, but got "
                       << yes->getRank() << " and " << no->getRank();
  SmallVector<int64_t> shape;
  for (auto [a, b] : llvm::zip_equal(yes->sizes, no->sizes)) {
    std::optional<SizeExpr> size = getCommonSize(ctx, a, b, op);
    shape.push_back(size ? size->getConstant().value_or(ShapedType::kDynamic)
                         : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, yes->element.type);
}

static LogicalResult finishIf(NodeContext &ctx, scf::IfOp draft,
                              ArrayRef<Branch> branches) {
  OpBuilder &b = ctx.b.getBuilder();
  SmallVector<Type> types;
  for (auto [yes, no] :
       llvm::zip_equal(branches[0].outputs, branches[1].outputs)) {
    FailureOr<RankedTensorType> type = getCommonType(ctx, yes, no, draft);
    if (failed(type))
      return failure();
    types.push_back(*type);
  }
  for (const Branch &branch : branches) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(branch.block);
    SmallVector<Value> yielded;
    for (auto [value, type] : llvm::zip_equal(branch.values, types))
      yielded.push_back(ctx.b.castValue(value, cast<RankedTensorType>(type)));
    scf::YieldOp::create(b, ctx.b.getLoc(), yielded);
  }
  auto op = scf::IfOp::create(b, ctx.b.getLoc(), types, draft.getCondition(),
                              /*addThenBlock=*/false, /*addElseBlock=*/false);
  // Before the bodies move: what they define is known by its parent.
  for (size_t i = 0; i < types.size(); ++i) {
    Tensor yes = branches[0].outputs[i], no = branches[1].outputs[i];
    SizeList sizes;
    for (auto [axis, pair] :
         llvm::enumerate(llvm::zip_equal(yes->sizes, no->sizes))) {
      auto [a, c] = pair;
      std::optional<SizeExpr> size = getCommonSize(ctx, a, c, draft);
      if (!size)
        size = ctx.b.atomFor(
            tensor::DimOp::create(b, ctx.b.getLoc(), op.getResult(i), axis),
            /*isNonNegative=*/true);
      sizes.push_back(*size);
    }
    ctx.setOutput(i, ctx.b.makeTensor(op.getResult(i), yes->element, sizes));
  }
  op.getThenRegion().takeBody(draft.getThenRegion());
  op.getElseRegion().takeBody(draft.getElseRegion());
  draft.erase();
  return success();
}

static LogicalResult importIf(NodeContext &ctx) {
  Tensor condition = ctx.getInput(0);
  if (failed(requireBool(ctx, condition)))
    return failure();
  if (std::optional<bool> known = getConstantBool(ctx, condition)) {
    FailureOr<SmallVector<Tensor>> outputs =
        ctx.importSubgraph(*known ? "then_branch" : "else_branch", {});
    if (failed(outputs))
      return failure();
    if (outputs->size() != ctx.getNumOutputs())
      return ctx.error() << "expected a graph of " << ctx.getNumOutputs()
                         << " outputs, but got " << outputs->size();
    for (auto [i, output] : llvm::enumerate(*outputs))
      ctx.setOutput(i, output);
    return success();
  }
  OpBuilder &b = ctx.b.getBuilder();
  Tensor scalar = Compose(ctx.b).reshape(condition, {});
  Value isTrue =
      tensor::ExtractOp::create(b, ctx.b.getLoc(), ctx.b.getValue(scalar), {});
  // The result types are not known before the branches are.
  auto draft = scf::IfOp::create(b, ctx.b.getLoc(), TypeRange(), isTrue,
                                 /*addThenBlock=*/false,
                                 /*addElseBlock=*/false);
  FailureOr<Branch> yes =
      importBranch(ctx, draft.getThenRegion(), "then_branch");
  FailureOr<Branch> no =
      importBranch(ctx, draft.getElseRegion(), "else_branch");
  if (failed(yes) || failed(no))
    return failure();
  return finishIf(ctx, draft, {*yes, *no});
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

/// The outputs of one iteration.
static FailureOr<SmallVector<Tensor>> importBody(NodeContext &ctx,
                                                 const SizeExpr &iteration,
                                                 ArrayRef<Tensor> carried) {
  OpBuilder &b = ctx.b.getBuilder();
  SmallVector<Tensor> inputs = {
      ctx.b.makeSizeScalar(iteration, {b.getI64Type()}),
      ctx.b.makeSizeScalar(SizeExpr(1), {b.getI1Type()})};
  inputs.append(carried.begin(), carried.end());
  FailureOr<SmallVector<Tensor>> outputs = ctx.importSubgraph("body", inputs);
  if (failed(outputs))
    return failure();
  if (outputs->size() != ctx.getNumOutputs() + 1)
    return ctx.error() << "expected a graph of " << ctx.getNumOutputs() + 1
                       << " outputs, but got " << outputs->size();
  return outputs;
}

/// Whether the loop goes on, which must be known.
static FailureOr<bool> goesOn(NodeContext &ctx, Tensor condition) {
  if (std::optional<bool> known = getConstantBool(ctx, condition))
    return *known;
  return ctx.error() << "a loop that ends by a computed condition is not "
                        "supported";
}

static LogicalResult unroll(NodeContext &ctx, int64_t count,
                            SmallVector<Tensor> carried) {
  size_t carriedCount = carried.size();
  SmallVector<SmallVector<Tensor>> scans(ctx.getNumOutputs() - carriedCount);
  Compose c(ctx.b);
  for (int64_t i = 0; i < count; ++i) {
    FailureOr<SmallVector<Tensor>> outputs = importBody(ctx, i, carried);
    if (failed(outputs))
      return failure();
    ArrayRef<Tensor> results = ArrayRef(*outputs).drop_front();
    carried.assign(results.begin(), results.begin() + carriedCount);
    for (auto [scan, element] :
         llvm::zip_equal(scans, results.drop_front(carriedCount))) {
      SizeList sizes = element->sizes;
      sizes.insert(sizes.begin(), SizeExpr(1));
      scan.push_back(c.reshape(element, sizes));
    }
    FailureOr<bool> again = goesOn(ctx, outputs->front());
    if (failed(again))
      return failure();
    if (!*again)
      break;
  }
  for (auto [i, tensor] : llvm::enumerate(carried))
    ctx.setOutput(i, tensor);
  for (auto [i, scan] : llvm::enumerate(scans)) {
    if (scan.empty())
      return ctx.error() << "scan outputs of a loop without iterations are not "
                            "supported";
    Tensor joined = c.concat(scan, 0);
    if (!joined)
      return failure();
    ctx.setOutput(carriedCount + i, joined);
  }
  return success();
}

static LogicalResult buildFor(NodeContext &ctx, const SizeExpr &count,
                              ArrayRef<Tensor> carried) {
  if (ctx.getNumOutputs() != carried.size())
    return ctx.error() << "scan outputs are supported for a known trip count "
                          "of at most "
                       << maxUnrolled << " only";
  OpBuilder &b = ctx.b.getBuilder();
  SmallVector<Value> initial = llvm::map_to_vector(
      carried, [&](Tensor tensor) { return ctx.b.getValue(tensor); });
  auto loop = scf::ForOp::create(b, ctx.b.getLoc(), ctx.b.getIndexConstant(0),
                                 ctx.b.getIndexValue(count),
                                 ctx.b.getIndexConstant(1), initial);
  {
    TensorBuilder::RegionScope scope(ctx.b);
    b.setInsertionPointToEnd(loop.getBody());
    SmallVector<Tensor> state;
    for (auto [tensor, argument] :
         llvm::zip_equal(carried, loop.getRegionIterArgs()))
      state.push_back(
          ctx.b.makeTensor(argument, tensor->element, tensor->sizes));
    SizeExpr iteration =
        ctx.b.atomFor(loop.getInductionVar(), /*isNonNegative=*/true);
    FailureOr<SmallVector<Tensor>> outputs = importBody(ctx, iteration, state);
    if (failed(outputs))
      return failure();
    FailureOr<bool> again = goesOn(ctx, outputs->front());
    if (failed(again))
      return failure();
    if (!*again)
      return ctx.error() << "expected a loop that goes on until its trip count";
    SmallVector<Value> next;
    for (auto [before, after] :
         llvm::zip_equal(state, ArrayRef(*outputs).drop_front())) {
      if (before->element != after->element || before->sizes != after->sizes)
        return ctx.error() << "a loop-carried value that changes its type or "
                              "shape is not supported";
      next.push_back(ctx.b.getValue(after));
    }
    scf::YieldOp::create(b, ctx.b.getLoc(), next);
  }
  for (auto [i, tensor] : llvm::enumerate(carried))
    ctx.setOutput(
        i, ctx.b.makeTensor(loop.getResult(i), tensor->element, tensor->sizes));
  return success();
}

static LogicalResult importLoop(NodeContext &ctx) {
  Tensor count = ctx.getInput(0), condition = ctx.getInput(1);
  SmallVector<Tensor> carried(
      ctx.getInputs().drop_front(std::min<size_t>(2, ctx.getNumInputs())));
  if (llvm::is_contained(carried, nullptr) ||
      carried.size() > ctx.getNumOutputs())
    return ctx.error() << "expected an output for every loop-carried value";
  bool starts = true;
  if (condition) {
    if (failed(requireBool(ctx, condition)))
      return failure();
    FailureOr<bool> known = goesOn(ctx, condition);
    if (failed(known))
      return failure();
    starts = *known;
  }
  if (!count)
    return ctx.error() << "a loop without a trip count is not supported";
  FailureOr<SizeList> trips = ctx.getElements(0);
  if (failed(trips))
    return failure();
  if (trips->size() != 1)
    return ctx.error() << "expected one number as trip count";
  std::optional<int64_t> known = trips->front().getConstant();
  if (!starts || (known && *known <= maxUnrolled))
    return unroll(ctx, starts ? *known : 0, carried);
  return buildFor(ctx, trips->front(), carried);
}

ArrayRef<HandlerRow> pquant::getControlFlowHandlers() {
  static const HandlerRow rows[] = {
      {"", "If", 13, 1, 1, variadic, importIf, "tensors only"},
      {"", "Loop", 13, 0, variadicOptional, variadic, importLoop,
       "tensors of fixed shape, no computed condition"},
  };
  return rows;
}
