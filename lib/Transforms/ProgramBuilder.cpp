//===- ProgramBuilder.cpp - From tensor ops to block programs -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operands that are elementwise in as many elements as the space become part of
// the program; all others (smaller ones that broadcast, reductions, pieces) are
// put in memory first and read by strides.
//
//===----------------------------------------------------------------------===//

#include "ProgramBuilder.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace pquant;
using namespace mlir;
using pquant::ConstantEvaluator;

/// Expressions are never this deep; guards the native stack.
static constexpr unsigned maxDepth = 500;

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
  auto type = dyn_cast<RankedTensorType>(expr.value.getType());
  Operation *op = expr.value.getDefiningOp();
  if (!type || !type.hasStaticShape() || !op)
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

/// The variable of a loop of a nest: dimension i of the space is loop i.
FailureOr<unsigned> ProgramBuilder::emitVariable(scf::ForOp loop, Value value,
                                                 ArrayRef<int64_t> dims) {
  size_t depth = 0;
  for (auto outer = loop->getParentOfType<scf::ForOp>(); outer;
       outer = outer->getParentOfType<scf::ForOp>())
    ++depth;
  if (value != loop.getInductionVar() || depth >= dims.size())
    return failure();
  Instruction instruction(Code::Index, /*isFloat=*/false);
  instruction.integer = dims[depth];
  return add(std::move(instruction));
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
    else if (auto loop = dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp()))
      reg = emitVariable(loop, arg, expr.dims);
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

ElementProgram ProgramBuilder::finish(unsigned reg) {
  program.code.erase(program.code.begin() + reg + 1, program.code.end());
  return std::move(program);
}
