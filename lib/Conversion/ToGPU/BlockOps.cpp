//===- BlockOps.cpp - The ops of a launch of one block --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which ops BlockLaunch takes, and the arithmetic of each.
//
//===----------------------------------------------------------------------===//

#include "BlockLaunch.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;
using namespace pquant;

/// Elements of a row that a block takes.
static constexpr int64_t kLongestRow = 16 * kBlockThreads;
/// Sums of several elements at a time, and a thread's parts of all of them.
static constexpr int64_t kMostSums = 16, kMostSumParts = 32;

static bool isParallel(utils::IteratorType type) {
  return type == utils::IteratorType::parallel;
}

Operation *pquant::findCombiner(linalg::GenericOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0)
    return nullptr;
  Type element = op.getRegionOutputArgs().front().getType();
  if (!element.isF32() && !element.isInteger(32))
    return nullptr;
  SmallVector<Operation *> combiners;
  if (!matchReduction(op.getRegionOutputArgs(), 0, combiners) ||
      combiners.size() != 1 || !arith::getNeutralElement(combiners.front()))
    return nullptr;
  return combiners.front();
}

Value pquant::combineBy(KernelBuilder &b, Operation *combiner, Value x,
                        Value y) {
  OperationState state(b.getLoc(), combiner->getName(), {x, y}, {x.getType()});
  return b.create(state)->getResult(0);
}

SmallVector<Value> pquant::cloneBody(KernelBuilder &b, linalg::GenericOp op,
                                     IRMapping &mapping, ValueRange point) {
  Block *body = op.getBlock();
  for (Operation &inner : body->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      mapping.map(index.getResult(), point[index.getDim()]);
    else
      b.clone(inner, mapping);
  }
  SmallVector<Value> results;
  for (Value value : body->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  return results;
}

/// A row fits into registers.
static std::optional<int64_t> acceptsQuantize(pqk::QuantizeOp op,
                                              bool isOfRows) {
  auto input = cast<MemRefType>(op.getInput().getType());
  auto values = cast<MemRefType>(op.getValues().getType());
  int64_t columns = input.getDimSize(1);
  if (ShapedType::isDynamic(columns) || columns < 1 || columns > kLongestRow ||
      ShapedType::isDynamic(values.getDimSize(1)) ||
      !input.isLastDimUnitStride() || !values.isLastDimUnitStride() ||
      (!isOfRows && (input.getDimSize(0) != 1 || values.getDimSize(0) != 1)))
    return std::nullopt;
  return columns;
}

/// The elements of a memref, or of each of the rows that loop `rows` goes over.
static int64_t countElements(MemRefType type, AffineMap map,
                             std::optional<unsigned> rows) {
  int64_t count = 1;
  for (auto [size, result] : llvm::zip_equal(type.getShape(), map.getResults()))
    if (!rows || result != getAffineDimExpr(*rows, map.getContext()))
      count *= size;
  return count;
}

/// Reductions to `points` elements, those of the outputs: to one element; or to
/// a few, of which a thread has its parts in registers.
static bool acceptsReduction(linalg::GenericOp op, int64_t points,
                             int64_t reductions, std::optional<unsigned> rows) {
  for (OpOperand &init : op.getDpsInitsMutable())
    if (countElements(cast<MemRefType>(init.get().getType()),
                      op.getMatchingIndexingMap(&init), rows) != points)
      return false;
  if (reductions > kLongestRow)
    return false;
  if (points == 1)
    return reductions <= kShortReduction || findCombiner(op);
  int64_t parts = llvm::divideCeil(reductions, kBlockThreads);
  return reductions > kShortReduction && points <= kMostSums &&
         points * parts <= kMostSumParts && findCombiner(op) &&
         !op.hasIndexSemantics();
}

std::optional<int64_t> BlockLaunch::accepts(Operation *op,
                                            std::optional<unsigned> rows) {
  if (auto quantize = dyn_cast<pqk::QuantizeOp>(op))
    return acceptsQuantize(quantize, rows.has_value());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !generic.hasPureBufferSemantics())
    return std::nullopt;
  SmallVector<int64_t> ranges = generic.getStaticLoopRanges();
  if (rows)
    ranges[*rows] = 1;
  int64_t points = 1, reductions = 1;
  for (auto [size, type] :
       llvm::zip_equal(ranges, generic.getIteratorTypesArray())) {
    if (ShapedType::isDynamic(size) || size < 1)
      return std::nullopt;
    (isParallel(type) ? points : reductions) *= size;
  }
  if (generic.getNumReductionLoops()) {
    if (!acceptsReduction(generic, points, reductions, rows))
      return std::nullopt;
    return reductions;
  }
  // Each point has an element of its own.
  for (OpOperand &init : generic.getDpsInitsMutable()) {
    AffineMap map = generic.getMatchingIndexingMap(&init);
    for (auto [dim, size] : llvm::enumerate(ranges))
      if (size != 1 && !map.isFunctionOfDim(dim))
        return std::nullopt;
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
  }
  if (points > (rows ? kLongestRow : kBlockPoints))
    return std::nullopt;
  return points;
}

