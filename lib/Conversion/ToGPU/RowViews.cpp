//===- RowViews.cpp - One row of ops on many ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows are followed through views to the memory that has them, so that two ops
// that see it by other shapes still have the same view of a row.
//
//===----------------------------------------------------------------------===//

#include "RowViews.h"

#include "BlockLaunch.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Dimensions through views
//===----------------------------------------------------------------------===//

/// Whether all dimensions but `dim` are of known size.
static bool isOnlyDynamic(MemRefType type, int64_t dim) {
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (i != dim && type.isDynamicDim(i))
      return false;
  return true;
}

/// Whether all dimensions of the group but `dim` are of size 1.
static bool isOnlyLong(MemRefType type, ArrayRef<int64_t> group, int64_t dim) {
  return llvm::all_of(
      group, [&](int64_t i) { return i == dim || type.getDimSize(i) == 1; });
}

/// The dimension of the source that is `dim` of a reshape; none where it is
/// made of several.
static std::optional<int64_t> throughReshape(Operation *op, int64_t dim) {
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(op)) {
    for (auto [i, group] : llvm::enumerate(expand.getReassociationIndices()))
      if (llvm::is_contained(group, dim) &&
          isOnlyLong(expand.getResultType(), group, dim))
        return int64_t(i);
    return std::nullopt;
  }
  auto collapse = cast<memref::CollapseShapeOp>(op);
  ReassociationIndices group = collapse.getReassociationIndices()[dim];
  for (int64_t i : group)
    if (isOnlyLong(collapse.getSrcType(), group, i))
      return i;
  return std::nullopt;
}

static bool isReshape(Operation *op) {
  return isa_and_nonnull<memref::ExpandShapeOp, memref::CollapseShapeOp>(op);
}

/// A subview whose row r is row r of its source, from an offset on.
static memref::SubViewOp getSubviewOfRows(Value memref, int64_t dim) {
  auto view = memref.getDefiningOp<memref::SubViewOp>();
  if (!view || view.getType().getRank() != view.getSourceType().getRank() ||
      view.getStaticStrides()[dim] != 1)
    return {};
  for (int64_t i = 0; i < view.getType().getRank(); ++i)
    if (i != dim && (ShapedType::isDynamic(view.getStaticOffsets()[i]) ||
                     ShapedType::isDynamic(view.getStaticStrides()[i])))
      return {};
  return view;
}

static std::optional<RowDim> findRows(Value memref, int64_t dim) {
  RowDim rows{memref, dim, {}};
  while (true) {
    if (!isOnlyDynamic(cast<MemRefType>(rows.base.getType()), rows.dim))
      return std::nullopt;
    Operation *op = rows.base.getDefiningOp();
    if (isReshape(op)) {
      std::optional<int64_t> source = throughReshape(op, rows.dim);
      if (!source)
        return std::nullopt;
      rows = {op->getOperand(0), *source, rows.offsets};
    } else if (memref::SubViewOp view = getSubviewOfRows(rows.base, rows.dim)) {
      OpFoldResult offset = view.getMixedOffsets()[rows.dim];
      if (!isConstantIntValue(offset, 0))
        rows.offsets.push_back(offset);
      rows.base = view.getSource();
    } else {
      return rows;
    }
  }
}

/// What stands for the size of a dimension: an index, or a memref and its
/// dimension.
static std::pair<Value, int64_t> findSize(Value memref, int64_t dim) {
  while (Operation *op = memref.getDefiningOp()) {
    Value size;
    if (isReshape(op)) {
      std::optional<int64_t> source = throughReshape(op, dim);
      if (!source)
        break;
      memref = op->getOperand(0);
      dim = *source;
      continue;
    }
    if (auto view = dyn_cast<memref::SubViewOp>(op)) {
      if (view.getType().getRank() == view.getSourceType().getRank())
        size = dyn_cast<Value>(view.getMixedSizes()[dim]);
    } else if (auto alloc = dyn_cast<gpu::AllocOp>(op)) {
      if (alloc.getType().isDynamicDim(dim))
        size = alloc.getDynamicSizes()[alloc.getType().getDynamicDimIndex(dim)];
    }
    if (!size)
      break;
    auto of = size.getDefiningOp<memref::DimOp>();
    if (!of || !of.getConstantIndex())
      return {size, -1};
    memref = of.getSource();
    dim = *of.getConstantIndex();
  }
  return {memref, dim};
}

void pquant::foldSizes(Operation *root) {
  root->walk([](memref::DimOp op) {
    std::optional<int64_t> dim = op.getConstantIndex();
    auto type = dyn_cast<MemRefType>(op.getSource().getType());
    if (!dim || !type || *dim < 0 || *dim >= type.getRank() ||
        !type.isDynamicDim(*dim))
      return;
    auto [size, of] = findSize(op.getSource(), *dim);
    if (of != -1)
      return;
    op.replaceAllUsesWith(size);
    op.erase();
  });
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

/// The dimension of a memref that the loop goes over, the one whose size is
/// open; -1 for none, no value where another index depends on the loop, or
/// another size is open.
static std::optional<int64_t> findRowDim(MemRefType type, AffineMap map,
                                         unsigned loop) {
  int64_t found = -1;
  for (auto [i, result] : llvm::enumerate(map.getResults())) {
    bool isLoop = result == getAffineDimExpr(loop, map.getContext());
    if (isLoop && found == -1 && type.isDynamicDim(i))
      found = int64_t(i);
    else if (result.isFunctionOfDim(loop) || type.isDynamicDim(i))
      return std::nullopt;
  }
  return found;
}

bool RowOp::addOperands() {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  SmallVector<Value> written = getWritten(op);
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type)
      continue;
    std::optional<int64_t> dim = 0;
    if (generic)
      dim = findRowDim(type, generic.getMatchingIndexingMap(&operand), *loop);
    if (!dim)
      return false;
    RowOperand entry{operand.get(), *dim, std::nullopt,
                     llvm::is_contained(written, operand.get())};
    if (*dim >= 0)
      entry.rows = findRows(operand.get(), *dim);
    if (entry.isWritten || *dim >= 0)
      if (!entry.rows)
        return false;
    operands.push_back(entry);
  }
  // What the body reads, at places of its own.
  SmallVector<Value> inside;
  for (Region &region : op->getRegions())
    region.walk([&](Operation *inner) {
      llvm::copy_if(
          inner->getOperands(), std::back_inserter(inside),
          [](Value value) { return isa<MemRefType>(value.getType()); });
    });
  for (Value memory : inside) {
    if (llvm::is_contained(op->getOperands(), memory))
      return false;
    operands.push_back({memory, -1, std::nullopt, false});
  }
  for (const RowOperand &a : operands)
    for (const RowOperand &b : operands)
      if (&a != &b && a.crosses(b))
        return false;
  return true;
}

