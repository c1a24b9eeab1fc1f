//===- TensorExpr.cpp - Tensor values seen element by element -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Looking through reshapes, transposes, broadcasts and bodies. Every step maps
// the dimensions of the value before it to those of the value behind it.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/TensorExpr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/Constants.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

bool pquant::isElementwise(linalg::GenericOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return op.getNumResults() > 0 &&
         op.getNumLoops() == op.getNumParallelLoops() &&
         llvm::all_of(ArrayRef(maps).take_back(op.getNumResults()),
                      [](AffineMap map) { return map.isIdentity(); });
}

TensorExpr TensorExpr::identity(Value tensor) {
  TensorExpr expr{tensor, {}};
  ArrayRef<int64_t> shape = cast<RankedTensorType>(tensor.getType()).getShape();
  for (auto [i, size] : llvm::enumerate(shape))
    expr.dims.push_back(size == 1 ? unitDim : static_cast<int64_t>(i));
  return expr;
}

/// Dimensions of size 1 follow nothing.
static void dropUnits(TensorExpr &expr) {
  auto type = dyn_cast<RankedTensorType>(expr.value.getType());
  if (!type || type.getRank() != static_cast<int64_t>(expr.dims.size()))
    return;
  for (auto [dim, size] : llvm::zip_equal(expr.dims, type.getShape()))
    if (size == 1)
      dim = TensorExpr::unitDim;
}

/// tensor<AxBx1> of tensor<AxB> and the like: each group of `expanded`
/// dimensions has at most one that is not 1.
static std::optional<TensorExpr> throughExpand(tensor::ExpandShapeOp op,
                                               ArrayRef<int64_t> dims) {
  TensorExpr source{op.getSrc(), {}};
  ArrayRef<int64_t> shape = op.getResultType().getShape();
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    int64_t dim = TensorExpr::unitDim;
    unsigned count = 0;
    for (int64_t i : group)
      if (shape[i] != 1) {
        dim = dims[i];
        ++count;
      }
    if (count > 1)
      return std::nullopt;
    source.dims.push_back(dim);
  }
  return source;
}

static std::optional<TensorExpr> throughCollapse(tensor::CollapseShapeOp op,
                                                 ArrayRef<int64_t> dims) {
  TensorExpr source{op.getSrc(), {}};
  ArrayRef<int64_t> shape = op.getSrcType().getShape();
  source.dims.assign(shape.size(), TensorExpr::unitDim);
  for (auto [group, dim] :
       llvm::zip_equal(op.getReassociationIndices(), dims)) {
    unsigned count = 0;
    for (int64_t i : group)
      if (shape[i] != 1) {
        source.dims[i] = dim;
        ++count;
      }
    if (count > 1)
      return std::nullopt;
  }
  return source;
}

std::optional<TensorExpr> pquant::getArgumentSource(BlockArgument arg,
                                                    ArrayRef<int64_t> loops) {
  auto op = dyn_cast<linalg::GenericOp>(arg.getOwner()->getParentOp());
  if (!op)
    return std::nullopt;
  OpOperand &operand = op->getOpOperand(arg.getArgNumber());
  TensorExpr source{operand.get(), {}};
  AffineMap map = op.getMatchingIndexingMap(&operand);
  for (auto [i, index] : llvm::enumerate(map.getResults())) {
    if (auto dim = dyn_cast<AffineDimExpr>(index))
      source.dims.push_back(loops[dim.getPosition()]);
    else if (cast<ShapedType>(operand.get().getType()).getDimSize(i) == 1)
      source.dims.push_back(TensorExpr::unitDim);
    else
      return std::nullopt;
  }
  return source;
}

/// The same for inputs only: patterns do not look at what results start from.
static std::optional<TensorExpr> throughArgument(BlockArgument arg,
                                                 ArrayRef<int64_t> loops) {
  auto op = dyn_cast<linalg::GenericOp>(arg.getOwner()->getParentOp());
  if (!op || arg.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  std::optional<TensorExpr> source = getArgumentSource(arg, loops);
  if (source)
    dropUnits(*source);
  return source;
}

std::optional<TensorExpr> TensorExpr::lookThrough() const {
  if (auto arg = dyn_cast<BlockArgument>(value))
    return throughArgument(arg, dims);
  Operation *op = value.getDefiningOp();
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return throughExpand(expand, dims);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return throughCollapse(collapse, dims);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return isa<RankedTensorType>(cast.getSource().getType())
               ? std::optional(TensorExpr{cast.getSource(), dims})
               : std::nullopt;
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    TensorExpr source{transpose.getInput(), dims};
    for (auto [i, axis] : llvm::enumerate(transpose.getPermutation()))
      source.dims[axis] = dims[i];
    return source;
  }
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    if (isElementwise(generic))
      return TensorExpr{generic.getBody()->getTerminator()->getOperand(
                            cast<OpResult>(value).getResultNumber()),
                        dims};
  return std::nullopt;
}

TensorExpr TensorExpr::normalized() const {
  TensorExpr expr = *this;
  dropUnits(expr);
  while (std::optional<TensorExpr> next = expr.lookThrough()) {
    expr = *next;
    dropUnits(expr);
  }
  return expr;
}

