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
#include "ElementProgram.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/Constants.h"
#include "llvm/ADT/ScopeExit.h"
#include <cstring>
#include <map>

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
static int64_t getElementBytes(Type type) {
  return type.isIndex() ? 8 : llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

static ConstantBuffer allocateBuffer(RankedTensorType type) {
  int64_t bytes =
      type.getNumElements() * getElementBytes(type.getElementType());
  auto memory = std::make_shared<std::vector<char>>(bytes);
  return {type, *memory, false, false, memory};
}

static char *getMutable(ConstantBuffer &buffer) {
  return const_cast<char *>(buffer.bytes.data());
}

/// Writes elements of a block to a buffer.
static void storeBlock(const ConstantBlock &block, ConstantBuffer &buffer) {
  char *to = getMutable(buffer);
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
// Programs
//===----------------------------------------------------------------------===//

namespace pquant {
/// Writes the program of one expression.
class ProgramBuilder {
public:
  ProgramBuilder(ConstantEvaluator &evaluator, ArrayRef<int64_t> space)
      : evaluator(evaluator) {
    program.space.assign(space.begin(), space.end());
    for (int64_t extent : space)
      elements *= extent;
  }

  FailureOr<unsigned> emit(const TensorExpr &expr);

  ElementProgram program;

private:
  FailureOr<unsigned> emitTensor(const TensorExpr &expr);
  FailureOr<unsigned> emitLoad(const TensorExpr &expr);
  FailureOr<unsigned> emitScalar(const TensorExpr &expr, Operation *op);
  FailureOr<unsigned> emitConstant(arith::ConstantOp op);
  unsigned add(Instruction instruction) {
    program.code.push_back(std::move(instruction));
    return program.code.size() - 1;
  }

  ConstantEvaluator &evaluator;
  int64_t elements = 1;
  unsigned depth = 0;
  std::map<std::pair<void *, SmallVector<int64_t, 4>>, unsigned> emitted;
};
} // namespace pquant

FailureOr<unsigned> ProgramBuilder::emitLoad(const TensorExpr &expr) {
  FailureOr<ConstantBuffer> buffer = evaluator.materialize(expr.value);
  if (failed(buffer))
    return failure();
  Instruction load(Code::Load, *isFloatRegister(buffer->type.getElementType()));
  load.buffer = *buffer;
  load.strides.assign(program.space.size(), 0);
  int64_t stride = 1;
  ArrayRef<int64_t> shape = buffer->type.getShape();
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    if (expr.dims[i] >= 0)
      load.strides[expr.dims[i]] += stride;
    else if (shape[i] != 1)
      return failure();
    stride *= shape[i];
  }
  return add(std::move(load));
}

FailureOr<unsigned> ProgramBuilder::emitTensor(const TensorExpr &expr) {
  RankedTensorType type = getStaticType(expr.value);
  Operation *op = expr.value.getDefiningOp();
  if (!type || !op)
    return failure();
  // What has fewer elements than the space is computed once, not per element.
  bool isInlined =
      type.getNumElements() == elements || !isa<linalg::GenericOp>(op);
  if (isInlined)
    if (std::optional<TensorExpr> next = expr.lookThrough())
      return emit(*next);
  return emitLoad(expr);
}

FailureOr<unsigned> ProgramBuilder::emitConstant(arith::ConstantOp op) {
  if (auto number = dyn_cast<FloatAttr>(op.getValue())) {
    Instruction instruction(Code::ConstantF, true);
    instruction.number = number.getValue().convertToFloat();
    return add(std::move(instruction));
  }
  auto number = dyn_cast<IntegerAttr>(op.getValue());
  if (!number)
    return failure();
  Instruction instruction(Code::ConstantI, false);
  instruction.integer = number.getValue().getSExtValue();
  return add(std::move(instruction));
}

FailureOr<unsigned> ProgramBuilder::emitScalar(const TensorExpr &expr,
                                               Operation *op) {
  std::optional<bool> isFloat = isFloatRegister(expr.value.getType());
  if (!isFloat)
    return failure();
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return emitConstant(constant);
  Instruction instruction(Code::Index, *isFloat);
  if (!*isFloat && !expr.value.getType().isIndex())
    instruction.width = expr.value.getType().getIntOrFloatBitWidth();
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    int64_t dim = expr.dims[index.getDim()];
    if (dim < 0)
      instruction.code = Code::ConstantI;
    instruction.integer = std::max<int64_t>(dim, 0);
    return add(std::move(instruction));
  }
  ValueRange operands = op->getOperands();
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    FailureOr<ConstantBuffer> buffer =
        evaluator.materialize(extract.getTensor());
    if (failed(buffer))
      return failure();
    instruction.code = Code::Extract;
    instruction.buffer = *buffer;
    operands = extract.getIndices();
  } else if (std::optional<Code> code = getCode(op)) {
    instruction.code = *code;
  } else {
    return failure();
  }
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    instruction.integer = static_cast<int64_t>(compare.getPredicate());
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    instruction.integer = static_cast<int64_t>(compare.getPredicate());
  if (isa<arith::ExtUIOp, arith::IndexCastUIOp, arith::UIToFPOp>(op)) {
    Type from = operands[0].getType();
    instruction.integer = from.isIndex() ? 0 : from.getIntOrFloatBitWidth();
  }
  for (Value operand : operands) {
    FailureOr<unsigned> reg = emit({operand, expr.dims});
    if (failed(reg))
      return failure();
    instruction.operands.push_back(*reg);
  }
  return add(std::move(instruction));
}

