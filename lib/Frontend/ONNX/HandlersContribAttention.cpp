//===- HandlersContribAttention.cpp - Attention of com.microsoft ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionBuilder.h"
#include "Handlers.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

static constexpr double infinity = std::numeric_limits<double>::infinity();

/// Errors when an input that is not supported is there.
static LogicalResult refuseInputs(NodeContext &ctx, size_t first,
                                  ArrayRef<StringRef> names) {
  for (auto [i, name] : llvm::enumerate(names))
    if (!name.empty() && ctx.getInput(first + i))
      return ctx.error() << "input '" << name << "' is not supported";
  return success();
}

/// Errors when an attribute has another value than the one that is supported.
static LogicalResult
requireInts(NodeContext &ctx,
            ArrayRef<std::pair<StringRef, int64_t>> supported) {
  for (auto [name, value] : supported)
    if (int64_t got = ctx.getInt(name, value); got != value)
      return ctx.error() << "expected attribute '" << name << "' of " << value
                         << ", but got " << got;
  return success();
}

/// The attribute `scale`, where 0 stands for 1 / sqrt(head size).
static FailureOr<double> getScale(NodeContext &ctx, Tensor query) {
  if (double scale = ctx.getFloat("scale", 0))
    return scale;
  std::optional<int64_t> width = query->sizes[3].getConstant();
  if (!width || *width < 1)
    return ctx.error() << "expected attribute 'scale', or a static head size";
  return 1 / std::sqrt(double(*width));
}

/// Attention of the operands in a type that is wide enough; the output has the
/// heads side by side.
static LogicalResult setAttention(NodeContext &ctx, AttentionInputs in) {
  Compose c(ctx.b);
  ElementType element = in.query->element, wide = c.widen(element);
  for (Tensor *operand : {&in.query, &in.key, &in.value})
    *operand = c.cast(*operand, wide);
  Tensor output =
      joinHeads(ctx, c.cast(buildAttention(ctx, in).output, element));
  ctx.setOutput(0, output);
  return success(output);
}

//===----------------------------------------------------------------------===//
// GroupQueryAttention
//===----------------------------------------------------------------------===//

namespace {
/// One call: operands, and how many keys each batch has had before.
struct GroupedQuery {
  Tensor query, key, value;
  /// i64, one for each batch.
  Tensor past;
  /// Rows of the caches that come out.
  SizeExpr capacity;
};
} // namespace

/// Query, key and value by heads; they may be packed in one input.
static LogicalResult splitQuery(NodeContext &ctx, GroupedQuery &call) {
  int64_t heads = ctx.getInt("num_heads", 0);
  int64_t groups = ctx.getInt("kv_num_heads", 0);
  if (heads < 1 || groups < 1 || heads % groups != 0)
    return ctx.error() << "expected attributes 'num_heads' and 'kv_num_heads' "
                          "of at least 1, the first a multiple of the second";
  if (!ctx.getInput(1) != !ctx.getInput(2))
    return ctx.error() << "expected both key and value, or neither";
  for (size_t i : {0, 1, 2})
    if (ctx.getInput(i) &&
        (failed(ctx.requireRank(i, 3)) || failed(ctx.requireSameType(0, i))))
      return failure();
  if (failed(ctx.requireFloat(0)))
    return failure();
  if (ctx.getInput(1)) {
    call.query = splitHeads(ctx, ctx.getInput(0), heads);
    call.key = splitHeads(ctx, ctx.getInput(1), groups);
    call.value = splitHeads(ctx, ctx.getInput(2), groups);
  } else if (Tensor packed =
                 splitHeads(ctx, ctx.getInput(0), heads + 2 * groups)) {
    Compose c(ctx.b);
    call.query = c.slice(packed, 1, 0, heads);
    call.key = c.slice(packed, 1, heads, heads + groups);
    call.value = c.slice(packed, 1, heads + groups, heads + 2 * groups);
  }
  return success(call.query && call.key && call.value);
}

