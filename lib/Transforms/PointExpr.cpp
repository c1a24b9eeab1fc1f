//===- PointExpr.cpp - Tensor elements at affine points -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Looking through views and bodies, and what is known of sizes. Integers and
// conditions: PointExprIntegers.cpp.
//
// Where dimensions are merged and split again, as (b * H + h) floordiv H,
// affine simplification alone does not know that h < H; `divide` does.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/PointExpr.h"
#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace pquant;
using namespace mlir;

PointSpace::PointSpace(Value tensor) : context(tensor.getContext()) {
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  for (int64_t i = 0; i < rank; ++i)
    sizes.push_back(sizeOf(tensor, i));
}

AffineExpr PointSpace::dim(unsigned i) const {
  return getAffineDimExpr(i, context);
}

unsigned PointSpace::addDim(AffineExpr size) {
  sizes.push_back(size);
  return sizes.size() - 1;
}

AffineExpr PointSpace::simplify(AffineExpr expr) const {
  return simplifyAffineExpr(expr, sizes.size() + numExtraDims, symbols.size());
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

AffineExpr PointSpace::symbolOf(Value value, int64_t dim) {
  std::pair<Value, int64_t> symbol(value, dim);
  auto *known = llvm::find(symbols, symbol);
  unsigned position = known - symbols.begin();
  if (known == symbols.end())
    symbols.push_back(symbol);
  return getAffineSymbolExpr(position, context);
}

AffineExpr PointSpace::sizeOfResult(OpFoldResult size) {
  if (std::optional<int64_t> number = getConstantIntValue(size))
    return getAffineConstantExpr(*number, context);
  Value value = cast<Value>(size);
  if (std::optional<AffineExpr> expr = asIndex({value, {}}))
    return *expr;
  return symbolOf(value, -1);
}

AffineExpr PointSpace::sizeOf(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return getAffineConstantExpr(type.getDimSize(dim), context);
  Operation *op = tensor.getDefiningOp();
  if (auto cast = dyn_cast_or_null<tensor::CastOp>(op))
    return sizeOf(cast.getSource(), dim);
  if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op))
    return sizeOfResult(expand.getMixedOutputShape()[dim]);
  if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op)) {
    ReassociationIndices group = collapse.getReassociationIndices()[dim];
    if (group.size() == 1)
      return sizeOf(collapse.getSrc(), group.front());
  }
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [i, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped[i] && dim-- == 0)
        return sizeOfResult(size);
  }
  if (auto empty = dyn_cast_or_null<tensor::EmptyOp>(op))
    return sizeOfResult(empty.getMixedSizes()[dim]);
  if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(op)) {
    if (static_cast<int64_t>(concat.getDim()) != dim)
      return sizeOf(concat.getInputs().front(), dim);
    AffineExpr sum = getAffineConstantExpr(0, context);
    for (Value input : concat.getInputs())
      sum = sum + sizeOf(input, dim);
    return simplify(sum);
  }
  if (auto structured = dyn_cast_or_null<DestinationStyleOpInterface>(op))
    return sizeOf(structured.getTiedOpOperand(cast<OpResult>(tensor))->get(),
                  dim);
  // The first result of a pquant op has the rows of its first operand.
  if (op && isa_and_nonnull<PQuantDialect>(op->getDialect()) &&
      op->getNumOperands() && op->getResult(0) == tensor) {
    auto rows = dyn_cast<RankedTensorType>(op->getOperand(0).getType());
    if (rows && dim + 1 < rows.getRank())
      return sizeOf(op->getOperand(0), dim);
  }
  return symbolOf(tensor, dim);
}

bool PointSpace::isNonNegative(AffineExpr expr) const {
  // A coordinate that counts against the sum is at most its size - 1, one that
  // counts for it at least 0.
  for (auto [i, size] : llvm::enumerate(sizes)) {
    AffineExpr last = simplify(expr.replace(dim(i), size - 1));
    AffineExpr slope = simplify(expr.replace(dim(i), dim(i) + 1) - expr);
    auto step = dyn_cast<AffineConstantExpr>(slope);
    if (!step)
      return false;
    expr =
        step.getValue() < 0
            ? last
            : simplify(expr.replace(dim(i), getAffineConstantExpr(0, context)));
  }
  // What is left is linear in sizes, which are at least 1 if they are those of
  // the space, and 0 otherwise.
  AffineExpr least = expr;
  for (unsigned i = 0; i < symbols.size(); ++i) {
    AffineExpr symbol = getAffineSymbolExpr(i, context);
    AffineExpr slope = simplify(expr.replace(symbol, symbol + 1) - expr);
    auto step = dyn_cast<AffineConstantExpr>(slope);
    if (!step || step.getValue() < 0)
      return false;
    bool isOfSpace = llvm::is_contained(sizes, symbol);
    least = least.replace(symbol, getAffineConstantExpr(isOfSpace, context));
  }
  auto number = dyn_cast<AffineConstantExpr>(simplify(least));
  return number && number.getValue() >= 0;
}