/// An element of an operand of a structured op: inputs and, unlike in patterns,
/// the value that the result starts from.
static std::optional<TensorExpr> getArgumentSource(BlockArgument arg,
                                                   ArrayRef<int64_t> loops) {
  auto op = dyn_cast<linalg::GenericOp>(arg.getOwner()->getParentOp());
  if (!op)
    return std::nullopt;
  OpOperand &operand = op->getOpOperand(arg.getArgNumber());
  TensorExpr source{operand.get(), {}};
  for (AffineExpr result : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(result))
      source.dims.push_back(loops[dim.getPosition()]);
    else if (auto zero = dyn_cast<AffineConstantExpr>(result);
             zero && zero.getValue() == 0)
      source.dims.push_back(TensorExpr::unitDim);
    else
      return std::nullopt;
  }
  return source;
}

FailureOr<unsigned> ProgramBuilder::emit(const TensorExpr &expr) {
  auto key = std::make_pair(expr.value.getAsOpaquePointer(), expr.dims);
  if (auto it = emitted.find(key); it != emitted.end())
    return it->second;
  if (depth == maxDepth)
    return failure();
  ++depth;
  FailureOr<unsigned> reg = failure();
  if (auto arg = dyn_cast<BlockArgument>(expr.value)) {
    if (std::optional<TensorExpr> source = getArgumentSource(arg, expr.dims))
      reg = emit(*source);
  } else if (isa<TensorType>(expr.value.getType())) {
    reg = emitTensor(expr);
  } else {
    reg = emitScalar(expr, expr.value.getDefiningOp());
  }
  --depth;
  if (succeeded(reg))
    emitted[key] = *reg;
  return reg;
}

//===----------------------------------------------------------------------===//
// What can be evaluated
//===----------------------------------------------------------------------===//

/// Whether the op that combines a reduction's element with its accumulator is
/// one of those of `Reducer`.
static Operation *getCombiner(linalg::GenericOp op) {
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  Operation *combiner = yielded.getDefiningOp();
  if (!isa_and_nonnull<arith::AddFOp, arith::MaximumFOp, arith::MinimumFOp,
                       arith::MaxNumFOp, arith::MinNumFOp, arith::AddIOp,
                       arith::MaxSIOp, arith::MinSIOp, arith::AndIOp,
                       arith::OrIOp>(combiner))
    return nullptr;
  Value accumulator = op.getBody()->getArguments().back();
  return accumulator.hasOneUse() &&
                 llvm::is_contained(combiner->getOperands(), accumulator)
             ? combiner
             : nullptr;
}

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

