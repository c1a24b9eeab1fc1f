//===- ConstantEvaluator.cpp - Values of constant subgraphs ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tensor is evaluated by an ElementProgram over its own index space. Operands
// that are elementwise in as many elements become part of the program; all
// others (smaller ones that broadcast, reductions, concatenations) are put in
// memory first and read by strides.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/ConstantEvaluator.h"
#include "ConstantReduction.h"
#include "ProgramBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/ScopeExit.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::ConstantEvaluator;

/// Results of at most this many elements are kept for the next call.
static constexpr int64_t smallElements = 64;
/// Constant chains are never this long; guards the native stack.
static constexpr unsigned maxDepth = 500;

static RankedTensorType getStaticType(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.hasStaticShape() ||
      !isFloatRegister(type.getElementType()))
    return {};
  return type;
}

/// Bytes of one element in a ConstantBuffer that is not `isBits`.
int64_t pquant::getElementBytes(Type type) {
  return type.isIndex() ? 8 : llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

ConstantBuffer pquant::allocateBuffer(RankedTensorType type) {
  int64_t bytes =
      type.getNumElements() * getElementBytes(type.getElementType());
  auto memory = std::make_shared<std::vector<char>>(bytes);
  return {type, *memory, false, false, memory};
}

/// Writes elements of a block to a buffer.
void pquant::storeBlock(const ConstantBlock &block, ConstantBuffer &buffer) {
  char *to = const_cast<char *>(buffer.bytes.data());
  int64_t bytes = getElementBytes(buffer.type.getElementType());
  if (block.floats) {
    std::memcpy(to + block.offset * sizeof(float), block.floats,
                block.size * sizeof(float));
    return;
  }
  bool isBool = buffer.type.getElementType().isInteger(1);
  for (int64_t i = 0; i < block.size; ++i) {
    int64_t value = block.integers[i];
    if (isBool)
      value &= 1;
    std::memcpy(to + (block.offset + i) * bytes, &value, bytes);
  }
}

//===----------------------------------------------------------------------===//
// What can be evaluated
//===----------------------------------------------------------------------===//

/// Whether all operand maps only pick, drop or zero loops.
static bool hasSimpleMaps(linalg::GenericOp op) {
  return llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) {
    return llvm::all_of(map.getResults(), [](AffineExpr result) {
      auto constant = dyn_cast<AffineConstantExpr>(result);
      return isa<AffineDimExpr>(result) ||
             (constant && constant.getValue() == 0);
    });
  });
}

/// Whether the scalars that a body takes from outside are constants.
static bool usesOnlyConstants(Region &region, ValueRange operands) {
  return llvm::all_of(operands, [&](Value operand) {
    return region.isAncestor(operand.getParentRegion()) ||
           operand.getDefiningOp<arith::ConstantOp>();
  });
}

bool ConstantEvaluator::canEvaluateScalar(Operation *op, Region &region) {
  if (auto extract = dyn_cast<tensor::ExtractOp>(op))
    return canEvaluate(extract.getTensor()) &&
           usesOnlyConstants(region, extract.getIndices());
  return usesOnlyConstants(region, op->getOperands()) &&
         (isa<arith::ConstantOp, linalg::IndexOp>(op) ||
          getCode(op).has_value());
}

bool ConstantEvaluator::canEvaluateOp(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto elements = dyn_cast<ElementsAttr>(constant.getValue());
    return elements && !getConstantBytes(elements).empty();
  }
  if (isa<tensor::EmptyOp>(op))
    return true;
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return slice.getSourceType().getRank() == slice.getType().getRank() &&
           llvm::none_of(slice.getStaticOffsets(), ShapedType::isDynamic) &&
           llvm::none_of(slice.getStaticStrides(), ShapedType::isDynamic) &&
           canEvaluate(slice.getSource());
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op))
    return slice.getSourceType().getRank() == slice.getType().getRank() &&
           llvm::none_of(slice.getStaticOffsets(), ShapedType::isDynamic) &&
           llvm::none_of(slice.getStaticStrides(), ShapedType::isDynamic) &&
           canEvaluate(slice.getSource()) && canEvaluate(slice.getDest());
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return canEvaluateScatter(loop);
  if (isa<tensor::FromElementsOp, linalg::FillOp>(op)) {
    ValueRange scalars = op->getOperands();
    if (isa<linalg::FillOp>(op))
      scalars = scalars.take_front();
    return llvm::all_of(scalars, [](Value scalar) {
      auto constant = scalar.getDefiningOp<arith::ConstantOp>();
      return constant && isFloatRegister(scalar.getType());
    });
  }
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp,
          tensor::ConcatOp, linalg::TransposeOp>(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) {
      return isa<IndexType>(operand.getType()) || canEvaluate(operand);
    });
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !hasSimpleMaps(generic))
    return false;
  if (!isElementwise(generic) &&
      (generic.getNumResults() != 1 ||
       !generic.getIndexingMapsArray().back().isProjectedPermutation() ||
       (generic.getNumReductionLoops() && !getCombiner(generic)) ||
       !generic.getNumReductionLoops()))
    return false;
  bool bodyIsSupported = llvm::all_of(
      generic.getBody()->without_terminator(), [&](Operation &inner) {
        return canEvaluateScalar(&inner, generic.getRegion());
      });
  return bodyIsSupported && llvm::all_of(op->getOperands(), [&](Value operand) {
           return canEvaluate(operand);
         });
}

