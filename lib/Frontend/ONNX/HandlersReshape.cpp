//===- HandlersReshape.cpp - Operators that rearrange dimensions ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reshape and its kin, and Transpose: every element stays, under other indices.
// A size that the file does not state is inferred, at run time where need be.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

/// Sizes of which the run time decides whether they are 0, -1 or a size.
static SizeList resolveAtRunTime(NodeContext &ctx, ArrayRef<SizeExpr> elements,
                                 bool allowZero) {
  OpBuilder &b = ctx.b.getBuilder();
  Location loc = ctx.b.getLoc();
  Tensor input = ctx.getInput(0);
  Value zero = ctx.b.getIndexConstant(0), one = ctx.b.getIndexConstant(1);
  SmallVector<Value> sizes, isNegative;
  Value known = one;
  for (auto [i, element] : llvm::enumerate(elements)) {
    Value size = ctx.b.getIndexValue(element);
    if (!allowZero && static_cast<int64_t>(i) < input->getRank()) {
      Value isZero =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, size, zero);
      size = arith::SelectOp::create(
          b, loc, isZero, ctx.b.getIndexValue(input->sizes[i]), size);
    }
    isNegative.push_back(
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, size, zero));
    Value factor =
        arith::SelectOp::create(b, loc, isNegative.back(), one, size);
    known = arith::MulIOp::create(b, loc, known, factor);
    sizes.push_back(size);
  }
  known = arith::MaxSIOp::create(b, loc, known, one);
  Value inferred = arith::DivSIOp::create(
      b, loc, ctx.b.getIndexValue(ctx.b.product(input->sizes)), known);
  SizeList result;
  for (auto [size, negative] : llvm::zip_equal(sizes, isNegative))
    result.push_back(ctx.b.atomFor(
        arith::SelectOp::create(b, loc, negative, inferred, size), true));
  return result;
}

/// The size that -1 stands for.
static FailureOr<SizeExpr> inferSize(NodeContext &ctx, const SizeExpr &total,
                                     const SizeExpr &known) {
  if (std::optional<SizeExpr> quotient = total.dividedExactlyBy(known))
    return *quotient;
  if (total.getConstant() && known.getConstant())
    return ctx.error() << "cannot split " << *total.getConstant()
                       << " elements into rows of " << *known.getConstant();
  OpBuilder &b = ctx.b.getBuilder();
  Value divisor = ctx.b.getIndexValue(ctx.b.maximum(known, SizeExpr(1)));
  // The reshape asserts that nothing is left over.
  Value size = arith::DivUIOp::create(b, ctx.b.getLoc(),
                                      ctx.b.getIndexValue(total), divisor);
  return ctx.b.atomFor(size, /*isNonNegative=*/true);
}

static LogicalResult importReshape(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<SizeList> elements = ctx.getElements(1);
  if (failed(elements))
    return failure();
  bool allowZero = ctx.getInt("allowzero", 0);
  if (llvm::any_of(*elements, [&](const SizeExpr &e) {
        return !e.getConstant() && !ctx.b.isNonNegative(e);
      }))
    return ctx.setResult(
        ctx.b.reshape(input, resolveAtRunTime(ctx, *elements, allowZero)));

  SizeList sizes;
  SizeExpr known(1);
  std::optional<size_t> inferred;
  for (auto [i, element] : llvm::enumerate(*elements)) {
    SizeExpr size = element;
    if (size.isConstant(0) && !allowZero) {
      if (static_cast<int64_t>(i) >= input->getRank())
        return ctx.error() << "size 0 at position " << i
                           << " asks for a dimension that the input of rank "
                           << input->getRank() << " does not have";
      size = input->sizes[i];
    }
    sizes.push_back(size);
    if (size.isConstant(-1)) {
      if (inferred)
        return ctx.error() << "expected at most one size of -1";
      inferred = i;
    } else if (size.getConstant() && *size.getConstant() < 0) {
      return ctx.error() << "expected sizes of at least -1, but got "
                         << *size.getConstant();
    } else {
      known = known * size;
    }
  }
  if (inferred) {
    FailureOr<SizeExpr> size =
        inferSize(ctx, ctx.b.product(input->sizes), known);
    if (failed(size))
      return failure();
    sizes[*inferred] = *size;
  }
  return ctx.setResult(ctx.b.reshape(input, sizes));
}

//===----------------------------------------------------------------------===//
// Flatten, Unsqueeze, Squeeze, Transpose
//===----------------------------------------------------------------------===//

static LogicalResult importFlatten(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank(), axis = ctx.getInt("axis", 1);
  if (axis < -rank || axis > rank)
    return ctx.error() << "expected an axis in [" << -rank << ", " << rank
                       << "], but got " << axis;
  axis = axis < 0 ? axis + rank : axis;
  ArrayRef<SizeExpr> sizes(input->sizes);
  return ctx.setResult(
      ctx.b.reshape(input, {ctx.b.product(sizes.take_front(axis)),
                            ctx.b.product(sizes.drop_front(axis))}));
}

static LogicalResult importUnsqueeze(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  FailureOr<SmallVector<int64_t>> ints = ctx.getConstantInts(1);
  if (failed(ints))
    return failure();
  int64_t rank = input->getRank() + ints->size();
  FailureOr<SmallVector<int64_t>> axes = ctx.normalizeAxes(*ints, rank);
  if (failed(axes))
    return failure();
  SizeList sizes;
  for (int64_t i = 0, next = 0; i < rank; ++i)
    sizes.push_back(llvm::is_contained(*axes, i) ? SizeExpr(1)
                                                 : input->sizes[next++]);
  return ctx.setResult(ctx.b.reshape(input, sizes));
}

static LogicalResult importSqueeze(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  auto axes = ctx.getAxes(1, input->getRank());
  if (failed(axes))
    return failure();
  SizeList ones = input->sizes, sizes;
  for (int64_t i = 0; i < input->getRank(); ++i) {
    if (!*axes && !input->sizes[i].getConstant())
      return ctx.error() << "expected axes, because dimension " << i
                         << " is not known to be 1 or not";
    if (*axes ? llvm::is_contained(**axes, i) : ones[i].isConstant(1))
      ones[i] = SizeExpr(1);
    else
      sizes.push_back(ones[i]);
  }
  FailureOr<Tensor> refined = ctx.b.refineSizes(input, ones);
  if (failed(refined))
    return failure();
  return ctx.setResult(ctx.b.reshape(*refined, sizes));
}

static LogicalResult importTranspose(NodeContext &ctx) {
  Tensor input = ctx.getInput(0);
  int64_t rank = input->getRank();
  SmallVector<int64_t> permutation =
      llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, rank)));
  if (auto ints = ctx.getInts("perm"))
    permutation = *ints;
  SmallVector<int64_t> sorted = permutation;
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return ctx.error() << "expected a permutation of " << rank << " dimensions";
  ctx.setOutput(0, ctx.b.transpose(input, permutation));
  return success();
}

ArrayRef<HandlerRow> pquant::getReshapeHandlers() {
  static const HandlerRow rows[] = {
      {"", "Flatten", 13, 1, 1, 1, importFlatten},
      {"", "Reshape", 13, 2, 2, 1, importReshape, "result of static rank"},
      {"", "Squeeze", 13, 1, 2, 1, importSqueeze, "constant axes"},
      {"", "Transpose", 13, 1, 1, 1, importTranspose},
      {"", "Unsqueeze", 13, 2, 2, 1, importUnsqueeze, "constant axes"},
  };
  return rows;
}
