//===- PQKernelToLLVM.cpp - pqk.parallel to runtime calls -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: functions on memrefs with pqk.parallel and pqk.probe, just before the
// conversion to LLVM. Output: none left; regions are functions with the
// signature of PQuantParallelBody (pquant/Runtime/ModelDescriptor.h). Values
// that cross the border are converted as LLVMTypeConverter does by default,
// with casts that the conversion to LLVM then folds away, so the region's own
// ops stay as they are.
//
//===----------------------------------------------------------------------===//

#include "ProbesToLLVM.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "pquant/Conversion/Passes.h"
#include "pquant/Support/LLVM.h"

using namespace mlir;
using namespace pquant;

namespace pquant {
#define GEN_PASS_DEF_CONVERTPQKERNELTOLLVMPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

static constexpr StringLiteral kParallelFor = "pquant_rt_parallel_for";

static Value castTo(ImplicitLocOpBuilder &b, Value value, Type type) {
  if (value.getType() == type)
    return value;
  return UnrealizedConversionCastOp::create(b, type, value).getResult(0);
}

namespace {
class Outliner {
public:
  explicit Outliner(ModuleOp module)
      : module(module), symbols(module), converter(module.getContext()) {}

  LogicalResult outline(pqk::ParallelOp op);

private:
  FailureOr<LLVM::LLVMStructType> getCaptureType(pqk::ParallelOp op,
                                                 ArrayRef<Value> captures);
  LLVM::LLVMFuncOp createBody(pqk::ParallelOp op, ArrayRef<Value> captures,
                              LLVM::LLVMStructType type);
  void createCall(pqk::ParallelOp op, LLVM::LLVMFuncOp body,
                  ArrayRef<Value> captures, LLVM::LLVMStructType type);
  LLVM::LLVMFuncOp getRuntimeFunction();

  ModuleOp module;
  SymbolTable symbols;
  LLVMTypeConverter converter;
};
} // namespace

/// The values from above that the region uses; constants are cloned into it
/// instead.
static SmallVector<Value> collectCaptures(pqk::ParallelOp op) {
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(op.getBody(), used);
  OpBuilder builder(op.getContext());
  builder.setInsertionPointToStart(&op.getBody().front());
  SmallVector<Value> captures;
  for (Value value : used) {
    Operation *definition = value.getDefiningOp();
    if (definition && matchPattern(definition, m_Constant())) {
      Operation *copy = builder.clone(*definition);
      replaceAllUsesInRegionWith(value, copy->getResult(0), op.getBody());
      continue;
    }
    captures.push_back(value);
  }
  return captures;
}

FailureOr<LLVM::LLVMStructType>
Outliner::getCaptureType(pqk::ParallelOp op, ArrayRef<Value> captures) {
  SmallVector<Type> fields;
  for (Value value : captures) {
    Type type = converter.convertType(value.getType());
    if (!type)
      return op->emitOpError()
             << "cannot capture a value of type " << value.getType();
    fields.push_back(type);
  }
  return LLVM::LLVMStructType::getLiteral(op.getContext(), fields);
}

static Value fieldAddress(ImplicitLocOpBuilder &b, LLVM::LLVMStructType type,
                          Value base, int32_t field) {
  return LLVM::GEPOp::create(b, base.getType(), type, base,
                             ArrayRef<LLVM::GEPArg>{0, field});
}

LLVM::LLVMFuncOp Outliner::createBody(pqk::ParallelOp op,
                                      ArrayRef<Value> captures,
                                      LLVM::LLVMStructType type) {
  auto parent = op->getParentOfType<FunctionOpInterface>();
  ImplicitLocOpBuilder b(op.getLoc(), op.getContext());
  Type pointer = LLVM::LLVMPointerType::get(op.getContext());
  Type i64 = b.getI64Type();
  auto signature = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(op.getContext()), {pointer, i64, i64});
  auto function =
      LLVM::LLVMFuncOp::create(b, (parent.getName() + "_parallel").str(),
                               signature, LLVM::Linkage::Internal);
  if (auto attributes = parent->getAttrOfType<ArrayAttr>("passthrough"))
    function.setPassthroughAttr(attributes);
  symbols.insert(function);

  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  for (auto [i, value] : llvm::enumerate(captures)) {
    Value address = fieldAddress(b, type, entry->getArgument(0), i);
    Value field = LLVM::LoadOp::create(b, type.getBody()[i], address);
    replaceAllUsesInRegionWith(value, castTo(b, field, value.getType()),
                               op.getBody());
  }
  Block &source = op.getBody().front();
  for (auto [i, argument] : llvm::enumerate(source.getArguments()))
    argument.replaceAllUsesWith(
        castTo(b, entry->getArgument(1 + i), argument.getType()));
  entry->getOperations().splice(entry->end(), source.getOperations());
  b.setInsertionPointToEnd(entry);
  LLVM::ReturnOp::create(b, ValueRange());
  return function;
}