std::optional<TensorExpr> TensorExpr::asTensor() const {
  TensorExpr expr = *this;
  while (!isa<RankedTensorType>(expr.value.getType())) {
    auto arg = dyn_cast<BlockArgument>(expr.value);
    std::optional<TensorExpr> next =
        arg ? throughArgument(arg, expr.dims) : std::nullopt;
    if (!next)
      return std::nullopt;
    expr = *next;
  }
  return expr;
}

Value TensorExpr::asIdentityTensor(int64_t rank) const {
  std::optional<TensorExpr> expr = asTensor();
  if (!expr || static_cast<int64_t>(expr->dims.size()) != rank)
    return {};
  for (auto [i, dim] : llvm::enumerate(expr->dims))
    if (dim != static_cast<int64_t>(i) && dim != unitDim)
      return {};
  return expr->value;
}

bool TensorExpr::dependsOn(int64_t dim) const {
  if (!llvm::is_contained(dims, dim))
    return false;
  if (isa<RankedTensorType>(value.getType()))
    return true;
  if (auto arg = dyn_cast<BlockArgument>(value)) {
    std::optional<TensorExpr> source = throughArgument(arg, dims);
    return !source || source->dependsOn(dim);
  }
  // A scalar depends on what its operands in the body depend on.
  Operation *op = value.getDefiningOp();
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return dims[index.getDim()] == dim;
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    return TensorExpr{operand, dims}.dependsOn(dim);
  });
}

std::optional<float> TensorExpr::getFloatConstant() const {
  TensorExpr expr = normalized();
  auto constant = expr.value.getDefiningOp<arith::ConstantOp>();
  if (!constant)
    return std::nullopt;
  Attribute attr = constant.getValue();
  if (auto number = dyn_cast<FloatAttr>(attr))
    return number.getType().isF32()
               ? std::optional(number.getValue().convertToFloat())
               : std::nullopt;
  auto elements = dyn_cast<ElementsAttr>(attr);
  if (!elements || !elements.getElementType().isF32() ||
      (elements.getNumElements() != 1 && !isSplatConstant(attr)))
    return std::nullopt;
  ArrayRef<char> bytes = getConstantBytes(attr);
  if (bytes.size() < sizeof(float))
    return std::nullopt;
  float number;
  std::memcpy(&number, bytes.data(), sizeof(float));
  return number;
}

bool pquant::isSameExpr(const TensorExpr &a, const TensorExpr &b) {
  TensorExpr left = a.normalized(), right = b.normalized();
  if (left.value == right.value)
    return left.dims == right.dims;
  std::optional<float> number = left.getFloatConstant();
  if (number)
    return number == right.getFloatConstant();
  Operation *leftOp = left.value.getDefiningOp();
  Operation *rightOp = right.value.getDefiningOp();
  // Only scalar arithmetic is compared further: it is cheap and acyclic.
  if (!leftOp || !rightOp || leftOp->getName() != rightOp->getName() ||
      leftOp->getNumOperands() == 0 || leftOp->getNumRegions() ||
      isa<RankedTensorType>(left.value.getType()) ||
      leftOp->getNumOperands() != rightOp->getNumOperands() ||
      leftOp->getPropertiesAsAttribute() !=
          rightOp->getPropertiesAsAttribute() ||
      leftOp->getResultTypes() != rightOp->getResultTypes())
    return false;
  for (auto [x, y] :
       llvm::zip_equal(leftOp->getOperands(), rightOp->getOperands()))
    if (!isSameExpr({x, left.dims}, {y, right.dims}))
      return false;
  return true;
}

/// A reduction by `Combiner` that starts from a number which `isStart` accepts.
template <typename Combiner>
static std::optional<TensorExpr>
matchReduction(const TensorExpr &expr,
               llvm::function_ref<bool(double)> isStart) {
  TensorExpr root = expr.normalized();
  auto op = root.value.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op.getNumResults() != 1 ||
      op.getNumReductionLoops() == 0)
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  Block *body = op.getBody();
  auto step = body->getTerminator()->getOperand(0).getDefiningOp<Combiner>();
  if (!fill || !step || &body->front() != step.getOperation())
    return std::nullopt;
  Value in = body->getArgument(0), accumulator = body->getArgument(1);
  if (!(step.getLhs() == in && step.getRhs() == accumulator) &&
      !(step.getRhs() == in && step.getLhs() == accumulator))
    return std::nullopt;
  auto start = fill.getInputs()[0].getDefiningOp<arith::ConstantOp>();
  auto number = start ? dyn_cast<FloatAttr>(start.getValue()) : FloatAttr();
  if (!number || !isStart(number.getValueAsDouble()))
    return std::nullopt;
  SmallVector<int64_t, 4> loops(op.getNumLoops(), TensorExpr::reducedDim);
  AffineMap output = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  for (auto [i, result] : llvm::enumerate(output.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(result);
    if (!dim)
      return std::nullopt;
    loops[dim.getPosition()] = root.dims[i];
  }
  return throughArgument(cast<BlockArgument>(in), loops);
}

std::optional<TensorExpr> pquant::matchMaxReduction(const TensorExpr &expr) {
  // Of absolute values: any start up to 0 leaves the maximum as it is.
  return matchReduction<arith::MaximumFOp>(
      expr, [](double start) { return start <= 0; });
}

std::optional<TensorExpr> pquant::matchSumReduction(const TensorExpr &expr) {
  return matchReduction<arith::AddFOp>(expr,
                                       [](double start) { return start == 0; });
}
