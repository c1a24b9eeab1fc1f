//===- AttentionBuilder.cpp - Attention of several operators --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionBuilder.h"

#include "dialects/PQuant/PQuantDialect.h"

using namespace mlir;
using namespace pquant;

static constexpr double infinity = std::numeric_limits<double>::infinity();

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// The mask as `pquant.attention` takes it, S x T or B x 1 x S x T.
static Tensor getOpMask(NodeContext &ctx, const AttentionInputs &in) {
  ArrayRef<SizeExpr> sizes(in.mask->sizes);
  if (sizes.size() < 2 || sizes[sizes.size() - 2] != in.query->sizes[2] ||
      sizes.back() != in.key->sizes[2])
    return nullptr;
  ArrayRef<SizeExpr> leading = sizes.drop_back(2);
  if (llvm::all_of(leading, [](const SizeExpr &s) { return s.isConstant(1); }))
    return Compose(ctx.b).reshape(in.mask, SizeList(sizes.take_back(2)));
  bool isPerBatch = leading.size() == 2 && leading[0] == in.query->sizes[0] &&
                    leading[1].isConstant(1);
  return isPerBatch ? in.mask : nullptr;
}

/// The whole as one op, or null when the op does not say it.
static Tensor buildOp(NodeContext &ctx, const AttentionInputs &in) {
  const SizeExpr needed[] = {in.query->sizes[1], in.key->sizes[1],
                             in.query->sizes[3], in.value->sizes[3]};
  bool isStatic = llvm::all_of(
      needed, [](const SizeExpr &size) { return size.getConstant() > 0; });
  if (!isStatic || in.softcap != 0 || !in.query->element.type.isF32())
    return nullptr;
  Value mask;
  if (in.mask) {
    Tensor fitting = getOpMask(ctx, in);
    if (!fitting)
      return nullptr;
    mask = ctx.b.getValue(fitting);
  }
  auto op = AttentionOp::create(
      ctx.b.getBuilder(), ctx.b.getLoc(), ctx.b.getValue(in.query),
      ctx.b.getValue(in.key), ctx.b.getValue(in.value), mask,
      APFloat(static_cast<float>(in.scale)), in.isCausal);
  SizeList sizes = in.query->sizes;
  sizes[3] = in.value->sizes[3];
  return ctx.b.makeTensor(op.getResult(), in.query->element, sizes);
}

/// Minus infinity where key t > s + (T - S).
static Tensor addCausalMask(NodeContext &ctx, Tensor scores) {
  Compose c(ctx.b);
  Value distance = ctx.b.getIndexValue(scores->sizes[3] - scores->sizes[2]);
  return c.generate(
      scores->element, scores->sizes, scores,
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) -> Value {
        Value last = arith::AddIOp::create(o.b, o.loc, at[2], distance);
        Value isSeen = arith::CmpIOp::create(
            o.b, o.loc, arith::CmpIPredicate::sle, at[3], last);
        return o.select(isSeen, elements[0], o.constant(-infinity));
      });
}

/// Softmax over the last axis; 0 where every element is minus infinity.
static Tensor buildSoftmax(Compose &c, Tensor x) {
  Tensor top = c.map(c.largest(x, 3), [](ScalarOps &o, Value m) {
    return o.select(o.equal(m, o.constant(-infinity)), o.constant(0), m);
  });
  Tensor exponentials = c.map(
      c.sub(x, top), [](ScalarOps &o, Value x) -> Value { return o.exp(x); });
  return c.zip(exponentials, c.sum(exponentials, 3),
               [](ScalarOps &o, Value e, Value sum) {
                 Value zero = o.constant(0);
                 return o.select(o.equal(sum, zero), zero, o.div(e, sum));
               });
}

AttentionResults pquant::buildAttention(NodeContext &ctx,
                                        const AttentionInputs &in,
                                        AttentionStage stage) {
  if (!in.query || !in.key || !in.value)
    return {};
  if (stage == AttentionStage::None)
    if (Tensor output = buildOp(ctx, in))
      return {output, nullptr};
  Compose c(ctx.b);
  const SizeList &q = in.query->sizes, &k = in.key->sizes;
  std::optional<int64_t> heads = q[1].getConstant(),
                         groups = k[1].getConstant();
  SizeExpr repeats(1);
  if (q[1] != k[1]) {
    if (!heads || !groups || *groups == 0 || *heads % *groups != 0) {
      ctx.error() << "expected key heads of a static number that divides the "
                     "query heads";
      return {};
    }
    repeats = SizeExpr(*heads / *groups);
  }
  Tensor query = c.reshape(in.query, {q[0], k[1], repeats, q[2], q[3]});
  SizeList sizes = {q[0], q[1], q[2], k[2]};
  Tensor scores = c.einsum("bgrsd,bgtd->bgrst", {query, in.key});
  scores = c.scale(c.reshape(scores, sizes), in.scale);
  AttentionResults results;
  auto keep = [&](AttentionStage which) {
    if (stage == which)
      results.stage = scores;
  };
  keep(AttentionStage::Scaled);
  if (in.softcap != 0)
    scores = c.map(scores, [&](ScalarOps &o, Value x) {
      Value cap = o.constant(in.softcap);
      return o.mul(o.tanh(o.div(x, cap)), cap);
    });
  keep(AttentionStage::Capped);
  if (in.mask)
    scores = c.add(scores, in.mask);
  if (in.isCausal && scores)
    scores = addCausalMask(ctx, scores);
  keep(AttentionStage::Masked);
  scores = buildSoftmax(c, scores);
  keep(AttentionStage::Softmax);
  Tensor weights = c.reshape(scores, {q[0], k[1], repeats, q[2], k[2]});
  Tensor output = c.einsum("bgrst,bgte->bgrse", {weights, in.value});
  results.output = c.reshape(output, {q[0], q[1], q[2], in.value->sizes[3]});
  return results;
}

