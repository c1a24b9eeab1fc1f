//===- LinearNVVM.cpp - What the linear kernels of a GPU share ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NVVMKernels.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::nvvm;

static Value sizeOf(OpBuilder &builder, Location loc, Value memref,
                    int64_t dim) {
  int64_t size = cast<MemRefType>(memref.getType()).getDimSize(dim);
  if (!ShapedType::isDynamic(size))
    return arith::ConstantIndexOp::create(builder, loc, size);
  return memref::DimOp::create(builder, loc, memref, dim);
}

Linear::Linear(OpBuilder &builder, Operation *op) : loc(op->getLoc()) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](pqk::BinaryLinearOp linear) {
        sum = linear.getSum();
        weightScale = linear.getWeightScale();
      })
      .Case([&](pqk::Int8LinearOp linear) {
        weightScale = linear.getWeightScale();
      })
      .Case([&](pqk::ExpertLinearOp linear) {
        index = linear.getIndex();
        weightScale = linear.getWeightScale();
      });
  llvm::TypeSwitch<Operation *>(op)
      .Case<pqk::BinaryLinearOp, pqk::Int8LinearOp, pqk::ExpertLinearOp>(
          [&](auto linear) {
            scale = linear.getScale();
            columns = linear.getColumns();
            accumulate = linear.getAccumulate();
          });
  llvm::TypeSwitch<Operation *>(op)
      .Case<pqk::BinaryLinearOp, pqk::Int8LinearOp, pqk::ExpertLinearOp,
            pqk::FloatLinearOp>([&](auto linear) {
        input = linear.getInput();
        weight = linear.getWeight();
        output = linear.getOutput();
      });
  paddedColumns = cast<MemRefType>(input.getType()).getDimSize(1);
  rows = sizeOf(builder, loc, input, 0);
  outputs = sizeOf(builder, loc, output, 1);
  Value block = arith::ConstantIndexOp::create(builder, loc, kBlockRows);
  tiles = arith::CeilDivUIOp::create(builder, loc, outputs, block);
}

Lane::Lane(KernelBuilder &b, Value thread) {
  warp = arith::DivUIOp::create(b, thread, b.index(kWarp));
  lane = arith::RemUIOp::create(b, thread, b.index(kWarp));
  row = arith::DivUIOp::create(b, lane, b.index(4));
  quad = arith::RemUIOp::create(b, lane, b.index(4));
}

SmallVector<Value> pquant::nvvm::loadWords(KernelBuilder &b, Value memory,
                                           ValueRange indices, int64_t count) {
  auto bytes = vector::LoadOp::create(b, b.veci(4 * count, 8), memory, indices,
                                      /*nontemporal=*/false,
                                      llvm::MaybeAlign(4 * count));
  Value words = b.bitcast(bytes, b.veci(count, 32));
  SmallVector<Value> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(vector::ExtractOp::create(b, words, i));
  return result;
}

Value pquant::nvvm::dot4(KernelBuilder &b, Value x, Value y, Value c) {
  VectorType bytes = b.veci(4, 8), word = b.veci(1, 32);
  auto unpack = [&](Value value) {
    return b.bitcast(vector::BroadcastOp::create(b, word, value), bytes);
  };
  auto type = NVVM::DotAccumulateType::SIGNED;
  return NVVM::DotAccumulate4WayOp::create(b, b.getI32Type(), unpack(x), type,
                                           unpack(y), type, c);
}

/// One matrix instruction of m16n8, with sums of `result`.
static SmallVector<Value> mma(KernelBuilder &b, ValueRange a, ValueRange x,
                              ValueRange c, int64_t k, NVVM::MMATypes type,
                              Type result, std::optional<NVVM::MMAB1Op> bitOp,
                              std::optional<NVVM::MMAIntOverflow> overflow) {
  auto results = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                  SmallVector<Type>(4, result));
  Value d = NVVM::MmaOp::create(
      b, results, a, x, c, ArrayRef<int64_t>{16, 8, k}, bitOp, overflow,
      std::array<NVVM::MMATypes, 2>{type, type},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row,
                                     NVVM::MMALayout::col});
  SmallVector<Value> values;
  for (int64_t i = 0; i < 4; ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, d, i));
  return values;
}

