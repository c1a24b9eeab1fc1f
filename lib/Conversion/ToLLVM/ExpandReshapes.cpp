//===- ExpandReshapes.cpp - memref.expand_shape to its address arithmetic -===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's expand-strided-metadata reads one dynamic size of a group only and
// crashes on groups with several ([b * s, d] -> [b, s, d]). The op states all
// result sizes, so its strides follow from them.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace pquant {
#define GEN_PASS_DEF_EXPANDRESHAPESPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// The strides of the result: within a group, the innermost dimension has the
/// source's stride and every other one the product of what is inside of it.
static void expand(memref::ExpandShapeOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  auto [typeStrides, typeOffset] = op.getResultType().getStridesAndOffset();
  auto source =
      memref::ExtractStridedMetadataOp::create(builder, loc, op.getSrc());
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  // A source of rank 0 has no groups: all sizes of the result are 1.
  SmallVector<OpFoldResult> strides(sizes.size(), builder.getIndexAttr(1));
  for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
    Value stride = source.getStrides()[dim];
    for (int64_t i : llvm::reverse(group)) {
      bool isStatic = !ShapedType::isDynamic(typeStrides[i]);
      strides[i] = isStatic ? OpFoldResult(builder.getIndexAttr(typeStrides[i]))
                            : OpFoldResult(stride);
      Value size = getValueOrCreateConstantIndexOp(builder, loc, sizes[i]);
      stride = arith::MulIOp::create(builder, loc, stride, size);
    }
  }
  OpFoldResult offset = ShapedType::isDynamic(typeOffset)
                            ? OpFoldResult(source.getOffset())
                            : OpFoldResult(builder.getIndexAttr(typeOffset));
  Value result = memref::ReinterpretCastOp::create(
      builder, loc, op.getResultType(), source.getBaseBuffer(), offset, sizes,
      strides);
  op.replaceAllUsesWith(result);
  op.erase();
}

namespace {
struct ExpandReshapesPass
    : pquant::impl::ExpandReshapesPassBase<ExpandReshapesPass> {
  void runOnOperation() override { getOperation()->walk(expand); }
};
} // namespace
