//===- ConstantPieces.cpp - Constants that are put together ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Evaluates ops that move elements: slices, concatenations, and the loop nests
// that a scatter is. Unpacking writes a weight piece by piece.
//
//===----------------------------------------------------------------------===//

#include "ConstantReduction.h"
#include "LoopNest.h"
#include "ProgramBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/Constants.h"
#include <cstring>

using namespace pquant;
using namespace mlir;
using pquant::ConstantEvaluator;

static char *getMutable(ConstantBuffer &buffer) {
  return const_cast<char *>(buffer.bytes.data());
}

//===----------------------------------------------------------------------===//
// Boxes
//===----------------------------------------------------------------------===//

namespace {
/// Where a box of elements lies; empty lists: at 0, element by element.
struct Place {
  ArrayRef<int64_t> offset, stride;
  int64_t at(size_t dim, int64_t i) const {
    return (offset.empty() ? 0 : offset[dim]) +
           i * (stride.empty() ? 1 : stride[dim]);
  }
};
} // namespace

/// Copies a run of a box along its last dimension, `step` elements apart.
static void copyRun(const ConstantBuffer &from, int64_t read, int64_t readStep,
                    ConstantBuffer &to, int64_t write, int64_t writeStep,
                    int64_t count) {
  int64_t bytes = getElementBytes(from.type.getElementType());
  char *target = getMutable(to) + write * bytes;
  if (from.isSplat)
    read = readStep = 0;
  if (!from.isBits && readStep == 1 && writeStep == 1) {
    std::memcpy(target, from.bytes.data() + read * bytes, count * bytes);
    return;
  }
  for (int64_t i = 0; i < count; ++i, target += writeStep * bytes) {
    int64_t at = read + i * readStep;
    if (from.isBits)
      *target = readBit(from.bytes, at);
    else
      std::memcpy(target, from.bytes.data() + at * bytes, bytes);
  }
}

/// Copies a box of `from` to one of `to`.
static void copyBox(const ConstantBuffer &from, const Place &source,
                    ConstantBuffer &to, const Place &target,
                    ArrayRef<int64_t> sizes) {
  ArrayRef<int64_t> fromShape = from.type.getShape();
  ArrayRef<int64_t> toShape = to.type.getShape();
  int64_t last = sizes.size() - 1, inner = sizes.empty() ? 1 : sizes.back();
  int64_t runs = inner == 0 ? 0 : llvm::product_of(sizes, int64_t(1)) / inner;
  SmallVector<int64_t> at(sizes.size(), 0);
  for (int64_t run = 0; run < runs; ++run) {
    int64_t read = 0, write = 0, rest = run;
    for (int64_t d = last - 1; d >= 0; --d) {
      at[d] = rest % sizes[d];
      rest /= sizes[d];
    }
    for (int64_t d = 0; d <= last; ++d) {
      read = read * fromShape[d] + source.at(d, at[d]);
      write = write * toShape[d] + target.at(d, at[d]);
    }
    auto stepOf = [&](const Place &place) {
      return place.stride.empty() || last < 0 ? 1 : place.stride[last];
    };
    copyRun(from, read, stepOf(source), to, write, stepOf(target), inner);
  }
}

static void copyAll(const ConstantBuffer &from, ConstantBuffer &to) {
  copyBox(from, {}, to, {}, from.type.getShape());
}

/// Writes the number of a constant as element `at`.
static void storeNumber(Attribute number, int64_t at, ConstantBuffer &buffer) {
  ConstantBlock block{at, 1, nullptr, nullptr};
  float floating = 0;
  int64_t integer = 0;
  if (auto attr = dyn_cast<FloatAttr>(number)) {
    floating = attr.getValue().convertToFloat();
    block.floats = &floating;
  } else {
    integer = cast<IntegerAttr>(number).getValue().getSExtValue();
    block.integers = &integer;
  }
  storeBlock(block, buffer);
}