/// past[b] = seqlens_k[b] + 1 - S, or 0 when the queries are the whole
/// sequence.
static LogicalResult getPastLengths(NodeContext &ctx, GroupedQuery &call) {
  Tensor lengths = ctx.getInput(5);
  if (!lengths || !ctx.getInput(6))
    return ctx.error() << "expected seqlens_k and total_sequence_length";
  FailureOr<SizeList> total = ctx.getElements(6);
  if (failed(total))
    return failure();
  if (total->size() != 1 || !lengths->element.isInteger())
    return ctx.error() << "expected one total_sequence_length, and integers as "
                          "seqlens_k";
  Compose c(ctx.b);
  ElementType integer{ctx.b.getBuilder().getI64Type()};
  const SizeExpr &batch = call.query->sizes[0], &rows = call.query->sizes[2];
  lengths = c.reshape(c.cast(lengths, integer), {batch});
  OpBuilder &b = ctx.b.getBuilder();
  Value isWhole = arith::CmpIOp::create(
      b, ctx.b.getLoc(), arith::CmpIPredicate::eq, ctx.b.getIndexValue(rows),
      ctx.b.getIndexValue(total->front()));
  Tensor offset = ctx.b.makeSizeScalar(rows - SizeExpr(1), integer);
  call.past = c.map(c.sub(lengths, offset), [&](ScalarOps &o, Value past) {
    return o.select(isWhole, o.constant(0), past);
  });
  call.capacity = total->front();
  if (Tensor past = ctx.getInput(3))
    call.capacity = ctx.b.maximum(past->sizes[2], call.capacity);
  // New rows must fit behind the old ones.
  SizeExpr bound = call.capacity - rows + SizeExpr(1);
  if (call.past)
    assertInRange(ctx.b, call.past, bound, /*allowsNegative=*/false);
  return success(call.past);
}

/// position_ids, or past[b] + s.
static Tensor getPositions(NodeContext &ctx, const GroupedQuery &call) {
  if (Tensor given = ctx.getInput(9))
    return given;
  Compose c(ctx.b);
  ElementType integer{ctx.b.getBuilder().getI64Type()};
  const SizeExpr &batch = call.query->sizes[0], &rows = call.query->sizes[2];
  return c.generate(integer, {batch, rows}, c.reshape(call.past, {batch, 1}),
                    [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) {
                      Value s = arith::IndexCastOp::create(o.b, o.loc,
                                                           integer.type, at[1]);
                      return o.add(elements[0], s);
                    });
}

static LogicalResult rotateHeads(NodeContext &ctx, GroupedQuery &call) {
  if (!ctx.getInt("do_rotary", 0))
    return success();
  for (size_t i : {7, 8}) {
    if (!ctx.getInput(i))
      return ctx.error() << "expected cos_cache and sin_cache with do_rotary";
    if (failed(ctx.requireRank(i, 2)) || failed(ctx.requireSameType(0, i)))
      return failure();
  }
  Tensor positions = getPositions(ctx, call);
  if (positions && positions->getRank() != 2)
    return ctx.requireRank(9, 2);
  Tensor cos = gatherRows(ctx, ctx.getInput(7), positions);
  Tensor sin = gatherRows(ctx, ctx.getInput(8), positions);
  bool isInterleaved = ctx.getInt("rotary_interleaved", 0);
  call.query = rotate(ctx, call.query, cos, sin, isInterleaved);
  call.key = rotate(ctx, call.key, cos, sin, isInterleaved);
  return success(call.query && call.key);
}

