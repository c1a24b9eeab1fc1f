//===- PQuantDecoderOps.cpp - Result types and verifiers of decoder units -===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// RMS norm, rotary embedding and attention: one check for each numbered
// constraint of an op's description, as in PQuantOps.cpp.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantChecks.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// RMSNormOp
//===----------------------------------------------------------------------===//

LogicalResult RMSNormOp::inferReturnTypes(MLIRContext *context,
                                          std::optional<Location> location,
                                          Adaptor adaptor, Types &types) {
  types.push_back(RankedTensorType::get(shapeOf(adaptor.getInput()),
                                        Float32Type::get(context)));
  return success();
}

LogicalResult RMSNormOp::verify() {
  // (C1)
  if (failed(verifyActivation(*this, "input", getInput())))
    return failure();
  // (C2)
  return verifyShape(*this, "weight", getWeight(),
                     {shapeOf(getInput()).back()});
}

//===----------------------------------------------------------------------===//
// RotaryEmbeddingOp
//===----------------------------------------------------------------------===//

LogicalResult
RotaryEmbeddingOp::inferReturnTypes(MLIRContext *context,
                                    std::optional<Location> location,
                                    Adaptor adaptor, Types &types) {
  types.push_back(RankedTensorType::get(shapeOf(adaptor.getInput()),
                                        Float32Type::get(context)));
  return success();
}

LogicalResult RotaryEmbeddingOp::verify() {
  // (C1)
  ArrayRef<int64_t> shape = shapeOf(getInput());
  if (shape.size() != 4 || ShapedType::isDynamic(shape[3]) || shape[3] < 2 ||
      shape[3] % 2 != 0)
    return emitOpError() << "expected input to have rank 4 and a static, even "
                            "last dimension, but got "
                         << toString(shape);
  // (C2)
  if (failed(verifyShape(*this, "cos", getCos(), {shape[2], shape[3] / 2})))
    return failure();
  return verifyShape(*this, "sin", getSin(), {shape[2], shape[3] / 2});
}

//===----------------------------------------------------------------------===//
// AttentionOp, CachedAttentionOp
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *context,
                                            std::optional<Location> location,
                                            Adaptor adaptor, Types &types) {
  // (C1)
  if (failed(
          inferRank<AttentionOp>(location, "query", adaptor.getQuery(), 4)) ||
      failed(inferRank<AttentionOp>(location, "value", adaptor.getValue(), 4)))
    return failure();
  types.push_back(appendDim(rowsOf(adaptor.getQuery()),
                            shapeOf(adaptor.getValue()).back(),
                            Float32Type::get(context)));
  return success();
}

/// Rank 4 and a static last dimension.
static LogicalResult verifyHeads(Operation *op, StringRef name, Value value) {
  ArrayRef<int64_t> shape = shapeOf(value);
  if (shape.size() == 4 && !ShapedType::isDynamic(shape[3]) && shape[3] >= 1)
    return success();
  return op->emitOpError() << "expected " << name
                           << " to have rank 4 and a static last dimension, "
                              "but got "
                           << toString(shape);
}

/// G is static and divides H.
static LogicalResult verifyGroupedHeads(Operation *op, Value query, Value key) {
  int64_t heads = shapeOf(query)[1], groups = shapeOf(key)[1];
  if (ShapedType::isDynamic(groups) || groups < 1)
    return op->emitOpError() << "expected key to have a static number of heads "
                                "of at least 1, but got "
                             << toString(shapeOf(key));
  if (ShapedType::isDynamic(heads) || heads % groups != 0)
    return op->emitOpError()
           << "expected the number of query heads to be a static multiple of "
           << groups << " key heads, but got "
           << (ShapedType::isDynamic(heads) ? "?" : std::to_string(heads));
  return success();
}

LogicalResult AttentionOp::verify() {
  // (C1)
  if (failed(verifyHeads(*this, "query", getQuery())) ||
      failed(verifyHeads(*this, "key", getKey())) ||
      failed(verifyHeads(*this, "value", getValue())))
    return failure();
  // (C2)
  if (failed(verifyGroupedHeads(*this, getQuery(), getKey())))
    return failure();
  // (C3)
  ArrayRef<int64_t> query = shapeOf(getQuery()), key = shapeOf(getKey());
  if (failed(verifyShape(*this, "key", getKey(),
                         {query[0], key[1], key[2], query[3]})) ||
      failed(
          verifyShape(*this, "value", getValue(),
                      {query[0], key[1], key[2], shapeOf(getValue()).back()})))
    return failure();
  // (C4)
  if (!getMask())
    return success();
  if (agree(shapeOf(getMask()), {query[2], key[2]}) ||
      agree(shapeOf(getMask()), {1, 1, query[2], key[2]}))
    return success();
  return verifyShape(*this, "mask", getMask(), {query[0], 1, query[2], key[2]});
}

LogicalResult
CachedAttentionOp::inferReturnTypes(MLIRContext *context,
                                    std::optional<Location> location,
                                    Adaptor adaptor, Types &types) {
  // (C1), (C3)
  if (failed(inferRank<CachedAttentionOp>(location, "query", adaptor.getQuery(),
                                          4)) ||
      failed(inferRank<CachedAttentionOp>(location, "value", adaptor.getValue(),
                                          4)))
    return failure();
  types.push_back(appendDim(rowsOf(adaptor.getQuery()),
                            shapeOf(adaptor.getValue()).back(),
                            Float32Type::get(context)));
  types.push_back(adaptor.getKeyCache().getType());
  types.push_back(adaptor.getValueCache().getType());
  return success();
}

LogicalResult CachedAttentionOp::verify() {
  // (C1)
  if (failed(verifyHeads(*this, "query", getQuery())) ||
      failed(verifyHeads(*this, "key", getKey())) ||
      failed(verifyHeads(*this, "value", getValue())) ||
      failed(verifyHeads(*this, "key_cache", getKeyCache())) ||
      failed(verifyHeads(*this, "value_cache", getValueCache())) ||
      failed(verifyShape(*this, "position", getPosition(), {})))
    return failure();
  // (C2)
  if (failed(verifyGroupedHeads(*this, getQuery(), getKey())))
    return failure();
  ArrayRef<int64_t> query = shapeOf(getQuery());
  int64_t batch = query[0], groups = shapeOf(getKey())[1];
  int64_t capacity = shapeOf(getKeyCache())[2];
  int64_t depth = query[3], width = shapeOf(getValue())[3];
  // (C4)
  Type element = cast<ShapedType>(getKeyCache().getType()).getElementType();
  if (element != cast<ShapedType>(getValueCache().getType()).getElementType())
    return emitOpError() << "expected both caches of one element type";
  int64_t step = element.isInteger(8) ? kStepColumns : 0;
  if (failed(verifyShape(*this, "key", getKey(),
                         {batch, groups, query[2], query[3]})) ||
      failed(verifyShape(*this, "value", getValue(),
                         {batch, groups, query[2], width})) ||
      failed(verifyShape(*this, "key_cache", getKeyCache(),
                         {batch, groups, capacity, depth + step})))
    return failure();
  return verifyShape(*this, "value_cache", getValueCache(),
                     {batch, groups, capacity, width + step});
}