//===----------------------------------------------------------------------===//
// Heads
//===----------------------------------------------------------------------===//

Tensor pquant::splitHeads(NodeContext &ctx, Tensor x, int64_t heads) {
  if (!x)
    return nullptr;
  std::optional<SizeExpr> width;
  if (heads > 0)
    width = x->sizes[2].dividedExactlyBy(heads);
  if (!width) {
    ctx.error() << "expected a last dimension that " << heads
                << " heads share evenly";
    return nullptr;
  }
  Compose c(ctx.b);
  Tensor split = c.reshape(x, {x->sizes[0], x->sizes[1], heads, *width});
  return c.transpose(split, {0, 2, 1, 3});
}

Tensor pquant::joinHeads(NodeContext &ctx, Tensor x) {
  if (!x)
    return nullptr;
  Compose c(ctx.b);
  return c.reshape(c.transpose(x, {0, 2, 1, 3}),
                   {x->sizes[0], x->sizes[2], x->sizes[1] * x->sizes[3]});
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

Tensor pquant::gatherRows(NodeContext &ctx, Tensor table, Tensor positions) {
  if (!table || !positions)
    return nullptr;
  Compose c(ctx.b);
  Tensor integers = c.cast(positions, {ctx.b.getBuilder().getI64Type()});
  assertInRange(ctx.b, integers, table->sizes[0], /*allowsNegative=*/false);
  SizeList sizes = positions->sizes;
  sizes.push_back(table->sizes[1]);
  SizeList rows = positions->sizes;
  rows.push_back(1);
  Value source = ctx.b.getValue(table);
  return c.generate(table->element, sizes, c.reshape(integers, rows),
                    [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) {
                      Value row = arith::IndexCastOp::create(
                          o.b, o.loc, o.b.getIndexType(), elements[0]);
                      return Compose::extract(o, source, {row, at.back()});
                    });
}

Tensor pquant::rotate(NodeContext &ctx, Tensor x, Tensor cos, Tensor sin,
                      bool isInterleaved) {
  if (!x || !cos || !sin)
    return nullptr;
  Compose c(ctx.b);
  ElementType element = x->element, wide = c.widen(element);
  x = c.cast(x, wide);
  // B x S x R -> B x 1 x S x R
  auto widenTable = [&](Tensor table) {
    return c.reshape(c.cast(table, wide),
                     {table->sizes[0], 1, table->sizes[1], table->sizes[2]});
  };
  cos = widenTable(cos);
  sin = widenTable(sin);
  if (!cos || !sin)
    return nullptr;
  SizeExpr half = cos->sizes[3], width = half + half;
  Tensor turned = c.slice(x, 3, 0, width), first, second;
  SizeList halfSizes = x->sizes, pairs = x->sizes, ones;
  halfSizes[3] = pairs[3] = half;
  ones = halfSizes;
  ones.push_back(1);
  pairs.push_back(2);
  if (isInterleaved) {
    Tensor paired = c.reshape(turned, pairs);
    first = c.reshape(c.slice(paired, 4, 0, 1), halfSizes);
    second = c.reshape(c.slice(paired, 4, 1, 2), halfSizes);
  } else {
    first = c.slice(turned, 3, 0, half);
    second = c.slice(turned, 3, half, width);
  }
  Tensor low = c.sub(c.mul(first, cos), c.mul(second, sin));
  Tensor high = c.add(c.mul(second, cos), c.mul(first, sin));
  if (isInterleaved) {
    turned = c.concat({c.reshape(low, ones), c.reshape(high, ones)}, 4);
    halfSizes[3] = width;
    turned = c.reshape(turned, halfSizes);
  } else {
    turned = c.concat({low, high}, 3);
  }
  if (width != x->sizes[3])
    turned = c.concat({turned, c.slice(x, 3, width, x->sizes[3])}, 3);
  return c.cast(turned, element);
}