/// Rows [past[b], past[b] + S) of a cache are new ones.
static Tensor updateCache(NodeContext &ctx, const GroupedQuery &call,
                          Tensor cache, Tensor update) {
  Compose c(ctx.b);
  SizeList sizes = update->sizes;
  Value rows = ctx.b.getIndexValue(sizes[2]), fresh = ctx.b.getValue(update);
  sizes[2] = call.capacity;
  Value old, oldRows;
  if (cache) {
    old = ctx.b.getValue(cache);
    oldRows = ctx.b.getIndexValue(cache->sizes[2]);
  }
  auto isBelow = [](ScalarOps &o, Value row, Value count) {
    return arith::CmpIOp::create(o.b, o.loc, arith::CmpIPredicate::ult, row,
                                 count);
  };
  auto zero = [](ScalarOps &o) { return o.constant(0); };
  return c.generate(
      update->element, sizes, c.reshape(call.past, {sizes[0], 1, 1, 1}),
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) -> Value {
        Value past = arith::IndexCastOp::create(o.b, o.loc, o.b.getIndexType(),
                                                elements[0]);
        SmallVector<Value> from(at);
        from[2] = arith::SubIOp::create(o.b, o.loc, at[2], past);
        auto keep = [&](ScalarOps &o) -> Value {
          if (!cache)
            return zero(o);
          return Compose::branch(
              o, isBelow(o, at[2], oldRows),
              [&](ScalarOps &o) { return Compose::extract(o, old, at); }, zero);
        };
        return Compose::branch(
            o, isBelow(o, from[2], rows),
            [&](ScalarOps &o) { return Compose::extract(o, fresh, from); },
            keep);
      });
}

/// Query s of batch b reads keys t <= past[b] + s.
static Tensor makeMask(NodeContext &ctx, const GroupedQuery &call,
                       ElementType element) {
  Compose c(ctx.b);
  const SizeExpr &batch = call.query->sizes[0], &rows = call.query->sizes[2];
  return c.generate(
      element, {batch, 1, rows, call.capacity},
      c.reshape(call.past, {batch, 1, 1, 1}),
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) {
        Value past = arith::IndexCastOp::create(o.b, o.loc, o.b.getIndexType(),
                                                elements[0]);
        Value last = arith::AddIOp::create(o.b, o.loc, past, at[2]);
        Value isSeen = arith::CmpIOp::create(
            o.b, o.loc, arith::CmpIPredicate::sle, at[3], last);
        return o.select(isSeen, o.constant(0), o.constant(-infinity));
      });
}

static LogicalResult importGroupQueryAttention(NodeContext &ctx) {
  if (failed(refuseInputs(
          ctx, 10, {"attention_bias", "head_sink", "k_scale", "v_scale"})) ||
      failed(requireInts(ctx, {{"local_window_size", -1},
                               {"smooth_softmax", 0},
                               {"qk_output", 0},
                               {"kv_cache_bit_width", 0}})))
    return failure();
  for (StringRef name : {"k_quant_type", "v_quant_type"})
    if (ctx.getString(name, "NONE") != "NONE")
      return ctx.error() << "quantised caches are not supported";
  if (!ctx.getInput(3) != !ctx.getInput(4))
    return ctx.error() << "expected both past_key and past_value, or neither";
  for (size_t i : {3, 4})
    if (ctx.getInput(i) &&
        (failed(ctx.requireRank(i, 4)) || failed(ctx.requireSameType(0, i))))
      return failure();
  GroupedQuery call;
  if (failed(splitQuery(ctx, call)) || failed(getPastLengths(ctx, call)) ||
      failed(rotateHeads(ctx, call)))
    return failure();
  AttentionInputs in;
  in.query = call.query;
  in.key = updateCache(ctx, call, ctx.getInput(3), call.key);
  in.value = updateCache(ctx, call, ctx.getInput(4), call.value);
  in.mask = makeMask(ctx, call, Compose(ctx.b).widen(in.query->element));
  in.softcap = ctx.getFloat("softcap", 0);
  FailureOr<double> scale = getScale(ctx, in.query);
  if (failed(scale) || !in.key || !in.value || !in.mask)
    return failure();
  in.scale = *scale;
  ctx.setOutput(1, in.key);
  ctx.setOutput(2, in.value);
  return setAttention(ctx, in);
}