/// tensor.concat, tensor.extract_slice, tensor.insert_slice,
/// tensor.from_elements.
FailureOr<ConstantBuffer> ConstantEvaluator::computePieces(Operation *op) {
  ConstantBuffer result =
      allocateBuffer(cast<RankedTensorType>(op->getResult(0).getType()));
  if (isa<tensor::FromElementsOp>(op)) {
    for (auto [i, scalar] : llvm::enumerate(op->getOperands()))
      storeNumber(scalar.getDefiningOp<arith::ConstantOp>().getValue(), i,
                  result);
    return result;
  }
  SmallVector<ConstantBuffer> inputs;
  for (Value operand : op->getOperands()) {
    FailureOr<ConstantBuffer> input = materialize(operand);
    if (failed(input))
      return failure();
    inputs.push_back(*input);
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    copyBox(inputs[0], {slice.getStaticOffsets(), slice.getStaticStrides()},
            result, {}, result.type.getShape());
    return result;
  }
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op)) {
    copyAll(inputs[1], result);
    copyBox(inputs[0], {}, result,
            {slice.getStaticOffsets(), slice.getStaticStrides()},
            inputs[0].type.getShape());
    return result;
  }
  auto concat = cast<tensor::ConcatOp>(op);
  SmallVector<int64_t> offset(result.type.getRank(), 0);
  for (const ConstantBuffer &input : inputs) {
    copyBox(input, {}, result, {offset, {}}, input.type.getShape());
    offset[concat.getDim()] += input.type.getDimSize(concat.getDim());
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Scatters
//===----------------------------------------------------------------------===//

/// The insertion that the nest makes at each of its points.
static tensor::InsertOp getInsertion(scf::ForOp inner) {
  auto insert = inner.getYieldedValues()[0].getDefiningOp<tensor::InsertOp>();
  return insert && insert.getDest() == inner.getRegionIterArg(0)
             ? insert
             : tensor::InsertOp();
}

/// The number of turns of a loop that counts from 0 by 1.
static std::optional<int64_t> getTurns(scf::ForOp loop) {
  if (!isConstantIntValue(loop.getLowerBound(), 0) ||
      !isConstantIntValue(loop.getStep(), 1))
    return std::nullopt;
  std::optional<int64_t> turns = getConstantIntValue(loop.getUpperBound());
  return turns && *turns >= 0 ? turns : std::nullopt;
}

bool ConstantEvaluator::canEvaluateScatter(scf::ForOp outer) {
  SmallVector<scf::ForOp> nest = getLoopNest(outer);
  if (nest.empty() || !getInsertion(nest.back()) ||
      !llvm::all_of(nest, [](scf::ForOp loop) { return getTurns(loop); }))
    return false;
  Operation *insert = getInsertion(nest.back());
  return llvm::all_of(nest.back().getBody()->without_terminator(),
                      [&](Operation &op) {
                        return &op == insert ||
                               canEvaluateScalar(&op, outer.getRegion());
                      }) &&
         canEvaluate(outer.getInitArgs()[0]);
}

/// result = init; result[indices(point)] = element(point) for all points
FailureOr<ConstantBuffer> ConstantEvaluator::computeScatter(scf::ForOp outer) {
  SmallVector<scf::ForOp> nest = getLoopNest(outer);
  SmallVector<int64_t, 4> space, dims;
  for (auto [i, loop] : llvm::enumerate(nest)) {
    space.push_back(*getTurns(loop));
    dims.push_back(i);
  }
  auto run = [&](Value scalar, auto consume) {
    ProgramBuilder builder(*this, space);
    FailureOr<unsigned> reg = builder.emit({scalar, dims});
    if (succeeded(reg))
      builder.finish(*reg).run(consume);
    return success(succeeded(reg));
  };
  FailureOr<ConstantBuffer> init = materialize(outer.getInitArgs()[0]);
  if (failed(init))
    return failure();
  ConstantBuffer result = allocateBuffer(init->type);
  copyAll(*init, result);
  tensor::InsertOp insert = getInsertion(nest.back());
  std::vector<int64_t> where(llvm::product_of(space), 0);
  for (auto [index, extent] :
       llvm::zip_equal(insert.getIndices(), init->type.getShape()))
    if (failed(run(index, [&, extent = extent](const ConstantBlock &block) {
          for (int64_t i = 0; i < block.size; ++i) {
            // Out of bounds is undefined in the IR; here it must not be.
            int64_t position = std::clamp<int64_t>(
                block.integers[i], 0, std::max<int64_t>(extent, 1) - 1);
            int64_t &to = where[block.offset + i];
            to = to * extent + position;
          }
        })))
      return failure();
  int64_t bytes = getElementBytes(init->type.getElementType());
  bool isBool = init->type.getElementType().isInteger(1);
  if (failed(run(insert.getScalar(), [&](const ConstantBlock &block) {
        for (int64_t i = 0; i < block.size; ++i) {
          char *to = getMutable(result) + where[block.offset + i] * bytes;
          if (block.floats) {
            std::memcpy(to, block.floats + i, bytes);
            continue;
          }
          int64_t value = isBool ? block.integers[i] & 1 : block.integers[i];
          std::memcpy(to, &value, bytes);
        }
      })))
    return failure();
  return result;
}