LLVM::LLVMFuncOp Outliner::getRuntimeFunction() {
  if (auto existing = symbols.lookup<LLVM::LLVMFuncOp>(kParallelFor))
    return existing;
  ImplicitLocOpBuilder b(module.getLoc(), module.getContext());
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type i64 = b.getI64Type();
  auto function = LLVM::LLVMFuncOp::create(
      b, kParallelFor,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(module.getContext()),
                                  {pointer, pointer, i64, i64}));
  symbols.insert(function);
  return function;
}

void Outliner::createCall(pqk::ParallelOp op, LLVM::LLVMFuncOp body,
                          ArrayRef<Value> captures, LLVM::LLVMStructType type) {
  // The stack slot belongs at the start of the function, not in a loop: of the
  // function that an enclosing pqk.parallel is going to be, if there is one.
  Block *entry;
  if (auto outer = op->getParentOfType<pqk::ParallelOp>())
    entry = &outer.getBody().front();
  else
    entry =
        &op->getParentOfType<FunctionOpInterface>().getFunctionBody().front();
  ImplicitLocOpBuilder b(op.getLoc(), op.getContext());
  b.setInsertionPointToStart(entry);
  Type pointer = LLVM::LLVMPointerType::get(op.getContext());
  Type i64 = b.getI64Type();
  Value one = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(1));
  Value slot = LLVM::AllocaOp::create(b, pointer, type, one);

  b.setInsertionPoint(op);
  for (auto [i, value] : llvm::enumerate(captures))
    LLVM::StoreOp::create(b, castTo(b, value, type.getBody()[i]),
                          fieldAddress(b, type, slot, i));
  Value address = LLVM::AddressOfOp::create(b, body);
  LLVM::CallOp::create(b, getRuntimeFunction(),
                       ValueRange{address, slot, castTo(b, op.getCount(), i64),
                                  castTo(b, op.getGrain(), i64)});
}

LogicalResult Outliner::outline(pqk::ParallelOp op) {
  if (!op->getParentOfType<FunctionOpInterface>())
    return op->emitOpError("expected to be inside a function");
  SmallVector<Value> captures = collectCaptures(op);
  FailureOr<LLVM::LLVMStructType> type = getCaptureType(op, captures);
  if (failed(type))
    return failure();
  LLVM::LLVMFuncOp body = createBody(op, captures, *type);
  createCall(op, body, captures, *type);
  op.erase();
  return success();
}

namespace {
struct ConvertPQKernelToLLVMPass
    : public pquant::impl::ConvertPQKernelToLLVMPassBase<
          ConvertPQKernelToLLVMPass> {
  void runOnOperation() override {
    lowerProbes(getOperation());
    // Inner ops first: their calls are then part of the outer regions.
    SmallVector<pqk::ParallelOp> ops;
    getOperation().walk<WalkOrder::PostOrder>(
        [&](pqk::ParallelOp op) { ops.push_back(op); });
    Outliner outliner(getOperation());
    for (pqk::ParallelOp op : ops)
      if (failed(outliner.outline(op)))
        return signalPassFailure();
  }
};
} // namespace