//===----------------------------------------------------------------------===//
// MultiHeadAttention
//===----------------------------------------------------------------------===//

/// Input `i` by heads, with its part of the common bias added.
static Tensor getHeads(NodeContext &ctx, size_t i, int64_t heads,
                       SizeExpr &biasOffset) {
  Tensor x = ctx.getInput(i);
  if (x->getRank() == 4 && i > 0) // a cache: already split
    return x;
  if (failed(ctx.requireRank(i, 3)))
    return nullptr;
  Compose c(ctx.b);
  if (Tensor bias = ctx.getInput(3)) {
    SizeExpr end = biasOffset + x->sizes[2];
    x = c.add(x, c.slice(bias, 0, biasOffset, end));
    biasOffset = end;
  }
  return splitHeads(ctx, x, heads);
}

/// Keys whose mask is 0 get a large negative number.
static Tensor getKeyMask(NodeContext &ctx, ElementType element) {
  Tensor mask = ctx.getInput(4);
  Compose c(ctx.b);
  double filter = ctx.getFloat("mask_filter_value", -10000);
  ElementType integer = mask->element;
  SizeList sizes = mask->sizes;
  sizes.insert(sizes.begin() + 1, mask->getRank() == 2 ? 2 : 1, SizeExpr(1));
  return c.generate(element, sizes, c.reshape(mask, sizes),
                    [&](ScalarOps &o, ArrayRef<Value>, ValueRange elements) {
                      ScalarOps i(o.b, o.loc, integer);
                      return o.select(i.greater(elements[0], i.constant(0)),
                                      o.constant(0), o.constant(filter));
                    });
}

static LogicalResult importMultiHeadAttention(NodeContext &ctx) {
  if (failed(
          refuseInputs(ctx, 8, {"past_sequence_length", "cache_indirection"})))
    return failure();
  Tensor keyMask = ctx.getInput(4), bias = ctx.getInput(5);
  if (!ctx.getInput(1) || !ctx.getInput(2))
    return ctx.error() << "packed query, key and value are not supported";
  if (keyMask && ((keyMask->getRank() != 2 && keyMask->getRank() != 3) ||
                  !keyMask->element.isInteger()))
    return ctx.error() << "expected an integer key_padding_mask of rank 2 or 3";
  if (!ctx.getInput(6) != !ctx.getInput(7))
    return ctx.error() << "expected both past_key and past_value, or neither";
  for (size_t i : {0, 1, 2, 3, 5, 6, 7})
    if (ctx.getInput(i) &&
        (failed(ctx.requireFloat(i)) || failed(ctx.requireSameType(0, i))))
      return failure();
  if ((ctx.getInput(3) && failed(ctx.requireRank(3, 1))) ||
      (bias && failed(ctx.requireRank(5, 4))))
    return failure();
  AttentionInputs in;
  int64_t heads = ctx.getInt("num_heads", 0);
  SizeExpr offset(0);
  in.query = getHeads(ctx, 0, heads, offset);
  in.key = in.query ? getHeads(ctx, 1, heads, offset) : nullptr;
  in.value = in.key ? getHeads(ctx, 2, heads, offset) : nullptr;
  if (!in.value)
    return failure();
  Compose c(ctx.b);
  in.isCausal = ctx.getInt("unidirectional", 0);
  if (in.isCausal && in.key->sizes[2] != in.query->sizes[2])
    return ctx.error() << "expected as many keys as queries with "
                          "unidirectional";
  if (ctx.getInput(6)) {
    in.key = c.concat({ctx.getInput(6), in.key}, 2);
    in.value = c.concat({ctx.getInput(7), in.value}, 2);
  }
  FailureOr<double> scale = getScale(ctx, in.query);
  if (failed(scale) || !in.key || !in.value)
    return failure();
  in.scale = *scale;
  ctx.setOutput(1, in.key);
  ctx.setOutput(2, in.value);
  ElementType wide = c.widen(in.query->element);
  in.mask = c.cast(bias, wide);
  if (keyMask) {
    Tensor additive = getKeyMask(ctx, wide);
    in.mask = bias ? c.add(in.mask, additive) : additive;
    if (!in.mask)
      return failure();
  }
  return setAttention(ctx, in);
}

