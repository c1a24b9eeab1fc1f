//===- HandlersAttention.cpp - Attention, RotaryEmbedding, TensorScatter --===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The decoder operators of ai.onnx 23 and 24. What the standard corrected
// without a new version holds for every version: softcap comes before the mask,
// a causal mask counts the keys of the past, a row without keys gives 0.
//
//===----------------------------------------------------------------------===//

#include "AttentionBuilder.h"
#include "Handlers.h"

using namespace mlir;
using namespace pquant;

static constexpr double infinity = std::numeric_limits<double>::infinity();

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// What is asked for beside the output.
static FailureOr<AttentionStage> getStage(NodeContext &ctx, double softcap) {
  int64_t mode = ctx.getInt("qk_matmul_output_mode", 0);
  if (!ctx.wantsOutput(3))
    return AttentionStage::None;
  static constexpr AttentionStage stages[] = {
      AttentionStage::Scaled, AttentionStage::Capped, AttentionStage::Masked,
      AttentionStage::Softmax};
  if (mode < 0 || mode > 3)
    return ctx.error() << "expected qk_matmul_output_mode in [0, 3], but got "
                       << mode;
  if (mode == 0 && softcap != 0)
    return ctx.error() << "qk_matmul_output_mode 0 with a softcap is not "
                          "supported: implementations differ on it";
  return stages[mode];
}

/// The mask as numbers to add; one that is shorter than the keys forbids the
/// rest of them.
static Tensor getMask(NodeContext &ctx, ElementType element,
                      const SizeExpr &keys) {
  Tensor mask = ctx.getInput(3);
  if (!mask)
    return nullptr;
  Compose c(ctx.b);
  bool isBool = mask->element.isBool();
  SizeList sizes = mask->sizes;
  if (ctx.opset < 24 || sizes.empty() || sizes.back() == keys) {
    if (!isBool)
      return c.cast(mask, element);
    return c.generate(element, sizes, mask,
                      [&](ScalarOps &o, ArrayRef<Value>, ValueRange elements) {
                        return o.select(elements[0], o.constant(0),
                                        o.constant(-infinity));
                      });
  }
  Value length = ctx.b.getIndexValue(sizes.back());
  ctx.b.assertAtRunTime(arith::CmpIOp::create(ctx.b.getBuilder(),
                                              ctx.b.getLoc(),
                                              arith::CmpIPredicate::sle, length,
                                              ctx.b.getIndexValue(keys)),
                        "expected a mask of at most as many columns as keys");
  Value source = ctx.b.getValue(mask);
  sizes.back() = keys;
  return c.generate(
      element, sizes, {},
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange) -> Value {
        Value isThere = arith::CmpIOp::create(
            o.b, o.loc, arith::CmpIPredicate::slt, at.back(), length);
        auto forbid = [](ScalarOps &o) { return o.constant(-infinity); };
        return Compose::branch(
            o, isThere,
            [&](ScalarOps &o) -> Value {
              Value bit = Compose::extract(o, source, at);
              if (isBool)
                return o.select(bit, o.constant(0), forbid(o));
              if (bit.getType() == element.type)
                return bit;
              return arith::ExtFOp::create(o.b, o.loc, element.type, bit);
            },
            forbid);
      });
}

