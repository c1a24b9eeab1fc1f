//===- KernelBuilder.cpp - Short spellings for kernel bodies --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/KernelBuilder.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace pquant;

static bool isFloat(Value v) {
  return isa<FloatType>(getElementTypeOrSelf(v.getType()));
}

VectorType KernelBuilder::vec(int64_t lanes, Type element) {
  return VectorType::get({lanes}, element);
}
VectorType KernelBuilder::veci(int64_t lanes, unsigned bits) {
  return vec(lanes, getIntegerType(bits));
}
VectorType KernelBuilder::vecf(int64_t lanes) {
  return vec(lanes, getF32Type());
}

Value KernelBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}
Value KernelBuilder::f32(float value) { return f32(llvm::APFloat(value)); }
Value KernelBuilder::f32(const llvm::APFloat &value) {
  return arith::ConstantFloatOp::create(*this, getF32Type(), value);
}

Value KernelBuilder::constant(Type type, int64_t value) {
  TypedAttr attr;
  if (auto vector = dyn_cast<VectorType>(type)) {
    attr = DenseElementsAttr::get(vector, ArrayRef<Attribute>{getIntegerAttr(
                                              vector.getElementType(), value)});
    return arith::ConstantOp::create(*this, attr);
  }
  return arith::ConstantOp::create(*this, getIntegerAttr(type, value));
}

Value KernelBuilder::laneConstant(VectorType type, ArrayRef<int64_t> lanes) {
  SmallVector<Attribute> values;
  for (int64_t lane : lanes)
    values.push_back(getIntegerAttr(type.getElementType(), lane));
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(type, values));
}

Value KernelBuilder::add(Value a, Value b) {
  if (isFloat(a))
    return arith::AddFOp::create(*this, a, b);
  return arith::AddIOp::create(*this, a, b);
}
Value KernelBuilder::sub(Value a, Value b) {
  if (isFloat(a))
    return arith::SubFOp::create(*this, a, b);
  return arith::SubIOp::create(*this, a, b);
}
Value KernelBuilder::mul(Value a, Value b) {
  if (isFloat(a))
    return arith::MulFOp::create(*this, a, b);
  return arith::MulIOp::create(*this, a, b);
}
Value KernelBuilder::mul(Value a, int64_t b) { return mul(a, index(b)); }
Value KernelBuilder::add(Value a, int64_t b) {
  return b == 0 ? a : add(a, index(b));
}
Value KernelBuilder::ceilDiv(Value a, int64_t b) {
  return arith::DivUIOp::create(*this, add(a, b - 1), index(b));
}
Value KernelBuilder::div(Value a, Value b) {
  if (isFloat(a))
    return arith::DivFOp::create(*this, a, b);
  return arith::DivUIOp::create(*this, a, b);
}
Value KernelBuilder::bitAnd(Value a, Value b) {
  return arith::AndIOp::create(*this, a, b);
}
Value KernelBuilder::bitOr(Value a, Value b) {
  return arith::OrIOp::create(*this, a, b);
}
Value KernelBuilder::bitXor(Value a, Value b) {
  return arith::XOrIOp::create(*this, a, b);
}
Value KernelBuilder::shiftLeft(Value a, int64_t bits) {
  return bits == 0
             ? a
             : arith::ShLIOp::create(*this, a, constant(a.getType(), bits))
                   .getResult();
}
Value KernelBuilder::shiftRightLogical(Value a, int64_t bits) {
  return bits == 0
             ? a
             : arith::ShRUIOp::create(*this, a, constant(a.getType(), bits))
                   .getResult();
}
Value KernelBuilder::shiftRightArithmetic(Value a, int64_t bits) {
  return bits == 0
             ? a
             : arith::ShRSIOp::create(*this, a, constant(a.getType(), bits))
                   .getResult();
}
Value KernelBuilder::min(Value a, Value b) {
  return arith::MinSIOp::create(*this, a, b);
}
Value KernelBuilder::max(Value a, Value b) {
  return arith::MaxSIOp::create(*this, a, b);
}
Value KernelBuilder::compare(arith::CmpIPredicate predicate, Value a, Value b) {
  return arith::CmpIOp::create(*this, predicate, a, b);
}
Value KernelBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(*this, condition, a, b);
}
Value KernelBuilder::extend(Value a, Type type) {
  return arith::ExtSIOp::create(*this, type, a);
}
Value KernelBuilder::truncate(Value a, Type type) {
  return arith::TruncIOp::create(*this, type, a);
}
Value KernelBuilder::multiplyAdd(Value a, Value b, Value c, bool fused) {
  if (fused)
    return math::FmaOp::create(*this, a, b, c);
  return add(mul(a, b), c);
}