/// The number of values that a coordinate or a part of one takes.
std::optional<int64_t> PointSpace::getStaticSize(AffineExpr atom) const {
  if (auto coordinate = dyn_cast<AffineDimExpr>(atom)) {
    if (coordinate.getPosition() >= sizes.size())
      return std::nullopt;
    auto size = dyn_cast<AffineConstantExpr>(sizes[coordinate.getPosition()]);
    return size ? std::optional(size.getValue()) : std::nullopt;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(atom);
  auto right = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS()) : nullptr;
  if (!right || right.getValue() <= 0)
    return std::nullopt;
  if (binary.getKind() == AffineExprKind::Mod)
    return right.getValue();
  std::optional<int64_t> inner = getStaticSize(binary.getLHS());
  if (binary.getKind() != AffineExprKind::FloorDiv || !inner)
    return std::nullopt;
  return llvm::divideCeil(*inner, right.getValue());
}

/// The terms of a sum.
static void collectTerms(AffineExpr expr, SmallVectorImpl<AffineExpr> &terms) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary || binary.getKind() != AffineExprKind::Add) {
    terms.push_back(expr);
    return;
  }
  collectTerms(binary.getLHS(), terms);
  collectTerms(binary.getRHS(), terms);
}

/// Quotient and remainder by a positive number: terms that are multiples of it
/// go to the quotient when the others never reach it.
std::optional<std::pair<AffineExpr, AffineExpr>>
PointSpace::divide(AffineExpr expr, int64_t divisor) const {
  SmallVector<AffineExpr> terms;
  collectTerms(simplify(expr), terms);
  AffineExpr quotient = getAffineConstantExpr(0, context), rest = quotient;
  int64_t largest = 0;
  bool isBounded = true;
  for (AffineExpr term : terms) {
    if (term.isMultipleOf(divisor)) {
      quotient = quotient + term.floorDiv(divisor);
      continue;
    }
    rest = rest + term;
    auto binary = dyn_cast<AffineBinaryOpExpr>(term);
    bool isProduct = binary && binary.getKind() == AffineExprKind::Mul;
    auto factor =
        dyn_cast<AffineConstantExpr>(isProduct ? binary.getRHS() : term);
    std::optional<int64_t> count =
        getStaticSize(isProduct ? binary.getLHS() : term);
    if (!isProduct && factor)
      largest += factor.getValue();
    else if (count && (!isProduct || (factor && factor.getValue() > 0)))
      largest += (isProduct ? factor.getValue() : 1) * (*count - 1);
    else
      isBounded = false;
  }
  if (isBounded && largest < divisor)
    return std::pair(simplify(quotient), simplify(rest));
  return std::pair(simplify(quotient + rest.floorDiv(divisor)),
                   simplify(rest % divisor));
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

std::optional<PointExpr> PointSpace::throughExpand(tensor::ExpandShapeOp op,
                                                   ArrayRef<AffineExpr> at) {
  PointExpr source{op.getSrc(), {}};
  ArrayRef<int64_t> shape = op.getResultType().getShape();
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    AffineExpr index = getAffineConstantExpr(0, context);
    bool isFirst = true;
    for (int64_t i : group) {
      if (shape[i] == 1)
        continue;
      if (!isFirst && ShapedType::isDynamic(shape[i]))
        return std::nullopt;
      index = isFirst ? at[i] : index * shape[i] + at[i];
      isFirst = false;
    }
    source.at.push_back(simplify(index));
  }
  return source;
}

std::optional<PointExpr> PointSpace::throughCollapse(tensor::CollapseShapeOp op,
                                                     ArrayRef<AffineExpr> at) {
  PointExpr source{op.getSrc(), {}};
  ArrayRef<int64_t> shape = op.getSrcType().getShape();
  source.at.assign(shape.size(), getAffineConstantExpr(0, context));
  for (auto [group, start] :
       llvm::zip_equal(op.getReassociationIndices(), at)) {
    SmallVector<int64_t> wide;
    for (int64_t i : group)
      if (shape[i] != 1)
        wide.push_back(i);
    AffineExpr index = start;
    while (wide.size() > 1) {
      int64_t last = wide.pop_back_val();
      if (ShapedType::isDynamic(shape[last]))
        return std::nullopt;
      auto parts = divide(index, shape[last]);
      if (!parts)
        return std::nullopt;
      index = parts->first;
      source.at[last] = parts->second;
    }
    if (!wide.empty())
      source.at[wide.front()] = index;
  }
  return source;
}

