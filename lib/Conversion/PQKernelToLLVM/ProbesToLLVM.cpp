//===- ProbesToLLVM.cpp - pqk.probe to runtime calls ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes each PQuantProbe (pquant/Runtime/ModelDescriptor.h) once as a constant
// struct: beginning and end, and the clones of all levels, share it, so that
// its address tells which piece of work is meant.
//
//===----------------------------------------------------------------------===//

#include "ProbesToLLVM.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace pquant;

static constexpr StringLiteral kProbe = "pquant_rt_probe";

namespace {
class ProbeTable {
public:
  explicit ProbeTable(ModuleOp module)
      : symbols(module), b(module.getLoc(), module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())) {}

  void lower(pqk::ProbeOp op);

private:
  LLVM::LLVMFuncOp getRuntimeFunction();
  LLVM::GlobalOp getText(StringAttr text);
  LLVM::GlobalOp getProbe(pqk::ProbeOp op);

  SymbolTable symbols;
  ImplicitLocOpBuilder b;
  Type pointer;
  DenseMap<StringAttr, LLVM::GlobalOp> texts;
  DenseMap<Attribute, LLVM::GlobalOp> probes; ///< by all but `end`
};
} // namespace

LLVM::LLVMFuncOp ProbeTable::getRuntimeFunction() {
  if (auto existing = symbols.lookup<LLVM::LLVMFuncOp>(kProbe))
    return existing;
  b.clearInsertionPoint();
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  {pointer, b.getI64Type(), b.getI32Type()});
  auto function = LLVM::LLVMFuncOp::create(b, kProbe, type);
  symbols.insert(function);
  return function;
}

LLVM::GlobalOp ProbeTable::getText(StringAttr text) {
  LLVM::GlobalOp &global = texts[text];
  if (global)
    return global;
  std::string terminated = (text.getValue() + Twine('\0')).str();
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), terminated.size());
  b.clearInsertionPoint();
  global = LLVM::GlobalOp::create(b, type, /*isConstant=*/true,
                                  LLVM::Linkage::Internal, "probe_text",
                                  b.getStringAttr(terminated));
  symbols.insert(global);
  return global;
}

LLVM::GlobalOp ProbeTable::getProbe(pqk::ProbeOp op) {
  NamedAttrList attributes(op->getAttrDictionary());
  attributes.erase(op.getEndAttrName());
  LLVM::GlobalOp &global = probes[attributes.getDictionary(op.getContext())];
  if (global)
    return global;
  LLVM::GlobalOp texts[] = {getText(op.getNameAttr()),
                            getText(op.getKindAttr())};
  int64_t numbers[] = {int64_t(op.getWeightBytes()), int64_t(op.getMatrices()),
                       int64_t(op.getRowBytes()), int64_t(op.getRowOps())};
  Type i64 = b.getI64Type();
  auto type = LLVM::LLVMStructType::getLiteral(
      b.getContext(), {pointer, pointer, i64, i64, i64, i64});
  b.clearInsertionPoint();
  global =
      LLVM::GlobalOp::create(b, type, /*isConstant=*/true,
                             LLVM::Linkage::Internal, "probe", Attribute());
  symbols.insert(global);
  b.createBlock(&global.getInitializerRegion());
  Value value = LLVM::UndefOp::create(b, type);
  int64_t field = 0;
  for (LLVM::GlobalOp text : texts)
    value = LLVM::InsertValueOp::create(
        b, value, LLVM::AddressOfOp::create(b, text), field++);
  for (int64_t number : numbers)
    value = LLVM::InsertValueOp::create(
        b, value, LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(number)),
        field++);
  LLVM::ReturnOp::create(b, value);
  return global;
}

void ProbeTable::lower(pqk::ProbeOp op) {
  LLVM::GlobalOp probe = getProbe(op);
  LLVM::LLVMFuncOp function = getRuntimeFunction();
  b.setInsertionPoint(op);
  Value rows =
      UnrealizedConversionCastOp::create(b, b.getI64Type(), op.getRows())
          .getResult(0);
  Value end = LLVM::ConstantOp::create(b, b.getI32Type(),
                                       b.getI32IntegerAttr(op.getEnd()));
  LLVM::CallOp::create(
      b, function, ValueRange{LLVM::AddressOfOp::create(b, probe), rows, end});
  op.erase();
}

void pquant::lowerProbes(ModuleOp module) {
  ProbeTable table(module);
  module.walk([&](pqk::ProbeOp op) { table.lower(op); });
}
