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

static LogicalResult importIf(NodeContext &ctx) {
  FailureOr<SmallVector<Tensor>> outputs = chooseBranch(
      ctx.b, ctx.getInput(0), ctx.getNumOutputs(), [&](bool isThen) {
        return ctx.importSubgraph(isThen ? "then_branch" : "else_branch", {});
      });
  if (failed(outputs))
    return failure();
  for (auto [i, output] : llvm::enumerate(*outputs))
    ctx.setOutput(i, output);
  return success();
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
