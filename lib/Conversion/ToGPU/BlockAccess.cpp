//===- BlockAccess.cpp - What a thread touches of memory ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BlockAccess.h"

#include "AliasClasses.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace pquant;

Value pquant::getMemoryRoot(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    Value source = getViewSource(op);
    if (!source)
      break;
    memref = source;
  }
  return memref;
}

static bool isFunctionArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && argument.getOwner()->isEntryBlock() &&
         isa<FunctionOpInterface>(argument.getOwner()->getParentOp());
}

bool pquant::mayAlias(Value a, Value b) {
  auto isOwn = [](Value value) {
    return value.getDefiningOp<gpu::AllocOp>() || isFunctionArgument(value);
  };
  return a == b || !isOwn(a) || !isOwn(b);
}

/// Whether the elements are side by side in row-major order.
static bool isContiguous(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  int64_t expected = 1;
  for (auto [size, stride] :
       llvm::reverse(llvm::zip_equal(type.getShape(), strides))) {
    if (size != 1 && stride != expected)
      return false;
    expected *= size;
  }
  return true;
}

/// Without dimensions of one element.
static SmallVector<int64_t> dropUnits(ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> kept;
  for (int64_t size : sizes)
    if (size != 1)
      kept.push_back(size);
  return kept;
}

/// Whether point i of the loops is element i of the memref.
static bool isRowMajor(MemRefType type, AffineMap map,
                       ArrayRef<int64_t> sizes) {
  if (!isContiguous(type) || dropUnits(type.getShape()) != dropUnits(sizes))
    return false;
  int64_t last = -1;
  for (auto [size, result] :
       llvm::zip_equal(type.getShape(), map.getResults())) {
    if (size == 1)
      continue;
    auto dim = dyn_cast<AffineDimExpr>(result);
    if (!dim || int64_t(dim.getPosition()) <= last)
      return false;
    last = dim.getPosition();
  }
  return true;
}

BlockAccess::BlockAccess(Value memref, AffineMap map, ArrayRef<int64_t> sizes)
    : memory(memref), map(map), sizes(sizes), root(getMemoryRoot(memref)) {
  auto type = cast<MemRefType>(memref.getType());
  uniform = type.hasStaticShape() && type.getNumElements() == 1;
  if (!uniform && !isRowMajor(type, map, sizes))
    return;
  while (isa_and_nonnull<memref::CollapseShapeOp, memref::ExpandShapeOp>(
      memory.getDefiningOp()))
    memory = memory.getDefiningOp()->getOperand(0);
  this->map = AffineMap();
  this->sizes = {type.getNumElements()};
}

BlockAccess BlockAccess::anywhere(Value memref) {
  BlockAccess access;
  access.memory = Value();
  access.root = getMemoryRoot(memref);
  return access;
}

bool BlockAccess::isSame(const BlockAccess &other) const {
  return memory && memory == other.memory && map == other.map &&
         sizes == other.sizes;
}

/// Whether two views of one memref have no element in common.
static bool areDisjoint(memref::SubViewOp a, memref::SubViewOp b) {
  if (a.getSource() != b.getSource())
    return false;
  for (int64_t i = 0, rank = a.getSourceType().getRank(); i < rank; ++i) {
    int64_t beginA = a.getStaticOffsets()[i], sizeA = a.getStaticSizes()[i];
    int64_t beginB = b.getStaticOffsets()[i], sizeB = b.getStaticSizes()[i];
    bool known = a.getStaticStrides()[i] == 1 && b.getStaticStrides()[i] == 1;
    for (int64_t value : {beginA, sizeA, beginB, sizeB})
      known &= !ShapedType::isDynamic(value);
    if (known && (beginA + sizeA <= beginB || beginB + sizeB <= beginA))
      return true;
  }
  return false;
}

static SmallVector<memref::SubViewOp> getSubviews(Value memref) {
  SmallVector<memref::SubViewOp> views;
  while (memref && memref.getDefiningOp()) {
    if (auto view = memref.getDefiningOp<memref::SubViewOp>())
      views.push_back(view);
    memref = getViewSource(memref.getDefiningOp());
  }
  return views;
}

bool BlockAccess::mayTouch(const BlockAccess &other) const {
  if (!mayAlias(root, other.root))
    return false;
  for (memref::SubViewOp a : getSubviews(memory))
    for (memref::SubViewOp b : getSubviews(other.memory))
      if (areDisjoint(a, b))
        return false;
  return true;
}