/// Adds to a mask: of batch b only keys t < lengths[b] are read, and with
/// `isCausal` by query s those of t <= s + offset, which counts from the end of
/// the keys where `offset` is not given.
static Tensor restrictKeys(NodeContext &ctx, Tensor mask, ElementType element,
                           Tensor lengths, bool isCausal,
                           std::optional<SizeExpr> offset, SizeList sizes) {
  Compose c(ctx.b);
  SmallVector<Tensor> inputs;
  if (lengths)
    inputs.push_back(
        c.reshape(c.cast(lengths, {ctx.b.getBuilder().getI64Type()}),
                  {lengths->sizes[0], 1, 1, 1}));
  if (mask) {
    FailureOr<SizeList> all = ctx.b.broadcast({mask->sizes, sizes});
    if (failed(all))
      return nullptr;
    sizes = *all;
    inputs.push_back(mask);
  }
  size_t rank = sizes.size();
  Value fixed = offset ? ctx.b.getIndexValue(*offset) : Value();
  Value queries = ctx.b.getIndexValue(sizes[rank - 2]);
  return c.generate(
      element, sizes, inputs,
      [&](ScalarOps &o, ArrayRef<Value> at, ValueRange elements) -> Value {
        Value isSeen, distance = fixed;
        auto require = [&](arith::CmpIPredicate how, Value x, Value y) {
          Value holds = arith::CmpIOp::create(o.b, o.loc, how, x, y);
          isSeen =
              isSeen ? arith::AndIOp::create(o.b, o.loc, isSeen, holds) : holds;
        };
        if (lengths) {
          Value length = arith::IndexCastOp::create(
              o.b, o.loc, o.b.getIndexType(), elements.front());
          require(arith::CmpIPredicate::slt, at[rank - 1], length);
          if (!distance)
            distance = arith::SubIOp::create(o.b, o.loc, length, queries);
        }
        if (isCausal)
          require(arith::CmpIPredicate::sle, at[rank - 1],
                  arith::AddIOp::create(o.b, o.loc, at[rank - 2], distance));
        Value base = mask ? elements.back() : o.constant(0);
        return o.select(isSeen, base, o.constant(-infinity));
      });
}

/// Inputs 0 to 2 as B x heads x rows x columns; 3-D ones hold the heads side by
/// side.
static LogicalResult getOperands(NodeContext &ctx, AttentionInputs &in) {
  bool isFlat = ctx.getInput(0)->getRank() == 3;
  for (size_t i : {0, 1, 2})
    if (failed(ctx.requireFloat(i)) || failed(ctx.requireSameType(0, i)) ||
        failed(ctx.requireRank(i, isFlat ? 3 : 4)))
      return failure();
  Tensor *operands[] = {&in.query, &in.key, &in.value};
  for (auto [i, operand] : llvm::enumerate(operands)) {
    *operand = ctx.getInput(i);
    StringRef name = i == 0 ? "q_num_heads" : "kv_num_heads";
    if (isFlat && !ctx.hasAttribute(name))
      return ctx.error() << "expected attribute '" << name
                         << "' with inputs of rank 3";
    if (isFlat)
      *operand = splitHeads(ctx, *operand, ctx.getInt(name, 0));
    if (!*operand)
      return failure();
  }
  return success();
}

/// Appends keys and values to those of the past.
static LogicalResult appendPast(NodeContext &ctx, AttentionInputs &in) {
  if (!ctx.getInput(4) != !ctx.getInput(5))
    return ctx.error() << "expected both past_key and past_value, or neither";
  Compose c(ctx.b);
  if (ctx.getInput(4)) {
    for (size_t i : {4, 5})
      if (failed(ctx.requireRank(i, 4)) || failed(ctx.requireSameType(0, i)))
        return failure();
    in.key = c.concat({ctx.getInput(4), in.key}, 2);
    in.value = c.concat({ctx.getInput(5), in.value}, 2);
  }
  if (!in.key || !in.value)
    return failure();
  ctx.setOutput(1, in.key);
  ctx.setOutput(2, in.value);
  return success();
}