//===----------------------------------------------------------------------===//
// RotaryEmbedding
//===----------------------------------------------------------------------===//

/// position_ids are B x S, or one offset that counts on.
static Tensor getRotaryPositions(NodeContext &ctx, Tensor x) {
  Tensor ids = ctx.getInput(1);
  if (ids->getRank() == 2)
    return ids;
  Compose c(ctx.b);
  ElementType integer{ctx.b.getBuilder().getI64Type()};
  return c.generate(integer, {x->sizes[0], x->sizes[2]}, c.cast(ids, integer),
                    [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) {
                      Value s = arith::IndexCastOp::create(o.b, o.loc,
                                                           integer.type, at[1]);
                      return o.add(elements[0], s);
                    });
}

static LogicalResult importRotaryEmbedding(NodeContext &ctx) {
  Tensor x = ctx.getInput(0), ids = ctx.getInput(1);
  bool isFlat = x->getRank() == 3;
  bool isOffset = ids->getRank() == 1 && ids->sizes[0].isConstant(1);
  if (failed(ctx.requireFloat(0)) ||
      (!isFlat && failed(ctx.requireRank(0, 4))) ||
      (!isOffset && failed(ctx.requireRank(1, 2))) ||
      failed(requireInts(ctx, {{"is_packed_batching", 0}})))
    return failure();
  if (ctx.getFloat("scale", 1) != 1)
    return ctx.error() << "expected attribute 'scale' of 1";
  for (size_t i : {2, 3})
    if (failed(ctx.requireSameType(0, i)) || failed(ctx.requireRank(i, 2)))
      return failure();
  Tensor cos = ctx.getInput(2), sin = ctx.getInput(3);
  if (isFlat) {
    // Without a number of heads the table's width is the heads'.
    int64_t heads = ctx.getInt("num_heads", 0);
    std::optional<int64_t> hidden = x->sizes[2].getConstant();
    std::optional<int64_t> half = cos->sizes[1].getConstant();
    if (heads == 0 && hidden && half && *half > 0)
      heads = *hidden / (2 * *half);
    x = splitHeads(ctx, x, heads);
  }
  if (!x)
    return failure();
  if (int64_t rotated = ctx.getInt("rotary_embedding_dim", 0);
      rotated && failed(ctx.b.requireEqual(cos->sizes[1] * SizeExpr(2), rotated,
                                           "twice a row of angles and the "
                                           "rotated part")))
    return failure();
  Tensor positions = getRotaryPositions(ctx, x);
  Tensor turned =
      rotate(ctx, x, gatherRows(ctx, cos, positions),
             gatherRows(ctx, sin, positions), ctx.getInt("interleaved", 0));
  if (turned && isFlat)
    turned = joinHeads(ctx, turned);
  ctx.setOutput(0, turned);
  return success(turned);
}

ArrayRef<HandlerRow> pquant::getContribAttentionHandlers() {
  static const HandlerRow rows[] = {
      {"com.microsoft", "GroupQueryAttention", 1, 1, 14, 3,
       importGroupQueryAttention,
       "no local window, bias, sinks or quantised caches"},
      {"com.microsoft", "MultiHeadAttention", 1, 1, 10, 3,
       importMultiHeadAttention, "no packed inputs"},
      {"com.microsoft", "RotaryEmbedding", 1, 4, 4, 1, importRotaryEmbedding,
       "no packed batches"},
  };
  return rows;
}