/// Whether the memory of a root begins at a multiple of 16 bytes.
static bool isAligned(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    APInt shift;
    if (auto view = dyn_cast<memref::ViewOp>(op);
        view && (!matchPattern(view.getByteShift(), m_ConstantInt(&shift)) ||
                 shift.urem(16)))
      return false;
    Value source = getViewSource(op);
    if (!source)
      return isa<gpu::AllocOp>(op);
    memref = source;
  }
  return isFunctionArgument(memref);
}

/// Whether a reshape makes no stride of its own from an open size: such a size
/// comes first in its group.
static bool keepsStrides(memref::ExpandShapeOp op) {
  MemRefType type = op.getResultType();
  for (ArrayRef<int64_t> group : op.getReassociationIndices()) {
    bool isFirst = true;
    for (int64_t dim : group) {
      if (type.isDynamicDim(dim) && !isFirst)
        return false;
      isFirst &= type.getDimSize(dim) == 1;
    }
  }
  return true;
}

/// Whether strides of a memref that depend on open sizes are multiples of
/// `lanes`: they are multiples of what stands behind these sizes.
static bool areOpenStridesMultiple(Value memref, int64_t lanes) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.getLayout().isIdentity()) {
    int64_t inner = 1;
    for (int64_t size : llvm::reverse(type.getShape())) {
      if (ShapedType::isDynamic(size))
        return inner % lanes == 0;
      inner *= size;
    }
    return false;
  }
  Operation *op = memref.getDefiningOp();
  if (auto view = dyn_cast_or_null<memref::SubViewOp>(op)) {
    if (llvm::any_of(view.getStaticStrides(),
                     [](int64_t stride) { return stride != 1; }))
      return false;
  } else if (auto expand = dyn_cast_or_null<memref::ExpandShapeOp>(op)) {
    if (!keepsStrides(expand))
      return false;
  } else if (!isa_and_nonnull<memref::CollapseShapeOp, memref::CastOp>(op)) {
    return false;
  }
  return areOpenStridesMultiple(op->getOperand(0), lanes);
}

/// Whether the offset of a view is a multiple of `lanes`, whatever its parts
/// are.
static bool isOffsetMultiple(Value memref, int64_t lanes) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  if (!ShapedType::isDynamic(offset))
    return offset % lanes == 0;
  Operation *op = memref.getDefiningOp();
  auto view = dyn_cast_or_null<memref::SubViewOp>(op);
  if (isa_and_nonnull<memref::CollapseShapeOp, memref::ExpandShapeOp,
                      memref::CastOp>(op))
    return isOffsetMultiple(op->getOperand(0), lanes);
  if (!view)
    return false;
  strides.clear();
  if (failed(view.getSourceType().getStridesAndOffset(strides, offset)))
    return false;
  for (auto [index, stride] :
       llvm::zip_equal(view.getStaticOffsets(), strides)) {
    bool isMultiple = ShapedType::isDynamic(stride)
                          ? areOpenStridesMultiple(view.getSource(), lanes)
                          : stride % lanes == 0;
    if (!isMultiple && index != 0 &&
        (ShapedType::isDynamic(index) || ShapedType::isDynamic(stride) ||
         index * stride % lanes))
      return false;
  }
  return isOffsetMultiple(view.getSource(), lanes);
}

bool pquant::isVectorAccess(Value memref, AffineMap map,
                            ArrayRef<int64_t> sizes, int64_t lanes) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset, inner = int64_t(sizes.size()) - 1;
  while (inner >= 0 && sizes[inner] == 1)
    --inner;
  if (inner < 0 || sizes[inner] % lanes ||
      failed(type.getStridesAndOffset(strides, offset)) || type.getRank() == 0)
    return false;
  auto isMultiple = [&](int64_t stride) {
    return ShapedType::isDynamic(stride) ? areOpenStridesMultiple(memref, lanes)
                                         : stride % lanes == 0;
  };
  if (!isOffsetMultiple(memref, lanes))
    return false;
  int64_t last = type.getRank() - 1;
  while (last > 0 && type.getDimSize(last) == 1)
    --last;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    AffineExpr result = map.getResult(i);
    bool isLast = i == last;
    if (isLast ? result != getAffineDimExpr(inner, map.getContext()) ||
                     strides[i] != 1
               : result.isFunctionOfDim(inner) ||
                     (type.getDimSize(i) != 1 && !isMultiple(strides[i])))
      return false;
  }
  // vector.load takes them along the last dimension.
  return last == type.getRank() - 1 && isAligned(memref);
}