Value KernelBuilder::bitcast(Value a, VectorType type) {
  if (a.getType() == type)
    return a;
  return vector::BitCastOp::create(*this, type, a);
}
Value KernelBuilder::splat(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(*this, vec(lanes, scalar.getType()),
                                     scalar);
}
Value KernelBuilder::shuffle(Value a, Value b, ArrayRef<int64_t> mask) {
  return vector::ShuffleOp::create(*this, a, b, mask);
}
Value KernelBuilder::maskOfFirst(Value count, int64_t lanes) {
  VectorType type = veci(lanes, 32);
  Value limit = arith::IndexCastOp::create(*this, getI32Type(), count);
  Value lane =
      laneConstant(type, llvm::to_vector(llvm::seq<int64_t>(0, lanes)));
  return compare(arith::CmpIPredicate::slt, lane, splat(limit, lanes));
}
Value KernelBuilder::intrinsic(StringRef name, Type result, ValueRange args) {
  return LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name), args)
      .getResult(0);
}

Value KernelBuilder::dim(Value memref, int64_t index) {
  return memref::DimOp::create(*this, memref, index);
}
Value KernelBuilder::load(Value memref, ValueRange indices) {
  return memref::LoadOp::create(*this, memref, indices);
}
void KernelBuilder::store(Value value, Value memref, ValueRange indices) {
  memref::StoreOp::create(*this, value, memref, indices);
}
Value KernelBuilder::loadVector(Value memref, ValueRange indices,
                                VectorType type) {
  return vector::LoadOp::create(*this, type, memref, indices);
}
static VectorType asBytes(VectorType type) {
  int64_t bits = type.getNumElements() * type.getElementTypeBitWidth();
  return VectorType::get({bits / 8}, IntegerType::get(type.getContext(), 8));
}
Value KernelBuilder::loadBytes(Value memref, ValueRange indices,
                               VectorType type) {
  return bitcast(loadVector(memref, indices, asBytes(type)), type);
}
void KernelBuilder::storeVector(Value vector, Value memref,
                                ValueRange indices) {
  vector::StoreOp::create(*this, vector, memref, indices);
}
void KernelBuilder::storeBytes(Value vector, Value memref, ValueRange indices) {
  storeVector(bitcast(vector, asBytes(cast<VectorType>(vector.getType()))),
              memref, indices);
}
Value KernelBuilder::broadcastWord(Value memref, ValueRange indices,
                                   unsigned bits, int64_t lanes) {
  Value word = loadBytes(memref, indices, veci(1, bits));
  return splat(vector::ExtractOp::create(*this, word, 0), lanes);
}
void KernelBuilder::prefetch(Value memref, ValueRange indices, bool isWrite) {
  memref::PrefetchOp::create(*this, memref, indices, isWrite,
                             /*localityHint=*/3, /*isDataCache=*/true);
}
Value KernelBuilder::stackBuffer(ArrayRef<int64_t> shape, Type element) {
  return memref::AllocaOp::create(*this, MemRefType::get(shape, element),
                                  getI64IntegerAttr(64));
}
Value KernelBuilder::heapBytes(Value bytes) {
  auto type = MemRefType::get({ShapedType::kDynamic}, getI8Type());
  return memref::AllocOp::create(*this, type, bytes, getI64IntegerAttr(64));
}
void KernelBuilder::free(Value memref) {
  memref::DeallocOp::create(*this, memref);
}

SmallVector<Value> KernelBuilder::forLoop(
    Value from, Value to, int64_t step, ValueRange inits,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, from, to, index(step), inits);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!inits.empty())
    scf::YieldOp::create(*this, next);
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::forLoop(Value from, Value to, int64_t step,
                            llvm::function_ref<void(Value)> body) {
  forLoop(from, to, step, {}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void KernelBuilder::ifElse(Value condition, llvm::function_ref<void()> then,
                           llvm::function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(*this, condition,
                              /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
  if (!otherwise)
    return;
  setInsertionPointToStart(op.elseBlock());
  otherwise();
}

void KernelBuilder::parallel(Value count, Value grain,
                             llvm::function_ref<void(Value, Value)> body) {
  OpBuilder::InsertionGuard guard(*this);
  pqk::ParallelOp::create(
      *this, count, grain,
      [&](OpBuilder &nested, Location, Value begin, Value end) {
        restoreInsertionPoint(nested.saveInsertionPoint());
        body(begin, end);
      });
}

void KernelBuilder::forEachTile(Value from, Value to, ArrayRef<int64_t> sizes,
                                llvm::function_ref<void(int64_t, Value)> body) {
  Value position = from;
  for (int64_t size : sizes) {
    Value limit = to;
    if (size != 1) {
      Value tiles = div(sub(to, position), index(size));
      limit = add(position, mul(tiles, size));
    }
    forLoop(position, limit, size, [&](Value i) { body(size, i); });
    position = limit;
  }
}