SmallVector<Value> pquant::nvvm::mmaBits(KernelBuilder &b, ValueRange a,
                                         ValueRange x, ValueRange c) {
  return mma(b, a, x, c, 256, NVVM::MMATypes::b1, b.getI32Type(),
             NVVM::MMAB1Op::and_popc, std::nullopt);
}

SmallVector<Value> pquant::nvvm::mmaBytes(KernelBuilder &b, ValueRange a,
                                          ValueRange x, ValueRange c) {
  return mma(b, a, x, c, 32, NVVM::MMATypes::s8, b.getI32Type(), std::nullopt,
             NVVM::MMAIntOverflow::wrapped);
}

SmallVector<Value> pquant::nvvm::mmaFloats(KernelBuilder &b, ValueRange a,
                                           ValueRange x, ValueRange c) {
  return mma(b, a, x, c, 8, NVVM::MMATypes::tf32, b.getF32Type(), std::nullopt,
             std::nullopt);
}

void pquant::nvvm::storeWarpSums(KernelBuilder &b, const GPUBlock &block,
                                 const Lane &at, Value row, ValueRange sums) {
  Value isFirst = b.compare(arith::CmpIPredicate::eq, at.row, b.index(0));
  for (size_t i = 0; i < sums.size(); ++i) {
    Value total = shuffleReduce(b, sums[i], 4, kWarp,
                                [&](Value x, Value y) { return b.add(x, y); });
    b.ifElse(isFirst, [&] {
      b.store(total, block.shared[0],
              {row, b.add(b.mul(at.quad, 4), int64_t(i))});
    });
  }
}

static Value clampOutput(KernelBuilder &b, const Linear &linear, Value n) {
  return arith::MinUIOp::create(b, n, b.sub(linear.outputs, b.index(1)));
}

Value pquant::nvvm::loadWeightScale(KernelBuilder &b, const Linear &linear,
                                    Value m, Value n) {
  n = clampOutput(b, linear, n);
  if (!linear.index)
    return b.load(linear.weightScale, n);
  Value expert =
      arith::IndexCastOp::create(b, b.getIndexType(), b.load(linear.index, m));
  return b.load(linear.weightScale, {expert, n});
}

Value pquant::nvvm::loadFactor(KernelBuilder &b, const Linear &linear, Value m,
                               Value n) {
  return b.mul(b.load(linear.scale, m), loadWeightScale(b, linear, m, n));
}

Value pquant::nvvm::loadBefore(KernelBuilder &b, const Linear &linear, Value m,
                               Value n) {
  if (!linear.accumulate)
    return {};
  return b.load(linear.output, {m, clampOutput(b, linear, n)});
}

void pquant::nvvm::storeResult(KernelBuilder &b, const Linear &linear, Value m,
                               Value n, Value acc, Value factor, Value before) {
  b.ifElse(b.compare(arith::CmpIPredicate::ult, n, linear.outputs), [&] {
    Value y = b.mul(arith::SIToFPOp::create(b, b.getF32Type(), acc), factor);
    if (linear.accumulate)
      y = b.add(before ? before : b.load(linear.output, {m, n}), y);
    b.store(y, linear.output, {m, n});
  });
}

void pquant::nvvm::emitByRows(OpBuilder &builder, Location loc,
                              int64_t staticRows, Value rows, int64_t limit,
                              llvm::function_ref<void(OpBuilder &)> few,
                              llvm::function_ref<void(OpBuilder &)> many) {
  if (!ShapedType::isDynamic(staticRows))
    return staticRows <= limit ? few(builder) : many(builder);
  Value most = arith::ConstantIndexOp::create(builder, loc, limit);
  Value isFew = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ule,
                                      rows, most);
  auto choice = scf::IfOp::create(builder, loc, isFew,
                                  /*withElseRegion=*/true);
  OpBuilder then = choice.getThenBodyBuilder();
  few(then);
  OpBuilder otherwise = choice.getElseBodyBuilder();
  many(otherwise);
}

void pquant::nvvm::emitByRows(OpBuilder &builder, const Linear &linear,
                              llvm::function_ref<void(OpBuilder &)> gemv,
                              llvm::function_ref<void(OpBuilder &)> gemm) {
  int64_t rows = cast<MemRefType>(linear.input.getType()).getDimSize(0);
  emitByRows(builder, linear.loc, rows, linear.rows, kGemvRows, gemv, gemm);
}