SmallVector<Value> BlockLaunch::compute(linalg::GenericOp op, ValueRange inputs,
                                        ValueRange outputs, ValueRange point) {
  IRMapping mapping;
  mapping.map(op.getRegionInputArgs(), inputs);
  for (auto [argument, value] : llvm::zip(op.getRegionOutputArgs(), outputs))
    if (value)
      mapping.map(argument, value);
  return cloneBody(b, op, mapping, point);
}

void BlockLaunch::orderInside(linalg::GenericOp op) {
  op.getBlock()->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<MemRefType>(operand.getType())) {
        orderLoad(BlockAccess::anywhere(operand));
        loaded.push_back(BlockAccess::anywhere(operand));
      }
  });
}

SmallVector<BlockLaunch::Elements>
BlockLaunch::readInputs(linalg::GenericOp op, ArrayRef<int64_t> sizes,
                        const Share &share,
                        function_ref<AffineMap(AffineMap)> adapt) {
  SmallVector<Elements> inputs;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    inputs.push_back(
        isa<MemRefType>(input->get().getType())
            ? read(input->get(), adapt ? adapt(map) : map, sizes, share)
            : Elements(share.rounds,
                       SmallVector<Value>(share.lanes, input->get())));
  }
  return inputs;
}

void BlockLaunch::addElementwise(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  Share share = shareOf(computeProduct(sizes));
  SmallVector<Elements> inputs = readInputs(op, sizes, share);
  SmallVector<Elements> results(op.getNumDpsInits());
  SmallVector<Elements> before(op.getNumDpsInits());
  for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
    if (op.payloadUsesValueFromOperand(&init))
      before[i] =
          read(init.get(), op.getMatchingIndexingMap(&init), sizes, share);
  orderInside(op);
  for (Elements &result : results)
    result.resize(share.rounds);
  for (int64_t round = 0; round < share.rounds; ++round)
    for (int64_t lane = 0; lane < share.lanes; ++lane) {
      SmallVector<Value> in, out;
      for (const Elements &input : inputs)
        in.push_back(input[round][lane]);
      for (const Elements &value : before)
        out.push_back(value.empty() ? Value() : value[round][lane]);
      SmallVector<Value> point;
      if (op.hasIndexSemantics())
        point = pointOf(share, round, lane, sizes);
      for (auto [i, value] : llvm::enumerate(compute(op, in, out, point)))
        results[i][round].push_back(value);
    }
  for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
    write(init.get(), op.getMatchingIndexingMap(&init), sizes, share,
          results[i]);
}

void BlockLaunch::addQuantize(Operation *operation) {
  auto op = cast<pqk::QuantizeOp>(operation);
  QuantizerAttr quantizer = op.getQuantizer();
  auto input = cast<MemRefType>(op.getInput().getType());
  int64_t columns = input.getDimSize(1);
  AffineMap matrix = b.getMultiDimIdentityMap(2);
  SmallVector<int64_t> sizes = {1, columns};
  Share share = shareOf(columns), one = shareOf(1);
  Elements x = read(op.getInput(), matrix, sizes, share);
  Value zero = b.constant(b.getI32Type(), 0), largest = zero;
  for (int64_t round = 0; round < share.rounds; ++round) {
    // Threads without points have the first one's.
    for (Value value : x[round])
      largest = b.max(largest, quantizerMagnitude(b, value));
  }
  largest = reduce(largest, [&](Value x, Value y) { return b.max(x, y); });
  auto [factor, step] = quantizerFactor(b, quantizer, largest);
  Elements bytes(share.rounds);
  Value sum = zero;
  for (int64_t round = 0; round < share.rounds; ++round) {
    Value next = sum;
    for (Value value : x[round]) {
      Value q = quantizerRound(b, quantizer, value, factor);
      next = b.add(next, q);
      bytes[round].push_back(b.truncate(q, b.getI8Type()));
    }
    sum = share.isFull(round) ? next
                              : b.select(isInside(share, round), next, sum);
  }
  BlockAccess values = BlockAccess::anywhere(op.getValues());
  orderStore(values);
  storeElements(op.getValues(), matrix, sizes, share, bytes);
  stored.push_back(values);
  everStored.push_back(values);
  forget(values);
  int64_t padded = cast<MemRefType>(op.getValues().getType()).getDimSize(1);
  if (columns < padded)
    b.forLoop(b.add(block.thread, columns), b.index(padded), threads,
              [&](Value k) {
                b.store(b.constant(b.getI8Type(), 0), op.getValues(),
                        {b.index(0), k});
              });
  sum = reduce(sum, [&](Value x, Value y) { return b.add(x, y); });
  AffineMap row = AffineMap::get(1, 0, b.getAffineDimExpr(0));
  write(op.getScale(), row, {1}, one, {{step}});
  write(op.getSum(), row, {1}, one, {{sum}});
}

void BlockLaunch::add(Operation *op) {
  if (isa<pqk::QuantizeOp>(op))
    return addQuantize(op);
  auto generic = cast<linalg::GenericOp>(op);
  MemRefType first = cast<MemRefType>(generic.getDpsInits().front().getType());
  if (!generic.getNumReductionLoops())
    addElementwise(generic);
  else if (first.getNumElements() > 1)
    addReductions(generic);
  else if (findCombiner(generic))
    addReduction(generic);
  else
    addShortReduction(generic);
}
