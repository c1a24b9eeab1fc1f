//===- ConstantReduction.cpp - Sums and maxima of constants ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reductions (and small contractions, whose element is a product) run over the
// program of their element. Sums are kept in double and rounded once.
//
//===----------------------------------------------------------------------===//

#include "ConstantReduction.h"
#include "ProgramBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::ConstantEvaluator;

/// Whether the op that combines a reduction's element with its accumulator is
/// one of those of `Reducer`.
Operation *pquant::getCombiner(linalg::GenericOp op) {
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

  auto type = cast<RankedTensorType>(op.getResultTypes()[0]);
  Reducer reducer(combiner, type.getNumElements(), *start);
  SmallVector<int64_t, 4> strides = getResultStrides(op);
  int64_t inner = space.empty() ? 1 : space.back();
  builder.finish(*reg).run([&](const ConstantBlock &block) {
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
