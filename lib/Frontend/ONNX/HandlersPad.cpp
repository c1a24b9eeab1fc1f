//===- HandlersPad.cpp - Pad ----------------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One loop over the result that finds where each element comes from. Negative
// pads cut elements off.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

using namespace mlir;
using namespace pquant;

namespace {
enum class PadMode { Constant, Edge, Reflect, Wrap };
} // namespace

static FailureOr<PadMode> getMode(NodeContext &ctx) {
  std::string mode = ctx.getString("mode", "constant");
  static constexpr std::pair<StringLiteral, PadMode> modes[] = {
      {"constant", PadMode::Constant},
      {"edge", PadMode::Edge},
      {"reflect", PadMode::Reflect},
      {"wrap", PadMode::Wrap}};
  for (auto [name, value] : modes)
    if (mode == name)
      return value;
  return ctx.error() << "expected mode constant, edge, reflect or wrap, but "
                        "got '"
                     << mode << "'";
}

/// Pads before and after each dimension.
static FailureOr<std::pair<SizeList, SizeList>> getPads(NodeContext &ctx) {
  int64_t rank = ctx.getInput(0)->getRank();
  FailureOr<SizeList> pads = ctx.getElements(1);
  if (failed(pads))
    return failure();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (ctx.getInput(3)) {
    FailureOr<SmallVector<int64_t>> given = ctx.getConstantInts(3);
    if (failed(given) || failed(ctx.normalizeAxes(*given, rank)))
      return failure();
    axes = *given;
  }
  if (pads->size() != 2 * axes.size())
    return ctx.error() << "expected " << 2 * axes.size() << " pads, but got "
                       << pads->size();
  SizeList before(rank, SizeExpr(0)), after(rank, SizeExpr(0));
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t at = axis < 0 ? axis + rank : axis;
    before[at] = (*pads)[i];
    after[at] = (*pads)[i + axes.size()];
  }
  return std::pair(before, after);
}

/// Where position `i` of the result, less the pad, is in a dimension of `size`
/// elements; with a constant it may be outside.
static Value findSource(ScalarOps &o, PadMode mode, Value i, Value size) {
  auto integer = [&](int64_t n) {
    return arith::ConstantIndexOp::create(o.b, o.loc, n).getResult();
  };
  auto sub = [&](Value x, Value y) {
    return arith::SubIOp::create(o.b, o.loc, x, y).getResult();
  };
  auto clamp = [&](Value x, Value high) {
    Value low = arith::MaxSIOp::create(o.b, o.loc, x, integer(0));
    return arith::MinSIOp::create(o.b, o.loc, low, high).getResult();
  };
  Value last = sub(size, integer(1));
  switch (mode) {
  case PadMode::Constant:
    return i;
  case PadMode::Edge:
    return clamp(i, last);
  case PadMode::Reflect: {
    // -1 -> 1, size -> size - 2: the edge itself is not repeated.
    Value distance = arith::MaxSIOp::create(o.b, o.loc, i, sub(integer(0), i));
    Value over =
        arith::MaxSIOp::create(o.b, o.loc, sub(distance, last), integer(0));
    Value twice = arith::AddIOp::create(o.b, o.loc, over, over);
    return clamp(sub(distance, twice), last);
  }
  case PadMode::Wrap: {
    Value remainder = arith::RemSIOp::create(o.b, o.loc, i, size);
    Value shifted = arith::AddIOp::create(o.b, o.loc, remainder, size);
    return arith::RemSIOp::create(o.b, o.loc, shifted, size);
  }
  }
  llvm_unreachable("every mode is handled");
}

static LogicalResult importPad(NodeContext &ctx) {
  Tensor input = ctx.getInput(0), fill = ctx.getInput(2);
  FailureOr<PadMode> mode = getMode(ctx);
  auto pads = getPads(ctx);
  if (failed(mode) || failed(pads) ||
      (fill && failed(ctx.requireSameType(0, 2))))
    return failure();
  Compose c(ctx.b);
  SizeList sizes = input->sizes;
  SmallVector<Value> begins, bounds;
  SmallVector<int64_t> padded;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    auto &[before, after] = *pads;
    if (!before[i].isConstant(0) || !after[i].isConstant(0))
      padded.push_back(i);
    begins.push_back(ctx.b.getIndexValue(before[i]));
    bounds.push_back(ctx.b.getIndexValue(size));
    size = size + before[i] + after[i];
    if (size.getConstant() && *size.getConstant() < 0)
      return ctx.error() << "expected a result of at least 0 elements in "
                            "dimension "
                         << i;
    if (!ctx.b.isNonNegative(size))
      ctx.b.assertAtRunTime(
          arith::CmpIOp::create(
              ctx.b.getBuilder(), ctx.b.getLoc(), arith::CmpIPredicate::sge,
              ctx.b.getIndexValue(size), ctx.b.getIndexConstant(0)),
          "expected a result of at least 0 elements");
  }
  fill = fill ? c.reshape(fill, {}) : ctx.b.makeScalar(input->element, 0);
  Value source = ctx.b.getValue(input);
  Tensor result = c.generate(
      input->element, sizes, fill,
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) -> Value {
        SmallVector<Value> from(at);
        Value isInside;
        for (int64_t i : padded) {
          from[i] = arith::SubIOp::create(o.b, o.loc, at[i], begins[i]);
          from[i] = findSource(o, *mode, from[i], bounds[i]);
          // As an unsigned number a negative position is too large as well.
          Value fits = arith::CmpIOp::create(
              o.b, o.loc, arith::CmpIPredicate::ult, from[i], bounds[i]);
          isInside = isInside
                         ? arith::AndIOp::create(o.b, o.loc, isInside, fits)
                         : fits;
        }
        auto read = [&](ScalarOps &o) {
          return Compose::extract(o, source, from);
        };
        if (!isInside)
          return read(o);
        return Compose::branch(o, isInside, read,
                               [&](ScalarOps &) { return elements[0]; });
      });
  ctx.setOutput(0, result);
  return success(result);
}

ArrayRef<HandlerRow> pquant::getPadHandlers() {
  static const HandlerRow rows[] = {
      {"", "Pad", 13, 2, 4, 1, importPad,
       "constant axes; reflects by less than the size"},
  };
  return rows;
}