/// Whether the scalars that the body takes from outside are constants.
static bool usesOnlyConstants(linalg::GenericOp op, ValueRange operands) {
  return llvm::all_of(operands, [&](Value operand) {
    return operand.getParentRegion() == &op.getRegion() ||
           operand.getDefiningOp<arith::ConstantOp>();
  });
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
        if (auto extract = dyn_cast<tensor::ExtractOp>(inner))
          return canEvaluate(extract.getTensor()) &&
                 usesOnlyConstants(generic, extract.getIndices());
        return usesOnlyConstants(generic, inner.getOperands()) &&
               (isa<arith::ConstantOp, linalg::IndexOp>(inner) ||
                getCode(&inner).has_value());
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
  // The result is the last instruction; a shared one may lie further up.
  auto &code = builder.program.code;
  code.erase(code.begin() + *reg + 1, code.end());
  builder.program.run(consume);
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

namespace {
/// One reduction of a stream of elements into a small result.
struct Reducer {
  Reducer(Operation *combiner, int64_t size, ConstantBuffer &start)
      : combiner(combiner), sums(size), floats(size), integers(size) {
    isFloat = start.type.getElementType().isF32();
    for (int64_t i = 0; i < size; ++i) {
      int64_t at = start.isSplat ? 0 : i;
      if (isFloat) {
        std::memcpy(&floats[i], start.bytes.data() + at * sizeof(float),
                    sizeof(float));
        sums[i] = floats[i];
      } else {
        int64_t bytes = getElementBytes(start.type.getElementType());
        uint64_t raw = 0;
        std::memcpy(&raw, start.bytes.data() + at * bytes, bytes);
        integers[i] = llvm::SignExtend64(raw, bytes * 8);
      }
    }
  }

  /// Combines `count` elements into result `to`.
  void add(const ConstantBlock &block, int64_t from, int64_t count,
           int64_t to) {
    if (isFloat)
      return addFloats(block.floats + from, count, to);
    for (int64_t i = from; i < from + count; ++i)
      addInteger(block.integers[i], integers[to]);
  }

  void addFloats(const float *values, int64_t count, int64_t to) {
    if (isa<arith::AddFOp>(combiner)) {
      double sum = sums[to];
      for (int64_t i = 0; i < count; ++i)
        sum += values[i];
      sums[to] = sum;
      return;
    }
    float best = floats[to];
    bool isMax = isa<arith::MaximumFOp, arith::MaxNumFOp>(combiner);
    bool keepsNaN = isa<arith::MaximumFOp, arith::MinimumFOp>(combiner);
    for (int64_t i = 0; i < count; ++i) {
      float value = values[i];
      if (isMax ? value > best : value < best)
        best = value;
      else if (value != value ? keepsNaN : best != best && !keepsNaN)
        best = value;
    }
    floats[to] = best;
  }

  void addInteger(int64_t value, int64_t &result) {
    if (isa<arith::AddIOp>(combiner))
      result = static_cast<uint64_t>(result) + static_cast<uint64_t>(value);
    else if (isa<arith::MaxSIOp>(combiner))
      result = std::max(result, value);
    else if (isa<arith::MinSIOp>(combiner))
      result = std::min(result, value);
    else if (isa<arith::AndIOp>(combiner))
      result &= value;
    else
      result |= value;
  }

  void finish() {
    if (isa<arith::AddFOp>(combiner))
      for (auto [sum, result] : llvm::zip_equal(sums, floats))
        result = static_cast<float>(sum);
  }

  Operation *combiner;
  bool isFloat;
  std::vector<double> sums;
  std::vector<float> floats;
  std::vector<int64_t> integers;
};
} // namespace

/// The stride in the result of every loop of a reduction; 0 for reduced ones.
static SmallVector<int64_t, 4> getResultStrides(linalg::GenericOp op) {
  AffineMap map = op.getIndexingMapsArray().back();
  auto shape = cast<RankedTensorType>(op.getResultTypes()[0]).getShape();
  SmallVector<int64_t, 4> strides(op.getNumLoops(), 0);
  int64_t stride = 1;
  for (int64_t i = int64_t(map.getNumResults()) - 1; i >= 0; --i) {
    strides[map.getDimPosition(i)] = stride;
    stride *= shape[i];
  }
  return strides;
}

FailureOr<ConstantBuffer>
ConstantEvaluator::computeReduction(linalg::GenericOp op) {
  FailureOr<ConstantBuffer> start = materialize(op.getDpsInits()[0]);
  Operation *combiner = getCombiner(op);
  if (failed(start))
    return failure();
  SmallVector<int64_t, 4> space(op.getStaticLoopRanges());
  SmallVector<int64_t, 4> dims;
  for (auto [i, extent] : llvm::enumerate(space))
    dims.push_back(i);
  ProgramBuilder builder(*this, space);
  Value accumulator = op.getBody()->getArguments().back();
  Value element =
      combiner->getOperand(combiner->getOperand(0) == accumulator ? 1 : 0);
  FailureOr<unsigned> reg = builder.emit({element, dims});
  if (failed(reg))
    return failure();
  auto &code = builder.program.code;
  code.erase(code.begin() + *reg + 1, code.end());

  auto type = cast<RankedTensorType>(op.getResultTypes()[0]);
  Reducer reducer(combiner, type.getNumElements(), *start);
  SmallVector<int64_t, 4> strides = getResultStrides(op);
  int64_t inner = space.empty() ? 1 : space.back();
  builder.program.run([&](const ConstantBlock &block) {
    for (int64_t done = 0; done < block.size;) {
      int64_t at = block.offset + done;
      int64_t run = std::min(block.size - done, inner - at % inner);
      int64_t to = 0;
      for (int64_t d = space.size() - 1; d >= 0; --d) {
        to += at % space[d] * strides[d];
        at /= space[d];
      }
      if (strides.empty() || strides.back() == 0)
        reducer.add(block, done, run, to);
      else
        for (int64_t i = 0; i < run; ++i)
          reducer.add(block, done + i, 1, to + i * strides.back());
      done += run;
    }
  });
  reducer.finish();
  ConstantBuffer result = allocateBuffer(type);
  ConstantBlock block{0, type.getNumElements(),
                      reducer.isFloat ? reducer.floats.data() : nullptr,
                      reducer.isFloat ? nullptr : reducer.integers.data()};
  storeBlock(block, result);
  return result;
}

/// Copies a box of `from` at `offset` with `stride` to `to` at `toOffset`.
static void copyBox(const ConstantBuffer &from, ArrayRef<int64_t> offset,
                    ArrayRef<int64_t> stride, ConstantBuffer &to,
                    ArrayRef<int64_t> toOffset, ArrayRef<int64_t> sizes) {
  int64_t bytes = getElementBytes(from.type.getElementType());
  ArrayRef<int64_t> fromShape = from.type.getShape();
  ArrayRef<int64_t> toShape = to.type.getShape();
  SmallVector<int64_t> at(sizes.size(), 0);
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  for (int64_t i = 0; i < count; ++i) {
    int64_t source = 0, target = 0, rest = i;
    for (int64_t d = sizes.size() - 1; d >= 0; --d) {
      at[d] = rest % sizes[d];
      rest /= sizes[d];
    }
    for (size_t d = 0; d < sizes.size(); ++d) {
      source = source * fromShape[d] + offset[d] + at[d] * stride[d];
      target = target * toShape[d] + toOffset[d] + at[d];
    }
    if (from.isSplat)
      source = 0;
    char *cell = getMutable(to) + target * bytes;
    if (from.isBits)
      *cell = readBit(from.bytes, source);
    else
      std::memcpy(cell, from.bytes.data() + source * bytes, bytes);
  }
}

/// tensor.concat, tensor.extract_slice, tensor.from_elements.
FailureOr<ConstantBuffer> ConstantEvaluator::computePieces(Operation *op) {
  ConstantBuffer result =
      allocateBuffer(cast<RankedTensorType>(op->getResult(0).getType()));
  int64_t rank = result.type.getRank();
  SmallVector<int64_t> zeros(rank, 0), ones(rank, 1);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    FailureOr<ConstantBuffer> source = materialize(slice.getSource());
    if (failed(source))
      return failure();
    copyBox(*source, slice.getStaticOffsets(), slice.getStaticStrides(), result,
            zeros, result.type.getShape());
    return result;
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    SmallVector<int64_t> offset(rank, 0);
    for (Value input : concat.getInputs()) {
      FailureOr<ConstantBuffer> source = materialize(input);
      if (failed(source))
        return failure();
      copyBox(*source, zeros, ones, result, offset, source->type.getShape());
      offset[concat.getDim()] += source->type.getDimSize(concat.getDim());
    }
    return result;
  }
  for (auto [i, scalar] : llvm::enumerate(op->getOperands())) {
    Attribute attr = scalar.getDefiningOp<arith::ConstantOp>().getValue();
    ConstantBlock block{static_cast<int64_t>(i), 1, nullptr, nullptr};
    float number = 0;
    int64_t integer = 0;
    if (auto floating = dyn_cast<FloatAttr>(attr)) {
      number = floating.getValue().convertToFloat();
      block.floats = &number;
    } else {
      integer = cast<IntegerAttr>(attr).getValue().getSExtValue();
      block.integers = &integer;
    }
    storeBlock(block, result);
  }
  return result;
}

/// One element that stands for all of `type`.
static ConstantBuffer makeSplat(RankedTensorType type, Attribute number) {
  ConstantBuffer buffer =
      allocateBuffer(RankedTensorType::get({1}, type.getElementType()));
  buffer.isSplat = true;
  buffer.type = type;
  char *to = getMutable(buffer);
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
  if (isa<tensor::ConcatOp, tensor::ExtractSliceOp, tensor::FromElementsOp>(op))
    return computePieces(op);
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