std::optional<PointExpr> PointSpace::throughSlice(tensor::ExtractSliceOp op,
                                                  ArrayRef<AffineExpr> at) {
  PointExpr source{op.getSource(), {}};
  llvm::SmallBitVector dropped = op.getDroppedDims();
  unsigned next = 0;
  for (auto [i, offset, stride] :
       llvm::enumerate(op.getMixedOffsets(), op.getMixedStrides())) {
    std::optional<int64_t> step = getConstantIntValue(stride);
    if (!step)
      return std::nullopt;
    AffineExpr index = sizeOfResult(offset);
    if (!dropped[i])
      index = index + at[next++] * *step;
    source.at.push_back(simplify(index));
  }
  return source;
}

/// The part that the index is in at every point, all parts before it being of
/// static size.
std::optional<PointExpr> PointSpace::throughConcat(tensor::ConcatOp op,
                                                   ArrayRef<AffineExpr> at) {
  AffineExpr rest = simplify(at[op.getDim()]);
  for (Value input : op.getInputs()) {
    int64_t size =
        cast<RankedTensorType>(input.getType()).getDimSize(op.getDim());
    if (ShapedType::isDynamic(size) || !isNonNegative(rest))
      return std::nullopt;
    if (isNonNegative(simplify(size - 1 - rest))) {
      PointExpr source{input, llvm::to_vector<4>(at)};
      source.at[op.getDim()] = rest;
      return source;
    }
    rest = simplify(rest - size);
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

/// The scalar that an elementwise op yields for an element.
std::optional<PointExpr> PointSpace::throughGeneric(linalg::GenericOp op,
                                                    const PointExpr &expr) {
  if (op.getNumLoops() != op.getNumParallelLoops())
    return std::nullopt;
  unsigned result = cast<OpResult>(expr.value).getResultNumber();
  AffineMap map = op.getIndexingMapMatchingResult(cast<OpResult>(expr.value));
  if (!map.isPermutation())
    return std::nullopt;
  PointExpr scalar{op.getBody()->getTerminator()->getOperand(result), {}};
  scalar.at.resize(op.getNumLoops());
  for (auto [target, index] : llvm::zip_equal(map.getResults(), expr.at))
    scalar.at[cast<AffineDimExpr>(target).getPosition()] = index;
  return scalar;
}

std::optional<PointExpr> PointSpace::throughArgument(BlockArgument arg,
                                                     ArrayRef<AffineExpr> at) {
  auto op = dyn_cast<linalg::GenericOp>(arg.getOwner()->getParentOp());
  if (!op || static_cast<int64_t>(arg.getArgNumber()) >= op.getNumDpsInputs())
    return std::nullopt;
  OpOperand &operand = op->getOpOperand(arg.getArgNumber());
  PointExpr source{operand.get(), {}};
  if (!isa<RankedTensorType>(operand.get().getType()))
    return source;
  for (AffineExpr index : op.getMatchingIndexingMap(&operand).getResults())
    source.at.push_back(simplify(index.replaceDimsAndSymbols(at, {})));
  return source;
}

std::optional<PointExpr> PointSpace::throughExtract(tensor::ExtractOp op,
                                                    ArrayRef<AffineExpr> at) {
  PointExpr source{op.getTensor(), {}};
  for (Value index : op.getIndices()) {
    std::optional<AffineExpr> expr = asIndex({index, llvm::to_vector<4>(at)});
    if (!expr)
      return std::nullopt;
    source.at.push_back(*expr);
  }
  return source;
}

std::optional<PointExpr> PointSpace::lookThrough(const PointExpr &expr) {
  if (auto arg = dyn_cast<BlockArgument>(expr.value))
    return isa<RankedTensorType>(arg.getType()) ? std::nullopt
                                                : throughArgument(arg, expr.at);
  Operation *op = expr.value.getDefiningOp();
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return PointExpr{cast.getSource(), expr.at};
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return throughExpand(expand, expr.at);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return throughCollapse(collapse, expr.at);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return throughSlice(slice, expr.at);
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return throughConcat(concat, expr.at);
  if (auto extract = dyn_cast<tensor::ExtractOp>(op))
    return throughExtract(extract, expr.at);
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return throughGeneric(generic, expr);
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return PointExpr{fill.getInputs().front(), {}};
  if (auto elements = dyn_cast<tensor::FromElementsOp>(op))
    return elements.getElements().size() == 1
               ? std::optional(PointExpr{elements.getElements().front(), {}})
               : std::nullopt;
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    PointExpr source{transpose.getInput(), {}};
    source.at.resize(expr.at.size());
    for (auto [index, dim] :
         llvm::zip_equal(expr.at, transpose.getPermutation()))
      source.at[dim] = index;
    return source;
  }
  return std::nullopt;
}

PointExpr PointSpace::normalized(PointExpr expr) {
  while (std::optional<PointExpr> next = lookThrough(expr))
    expr = std::move(*next);
  return expr;
}
