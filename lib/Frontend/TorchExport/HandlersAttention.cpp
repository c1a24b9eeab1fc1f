//===- HandlersAttention.cpp - Scaled dot product attention ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// softmax(scale Q K^T + mask) V as PyTorch's reference computes it, whichever
// kernel the file names.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

static Value multiply(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }

/// Each head of [.., G, S, D] `count` times, one after the other.
static FailureOr<Tensor> repeatHeads(NodeContext &ctx, Tensor heads,
                                     const SizeExpr &count) {
  SizeList sizes = heads->sizes;
  size_t at = sizes.size() - 2;
  sizes.insert(sizes.begin() + at, SizeExpr(1));
  FailureOr<Tensor> split = ctx.b.reshape(heads, sizes);
  if (failed(split))
    return failure();
  sizes[at] = count;
  FailureOr<Tensor> repeated = ctx.b.expand(*split, sizes);
  if (failed(repeated))
    return failure();
  SizeList joined = heads->sizes;
  joined[at - 1] = joined[at - 1] * count;
  return ctx.b.reshape(*repeated, joined);
}

/// Scores with -inf where the mask is false.
static FailureOr<Tensor> hideScores(NodeContext &ctx, Tensor scores,
                                    Tensor mask) {
  Tensor hidden = ctx.b.makeScalar(scores->element,
                                   -std::numeric_limits<double>::infinity());
  return ctx.b.elementwise(scores->element, {mask, scores, hidden},
                           [](OpBuilder &b, Location loc, ValueRange args) {
                             return arith::SelectOp::create(b, loc, args[0],
                                                            args[1], args[2])
                                 .getResult();
                           });
}

/// mask[i, j] = j <= i
static Tensor makeCausalMask(NodeContext &ctx, const SizeExpr &rows,
                             const SizeExpr &columns) {
  return ctx.b.parallel({ctx.b.getBuilder().getI1Type()}, {rows, columns}, {},
                        {}, [](OpBuilder &b, Location loc, ValueRange) {
                          Value row = linalg::IndexOp::create(b, loc, 0);
                          Value column = linalg::IndexOp::create(b, loc, 1);
                          return arith::CmpIOp::create(
                                     b, loc, arith::CmpIPredicate::sle, column,
                                     row)
                              .getResult();
                        });
}

/// A row that attends to nothing gives zeros, not NaN.
static Tensor dropNaN(NodeContext &ctx, Tensor weights) {
  return mapElements(ctx.b, weights, [](ScalarOps &o, Value x) {
    Value isNaN =
        arith::CmpFOp::create(o.b, o.loc, arith::CmpFPredicate::UNO, x, x);
    return o.select(isNaN, o.constant(0), x);
  });
}

static FailureOr<Tensor> maskScores(NodeContext &ctx, Tensor scores) {
  FailureOr<Tensor> result = scores;
  if (ctx.getBool("is_causal", false)) {
    size_t rank = scores->sizes.size();
    result = hideScores(
        ctx, scores,
        makeCausalMask(ctx, scores->sizes[rank - 2], scores->sizes[rank - 1]));
  }
  StringRef name = ctx.has("attn_bias") ? "attn_bias" : "attn_mask";
  Tensor mask = ctx.getOptionalTensor(name);
  if (failed(result) || !mask)
    return result;
  if (mask->element.isBool())
    return hideScores(ctx, *result, mask);
  return mapElements(
      ctx.b, *result, ctx.b.castElements(mask, scores->element),
      [](ScalarOps &o, Value x, Value y) { return o.add(x, y); });
}

static FailureOr<Tensor> computeScores(NodeContext &ctx, Tensor query,
                                       Tensor key) {
  int64_t rank = key->getRank();
  auto permutation = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  FailureOr<Tensor> product =
      multiplyMatrices(ctx.b, query, ctx.b.transpose(key, permutation));
  std::optional<int64_t> width = query->sizes.back().getConstant();
  if (failed(product))
    return failure();
  if (!ctx.has("scale") && !width)
    return ctx.error() << "expected heads of constant size, or a scale";
  double scale =
      ctx.getDouble("scale", 1 / std::sqrt(double(width.value_or(1))));
  return mapElements(ctx.b, *product, ctx.b.makeScalar(query->element, scale),
                     multiply);
}

static LogicalResult importAttention(NodeContext &ctx) {
  Tensor query = ctx.getTensor("query"), key = ctx.getTensor("key");
  FailureOr<Tensor> value = ctx.getTensor("value"), keys = key;
  if (ctx.getDouble("dropout_p", 0) != 0)
    return ctx.error() << "dropout is not supported; export the module after "
                          "eval()";
  for (Tensor tensor : {query, key, *value})
    if (failed(ctx.requireFloat(tensor)) ||
        failed(ctx.requireRank(tensor, 2, INT64_MAX)))
      return failure();
  if (key->element != query->element || (*value)->element != query->element)
    return ctx.error() << "expected query, key and value of one element type";
  if (ctx.getBool("enable_gqa", false) && query->getRank() > 2 &&
      key->getRank() == query->getRank()) {
    size_t head = query->sizes.size() - 3;
    std::optional<SizeExpr> count =
        query->sizes[head].dividedExactlyBy(key->sizes[head]);
    if (!count)
      return ctx.error() << "expected a multiple of the key heads as query "
                            "heads";
    if (!count->isConstant(1)) {
      keys = repeatHeads(ctx, key, *count);
      value = repeatHeads(ctx, *value, *count);
    }
  }
  if (failed(keys) || failed(value))
    return failure();
  FailureOr<Tensor> scores = computeScores(ctx, query, *keys);
  if (failed(scores))
    return failure();
  FailureOr<Tensor> masked = maskScores(ctx, *scores);
  if (failed(masked))
    return failure();
  Tensor weights = softmax(ctx.b, *masked, (*masked)->getRank() - 1);
  if (ctx.has("attn_mask") || ctx.has("attn_bias"))
    weights = dropNaN(ctx, weights);
  return ctx.setResult(multiplyMatrices(ctx.b, weights, *value));
}

ArrayRef<HandlerRow> pt2::getAttentionHandlers() {
  static const HandlerRow rows[] = {
      {"aten._scaled_dot_product_efficient_attention.default",
       "query key value", importAttention, "first result only"},
      {"aten._scaled_dot_product_flash_attention.default", "query key value",
       importAttention, "first result only"},
      {"aten._scaled_dot_product_flash_attention_for_cpu.default",
       "query key value", importAttention, "first result only"},
      {"aten.scaled_dot_product_attention.default", "query key value",
       importAttention},
  };
  return rows;
}
