//===- AttentionToPQKernel.cpp - Attention to its kernel ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Conversion/KernelOperands.h"

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// S x T or B x 1 x S x T as the latter.
static Value expandMask(OpBuilder &builder, Location loc, Value mask) {
  if (!mask || typeOf(mask).getRank() == 4)
    return mask;
  SmallVector<int64_t> shape = {1, 1};
  llvm::append_range(shape, typeOf(mask).getShape());
  SmallVector<OpFoldResult> sizes = {builder.getIndexAttr(1),
                                     builder.getIndexAttr(1)};
  llvm::append_range(sizes, tensor::getMixedSizes(builder, loc, mask));
  SmallVector<ReassociationIndices> groups = {{0, 1, 2}, {3}};
  auto type = RankedTensorType::get(shape, typeOf(mask).getElementType());
  return tensor::ExpandShapeOp::create(builder, loc, type, mask, groups, sizes);
}

/// The kernel for the op's query, scale and result.
template <typename OpTy>
static Value buildKernel(OpBuilder &builder, OpTy op, Value key, Value value,
                         Value mask, UnitAttr causal) {
  Location loc = op.getLoc();
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(builder, loc, op.getQuery());
  sizes.back() = tensor::getMixedSize(builder, loc, op.getValue(), 3);
  Value output =
      tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  Value result = pqk::AttentionOp::create(
                     builder, loc, TypeRange{output.getType()}, op.getQuery(),
                     key, value, mask, output, op.getScaleAttr(), causal)
                     ->getResult(0);
  Type type = op.getResult().getType();
  if (result.getType() == type)
    return result;
  return tensor::CastOp::create(builder, loc, type, result);
}

Value pquant::buildAttention(OpBuilder &builder, AttentionOp op) {
  Value mask = expandMask(builder, op.getLoc(), op.getMask());
  return buildKernel(builder, op, op.getKey(), op.getValue(), mask,
                     op.getCausalAttr());
}

SmallVector<Value> pquant::buildCachedAttention(OpBuilder &builder,
                                                CachedAttentionOp op) {
  CachedAttentionOp::WrittenCaches caches = op.writeCaches(builder);
  Value result = buildKernel(builder, op, caches.keys, caches.values, Value(),
                             builder.getUnitAttr());
  return {result, caches.keyCache, caches.valueCache};
}