std::optional<RowOp> RowOp::match(Operation *op) {
  RowOp result(op);
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    if (!generic.hasPureBufferSemantics())
      return std::nullopt;
    for (auto [i, size] : llvm::enumerate(generic.getStaticLoopRanges())) {
      if (!ShapedType::isDynamic(size))
        continue;
      if (result.loop ||
          generic.getIteratorTypesArray()[i] != utils::IteratorType::parallel)
        return std::nullopt;
      result.loop = i;
    }
  } else if (auto quantize = dyn_cast<pqk::QuantizeOp>(op)) {
    if (cast<MemRefType>(quantize.getInput().getType()).isDynamicDim(0))
      result.loop = 0;
  }
  if (!result.loop)
    return std::nullopt;
  std::optional<int64_t> accepted = BlockLaunch::accepts(op, result.loop);
  if (!accepted || !result.addOperands())
    return std::nullopt;
  result.points = *accepted;
  return result;
}

bool RowOperand::crosses(const RowOperand &other) const {
  if (!isWritten && !other.isWritten)
    return false;
  if (!mayAlias(getMemoryRoot(memref), getMemoryRoot(other.memref)))
    return false;
  return !rows || !other.rows || !(*rows == *other.rows);
}

bool RowOp::canFollow(const RowOp &other) const {
  return llvm::none_of(operands, [&](const RowOperand &a) {
    return llvm::any_of(other.operands,
                        [&](const RowOperand &b) { return a.crosses(b); });
  });
}

bool RowOp::hasRowsOf(const RowOp &other) const {
  for (const RowOperand &a : operands)
    for (const RowOperand &b : other.operands)
      if (a.rows && b.rows &&
          findSize(a.memref, a.dim) == findSize(b.memref, b.dim))
        return true;
  return false;
}

Value RowOp::createCount(OpBuilder &builder) const {
  std::pair<Value, int64_t> size;
  for (const RowOperand &operand : operands)
    if (operand.rows && (!size.first || size.second != -1))
      size = findSize(operand.memref, operand.dim);
  auto [value, dim] = size;
  if (dim == -1)
    return value;
  return memref::DimOp::create(builder, op->getLoc(), value, dim);
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

/// Row `row` of a memref, as a memref with one.
static Value createRow(KernelBuilder &b, Value memref, int64_t dim, Value row,
                       RowOp::Views &views) {
  if (Value known = views.lookup({memref, dim, row}))
    return known;
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> sizes(type.getShape());
  sizes[dim] = 1;
  Operation *op = memref.getDefiningOp();
  Value result;
  if (isReshape(op)) {
    Value source =
        createRow(b, op->getOperand(0), *throughReshape(op, dim), row, views);
    if (auto expand = dyn_cast<memref::ExpandShapeOp>(op))
      result = memref::ExpandShapeOp::create(b, b.getLoc(), sizes, source,
                                             expand.getReassociationIndices());
    else
      result = memref::CollapseShapeOp::create(
          b, b.getLoc(), source,
          cast<memref::CollapseShapeOp>(op).getReassociationIndices());
  } else {
    memref::SubViewOp view = getSubviewOfRows(memref, dim);
    SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
    Value source = memref;
    if (view) {
      offsets = view.getMixedOffsets();
      strides = view.getMixedStrides();
      Value first =
          getValueOrCreateConstantIndexOp(b, b.getLoc(), offsets[dim]);
      source = createRow(
          b, view.getSource(), dim,
          isConstantIntValue(offsets[dim], 0) ? row : b.add(row, first), views);
      offsets[dim] = b.getIndexAttr(0);
    } else {
      offsets[dim] = row;
    }
    result = memref::SubViewOp::create(
        b, b.getLoc(), source, offsets,
        getAsIndexOpFoldResult(b.getContext(), sizes), strides);
  }
  views[{memref, dim, row}] = result;
  return result;
}

Operation *RowOp::cloneRow(KernelBuilder &b, Value row, Views &views) const {
  IRMapping mapping;
  for (const RowOperand &operand : operands)
    if (operand.rows)
      mapping.map(operand.memref,
                  createRow(b, operand.memref, operand.dim, row, views));
  Operation *copy = b.clone(*op, mapping);
  if (!isa<linalg::GenericOp>(op))
    return copy;
  copy->walk([&](linalg::IndexOp index) {
    if (index.getDim() == *loop)
      index.replaceAllUsesWith(row);
  });
  return copy;
}