static LogicalResult importAttention(NodeContext &ctx) {
  AttentionInputs in;
  if (failed(getOperands(ctx, in)))
    return failure();
  SizeExpr newKeys = in.key->sizes[2];
  if (failed(appendPast(ctx, in)))
    return failure();
  in.softcap = ctx.getFloat("softcap", 0);
  FailureOr<AttentionStage> stage = getStage(ctx, in.softcap);
  if (failed(stage))
    return failure();
  Compose c(ctx.b);
  ElementType element = in.query->element, wide = c.widen(element);
  const SizeExpr &queries = in.query->sizes[2], &keys = in.key->sizes[2];
  in.mask = getMask(ctx, wide, keys);
  if (ctx.getInput(3) && !in.mask)
    return failure();
  bool isCausal = ctx.getInt("is_causal", 0);
  Tensor lengths = ctx.getInput(6);
  if (lengths && failed(ctx.requireRank(6, 1)))
    return failure();
  // Without a past the first query reads the first key only.
  std::optional<SizeExpr> offset;
  if (ctx.getInput(4) || !lengths)
    offset = keys - newKeys;
  in.isCausal = isCausal && !lengths && newKeys == queries;
  if (lengths || (isCausal && !in.isCausal)) {
    SizeList sizes = {queries, keys};
    if (lengths)
      sizes = {in.query->sizes[0], 1, queries, keys};
    in.mask =
        restrictKeys(ctx, in.mask, wide, lengths, isCausal, offset, sizes);
    if (!in.mask)
      return failure();
  }
  std::optional<int64_t> width = in.query->sizes[3].getConstant();
  if (!ctx.hasAttribute("scale") && (!width || *width < 1))
    return ctx.error() << "expected attribute 'scale', or a static head size";
  in.scale = ctx.hasAttribute("scale") ? ctx.getFloat("scale", 1)
                                       : 1 / std::sqrt(double(*width));
  for (Tensor *operand : {&in.query, &in.key, &in.value})
    *operand = c.cast(*operand, wide);
  AttentionResults results = buildAttention(ctx, in, *stage);
  Tensor output = c.cast(results.output, element);
  if (output && ctx.getInput(0)->getRank() == 3)
    output = joinHeads(ctx, output);
  if (!output)
    return failure();
  ctx.setOutput(0, output);
  ctx.setOutput(3, c.cast(results.stage, element));
  return success();
}

//===----------------------------------------------------------------------===//
// RotaryEmbedding
//===----------------------------------------------------------------------===//

/// Checks a table of angles against the part of a head that is rotated.
static LogicalResult checkAngles(NodeContext &ctx, Tensor angles,
                                 int64_t rotated, const SizeExpr &width) {
  SizeExpr expected = rotated ? SizeExpr(rotated) : width;
  return ctx.b.requireEqual(angles->sizes.back() * SizeExpr(2), expected,
                            "twice a row of angles and the rotated part");
}

static LogicalResult importRotaryEmbedding(NodeContext &ctx) {
  Tensor x = ctx.getInput(0), positions = ctx.getInput(3);
  bool isFlat = x->getRank() == 3;
  if (failed(ctx.requireFloat(0)) || (!isFlat && failed(ctx.requireRank(0, 4))))
    return failure();
  for (size_t i : {1, 2})
    if (failed(ctx.requireSameType(0, i)) ||
        failed(ctx.requireRank(i, positions ? 2 : 3)))
      return failure();
  if (positions && failed(ctx.requireRank(3, 2)))
    return failure();
  if (isFlat)
    x = splitHeads(ctx, x, ctx.getInt("num_heads", 0));
  Tensor cos = ctx.getInput(1), sin = ctx.getInput(2);
  if (!x || failed(checkAngles(ctx, cos, ctx.getInt("rotary_embedding_dim", 0),
                               x->sizes[3])))
    return failure();
  if (positions) {
    cos = gatherRows(ctx, cos, positions);
    sin = gatherRows(ctx, sin, positions);
  }
  Tensor turned = rotate(ctx, x, cos, sin, ctx.getInt("interleaved", 0));
  if (turned && isFlat)
    turned = joinHeads(ctx, turned);
  ctx.setOutput(0, turned);
  return success(turned);
}

//===----------------------------------------------------------------------===//
// TensorScatter
//===----------------------------------------------------------------------===//