bool ConstantEvaluator::canEvaluate(Value tensor) {
  if (auto it = evaluable.find(tensor); it != evaluable.end())
    return it->second;
  Operation *op = tensor.getDefiningOp();
  if (!op || !getStaticType(tensor) || depth == maxDepth)
    return false;
  ++depth;
  bool result = canEvaluateOp(op);
  --depth;
  evaluable[tensor] = result;
  return result;
}

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

LogicalResult
ConstantEvaluator::evaluate(Value tensor,
                            function_ref<void(const ConstantBlock &)> consume) {
  if (!canEvaluate(tensor))
    return failure();
  ProgramBuilder builder(*this,
                         cast<RankedTensorType>(tensor.getType()).getShape());
  // What the program reads stays in memory until it has run.
  ++calls;
  llvm::scope_exit leave([&] { leaveCall(); });
  FailureOr<unsigned> reg = builder.emit(TensorExpr::identity(tensor));
  if (failed(reg))
    return failure();
  builder.finish(*reg).run(consume);
  return success();
}

FailureOr<ConstantBuffer> ConstantEvaluator::computeStreamed(Value tensor) {
  ConstantBuffer buffer =
      allocateBuffer(cast<RankedTensorType>(tensor.getType()));
  if (failed(evaluate(tensor, [&](const ConstantBlock &block) {
        storeBlock(block, buffer);
      })))
    return failure();
  return buffer;
}

/// One element that stands for all of `type`.
static ConstantBuffer makeSplat(RankedTensorType type, Attribute number) {
  ConstantBuffer buffer =
      allocateBuffer(RankedTensorType::get({1}, type.getElementType()));
  buffer.isSplat = true;
  buffer.type = type;
  char *to = const_cast<char *>(buffer.bytes.data());
  if (auto floating = dyn_cast_or_null<FloatAttr>(number)) {
    float value = floating.getValue().convertToFloat();
    std::memcpy(to, &value, sizeof(float));
  } else if (auto integer = dyn_cast_or_null<IntegerAttr>(number)) {
    int64_t value = integer.getValue().getSExtValue();
    std::memcpy(to, &value, getElementBytes(type.getElementType()));
  }
  return buffer;
}

FailureOr<ConstantBuffer> ConstantEvaluator::compute(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Operation *op = tensor.getDefiningOp();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Attribute attr = constant.getValue();
    bool isSplat = isSplatConstant(attr);
    ArrayRef<char> bytes = getConstantBytes(attr);
    int64_t needed = isSplat ? 1 : getStoredBytes(type);
    if (static_cast<int64_t>(bytes.size()) < needed)
      return failure();
    return ConstantBuffer{type, bytes, isSplat,
                          type.getElementType().isInteger(1), nullptr};
  }
  if (isa<tensor::EmptyOp>(op))
    return makeSplat(type, {});
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return makeSplat(
        type,
        fill.getInputs()[0].getDefiningOp<arith::ConstantOp>().getValue());
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp>(op)) {
    FailureOr<ConstantBuffer> source = materialize(op->getOperand(0));
    if (succeeded(source))
      source->type = type;
    return source;
  }
  if (isa<tensor::ConcatOp, tensor::ExtractSliceOp, tensor::InsertSliceOp,
          tensor::FromElementsOp>(op))
    return computePieces(op);
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return computeScatter(loop);
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (generic && !isElementwise(generic))
    return computeReduction(generic);
  return computeStreamed(tensor);
}

FailureOr<ConstantBuffer> ConstantEvaluator::materialize(Value tensor) {
  if (!canEvaluate(tensor))
    return failure();
  if (auto it = buffers.find(tensor); it != buffers.end())
    return it->second;
  ++calls;
  FailureOr<ConstantBuffer> buffer = compute(tensor);
  if (succeeded(buffer) && buffer->owner)
    buffers[tensor] = *buffer;
  leaveCall();
  return buffer;
}

void ConstantEvaluator::leaveCall() {
  if (--calls)
    return;
  SmallVector<Value> large;
  for (auto &[value, buffer] : buffers)
    if (!buffer.isSplat && buffer.type.getNumElements() > smallElements)
      large.push_back(value);
  for (Value value : large)
    buffers.erase(value);
}

FailureOr<std::vector<float>> ConstantEvaluator::getFloats(Value tensor) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  if (!type || !type.getElementType().isF32() || !type.hasStaticShape())
    return failure();
  std::vector<float> values(type.getNumElements());
  if (failed(evaluate(tensor, [&](const ConstantBlock &block) {
        std::copy_n(block.floats, block.size, values.begin() + block.offset);
      })))
    return failure();
  return values;
}

FailureOr<ElementsAttr> ConstantEvaluator::getAttribute(Value tensor,
                                                        StringRef name) {
  if (!canEvaluate(tensor))
    return failure();
  auto type = cast<RankedTensorType>(tensor.getType());
  AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  MutableArrayRef<char> bytes = blob.getMutableData();
  bool isBool = type.getElementType().isInteger(1);
  ConstantBuffer buffer{type, bytes, false, isBool, nullptr};
  if (failed(evaluate(tensor, [&](const ConstantBlock &block) {
        if (!isBool)
          return storeBlock(block, buffer);
        for (int64_t i = 0; i < block.size; ++i)
          if (block.integers[i])
            setBit(bytes, block.offset + i);
      })))
    return failure();
  if (type.getNumElements() <= maxInlineElements)
    return makeConstantAttr(type, blob.getData(), name);
  return ElementsAttr(makeResourceAttr(type, std::move(blob), name));
}

void ConstantEvaluator::clear() {
  evaluable.clear();
  buffers.clear();
}