/// The rows that an update leaves free, at least 0.
static FailureOr<SizeExpr> getRoom(NodeContext &ctx, const SizeExpr &capacity,
                                   const SizeExpr &rows) {
  const char *message =
      "expected an update of at most as many rows as the past has";
  SizeExpr room = capacity - rows;
  std::optional<int64_t> count = room.getConstant();
  if (count && *count < 0)
    return ctx.error() << message;
  if (!count)
    ctx.b.assertAtRunTime(
        arith::CmpIOp::create(
            ctx.b.getBuilder(), ctx.b.getLoc(), arith::CmpIPredicate::sle,
            ctx.b.getIndexValue(rows), ctx.b.getIndexValue(capacity)),
        message);
  return room;
}

/// Row write_indices[b] + s along the axis of batch b is row s of the update.
static LogicalResult importTensorScatter(NodeContext &ctx) {
  Tensor past = ctx.getInput(0), update = ctx.getInput(1);
  Tensor starts = ctx.getInput(2);
  int64_t rank = past->getRank();
  FailureOr<int64_t> axisOr = ctx.getAxis("axis", -2, rank);
  std::string mode = ctx.getString("mode", "linear");
  if (failed(axisOr) || failed(ctx.requireSameType(0, 1)) ||
      failed(ctx.requireRank(1, rank)))
    return failure();
  int64_t axis = *axisOr;
  if (axis == 0)
    return ctx.error() << "expected an axis other than the batch";
  if (mode != "linear" && mode != "circular")
    return ctx.error() << "expected mode linear or circular, but got '" << mode
                       << "'";
  SizeList expected = past->sizes;
  expected[axis] = update->sizes[axis];
  FailureOr<Tensor> refined = ctx.b.refineSizes(update, expected);
  if (failed(refined))
    return failure();
  FailureOr<SizeExpr> room =
      getRoom(ctx, past->sizes[axis], update->sizes[axis]);
  if (failed(room))
    return failure();
  Compose c(ctx.b);
  ElementType integer{ctx.b.getBuilder().getI64Type()};
  bool isCircular = mode == "circular";
  if (starts) {
    if (failed(ctx.requireRank(2, 1)) ||
        failed(ctx.b.requireEqual(starts->sizes[0], past->sizes[0], "batches")))
      return failure();
    starts = c.cast(starts, integer);
    assertInRange(ctx.b, starts,
                  isCircular ? past->sizes[axis] : *room + SizeExpr(1),
                  /*allowsNegative=*/false);
  }
  Value first = starts ? ctx.b.getValue(starts) : Value();
  Value capacity = ctx.b.getIndexValue(past->sizes[axis]);
  auto place = [&](OpBuilder &b, Location loc, ValueRange position) {
    SmallVector<Value> at(position);
    if (!first)
      return at;
    Value start = arith::IndexCastOp::create(
        b, loc, b.getIndexType(),
        tensor::ExtractOp::create(b, loc, first, position[0]));
    at[axis] = arith::AddIOp::create(b, loc, start, position[axis]);
    if (isCircular) {
      Value around = arith::SubIOp::create(b, loc, at[axis], capacity);
      Value isBehind = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                             at[axis], capacity);
      at[axis] = arith::SelectOp::create(b, loc, isBehind, around, at[axis]);
    }
    return at;
  };
  ctx.setOutput(0, scatter(ctx.b, past, *refined, "none", place));
  return success();
}

ArrayRef<HandlerRow> pquant::getAttentionHandlers() {
  static const HandlerRow rows[] = {
      {"", "Attention", 23, 3, 6, 4, importAttention,
       "no qk_matmul_output_mode 0 with softcap"},
      {"", "Attention", 24, 3, 7, 4, importAttention},
      {"", "RotaryEmbedding", 23, 3, 4, 1, importRotaryEmbedding},
      {"", "TensorScatter", 24, 2, 3, 1, importTensorScatter},
  };
  return rows;
}
